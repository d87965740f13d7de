"""GPG key pairs in short throwaway GNUPGHOMEs, with and without every fault that a key can have."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from types import TracebackType

from . import guard

LONG_AGO = "20200102T030405"


@dataclass(frozen=True)
class Key:
    """A key pair: its primary key's fingerprint, its user id, and the passphrase of the private half (may be empty)."""

    fingerprint: str
    user_id: str
    passphrase: str = field(default="", repr=False)


class KeyringError(RuntimeError):
    """gpg failed; the text holds its own words."""


class Keyring:
    """A GNUPGHOME: the operator's, with private keys, or any other. Use it as a context manager, or `close` it.

    :param remember: whether the agent keeps a passphrase once given, as an operator's does; otherwise it never does
    """

    def __init__(self, remember: bool = False) -> None:
        self.home = guard.make_folder("cn-gpg")
        seconds = 7200 if remember else 0
        lines = f"allow-loopback-pinentry\ndefault-cache-ttl {seconds}\nmax-cache-ttl {seconds}\n"
        (self.home / "gpg-agent.conf").write_text(lines)

    def __enter__(self) -> Keyring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the agent and remove the folder."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], capture_output=True, check=False)
        guard.remove_folder(self.home)

    def generate(
        self,
        name: str = "Checkniner Backups",
        *,
        passphrase: str = "",
        can_encrypt: bool = True,
        expires: str = "0",
        made: str = "",
    ) -> Key:
        """Make a key pair (Ed25519 to sign, Curve25519 to encrypt) and return it.

        :param can_encrypt: without it the key has no subkey and can only sign
        :param expires: of key and subkey: "0" never, "2d", "20300101T000000", ...
        :param made: the moment at which gpg believes to be, for keys from the past; default: now
        :raises KeyringError: gpg refused
        """
        user_id = f"{name} <{name.lower().replace(' ', '.')}@checkniner.example>"
        clock = ["--faked-system-time", made] if made else []
        before = set(self._fingerprints())
        self.gpg(*clock, "--quick-generate-key", user_id, "ed25519", "cert,sign", expires, passphrase=passphrase)
        (fingerprint,) = set(self._fingerprints()) - before
        if can_encrypt:
            self.gpg(*clock, "--quick-add-key", fingerprint, "cv25519", "encr", expires, passphrase=passphrase)
        return Key(fingerprint, user_id, passphrase)

    def generate_expired(self, name: str = "Expired") -> Key:
        """Make a key pair whose day has passed years ago."""
        return self.generate(name, expires="1d", made=LONG_AGO)

    def generate_revoked(self, name: str = "Revoked") -> Key:
        """Make a key pair and revoke it."""
        key = self.generate(name)
        self.revoke(key)
        return key

    def generate_signing_only(self, name: str = "Signing Only") -> Key:
        """Make a key pair that has no part which encrypts."""
        return self.generate(name, can_encrypt=False)

    def revoke(self, key: Key) -> None:
        """Given a key, import the revocation certificate that gpg made along with it."""
        certificate = (self.home / "openpgp-revocs.d" / f"{key.fingerprint}.rev").read_text()
        # gpg puts a colon before the first line, lest somebody imports it by mistake.
        self.gpg("--import", data=certificate.replace("\n:-----BEGIN", "\n-----BEGIN").encode())

    def export_public(self, key: Key) -> str:
        """Given a key, return its public half, in ASCII armour."""
        return self.gpg("--armor", "--export", key.fingerprint).decode()

    def export_secret(self, key: Key) -> str:
        """Given a key, return its private half, in ASCII armour, locked with its passphrase if it has one."""
        return self.gpg("--armor", "--export-secret-keys", key.fingerprint, passphrase=key.passphrase).decode()

    def import_key(self, text: str) -> None:
        """Given a key in ASCII armour, import it; a private half stays locked with its passphrase."""
        self.gpg("--import", data=text.encode())

    def gpg(self, *arguments: str, passphrase: str = "", data: bytes | None = None) -> bytes:
        """Run gpg in this keyring and return its output. The passphrase goes through a pipe, never the command line.

        :param data: its standard input; exclusive with a passphrase
        :raises KeyringError: it failed
        """
        if data is not None and passphrase:
            raise ValueError("either data or a passphrase")
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty"]
        if data is None:
            argv += ["--pinentry-mode", "loopback", "--passphrase-fd", "0"]
            data = passphrase.encode() + b"\n"
        result = subprocess.run([*argv, *arguments], input=data, capture_output=True, check=False, timeout=120)
        if result.returncode:
            raise KeyringError(f"gpg {' '.join(arguments)}: {result.stderr.decode(errors='replace').strip()}")
        return result.stdout

    def _fingerprints(self) -> list[str]:
        found, primary = [], False
        for line in self.gpg("--list-keys", "--with-colons").decode().splitlines():
            fields = line.split(":")
            if fields[0] == "pub":
                primary = True
            elif fields[0] == "fpr" and primary:
                found.append(fields[9])
                primary = False
        return found
