"""The passphrase of the private key: the terminal on which a pinentry asks for it, and why it was not given.

GnuPG 2.4 reports NO_SECKEY also where the key is there and the passphrase was wrong or could not be asked for: so the
code of the ERROR status line decides first. https://www.gnupg.org/documentation/manuals/gpgme/Error-Codes.html
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import EncryptionError
from ..system.environment import plain_environ

_WRONG, _CANCELLED, _NO_PINENTRY = 11, 99, 85
_SYSTEM_ERROR = 0x8000
"""Codes with this bit are errno values: what a pinentry says that was started without a terminal."""
_OF_PINENTRY = (
    "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "GNUPGHOME", "GPG_TTY", "PINENTRY_USER_DATA", "SSH_CONNECTION", "TERM",
    "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR",
)  # fmt: skip
_TTY = "/dev/pts/", "/dev/tty"


def terminal() -> str:
    """Return the path of the terminal that this process, or a process that started it, reads from or writes to.

    A module of Ansible has none of its own: the playbook that started it may. Empty where there is none.
    """
    process = os.getpid()
    while process > 1:
        for descriptor in (0, 1, 2):
            try:
                path = str(Path(f"/proc/{process}/fd/{descriptor}").readlink())
            except OSError:  # closed, or another user's process
                continue
            if path.startswith(_TTY) and os.access(path, os.R_OK | os.W_OK):
                return path
        process = _parent(process)
    return ""


def asking_environ() -> dict[str, str]:
    """Return the variables that gpg needs where a pinentry may ask somebody: none that holds a secret."""
    environ = {**plain_environ(), **{name: os.environ[name] for name in _OF_PINENTRY if name in os.environ}}
    if "GPG_TTY" not in environ and (tty := terminal()):
        environ["GPG_TTY"] = tty
    return environ


def not_unlocked(status: list[list[str]], to: str) -> EncryptionError | None:
    """Given gpg's status lines, return why the private key could not be unlocked; None where that was not the reason.

    :param to: says to which key the archive is encrypted
    """
    codes = {
        int(words[1]) & 0xFFFF for keyword, *words in status if keyword == "ERROR" and words[1:2] and words[1].isdigit()
    }
    if _WRONG in codes:
        return EncryptionError("wrong passphrase for the private key", f"{to}; try again")
    if _CANCELLED in codes:
        return EncryptionError("the passphrase was not given", f"{to}; try again")
    if _NO_PINENTRY in codes:
        return EncryptionError("gpg has no way to ask for the passphrase", f"{to}; install the package pinentry-curses")
    asked = any(words[0] == "PINENTRY_LAUNCHED" for words in status)
    if asked and any(code & _SYSTEM_ERROR for code in codes):
        return EncryptionError(
            "gpg cannot ask for the passphrase: it has no terminal",
            f"{to}; run this in your terminal, then try again: export GPG_TTY=$(tty)",
        )
    return None


def _parent(process: int) -> int:
    try:
        # The name of the program, in parentheses, may hold anything.
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
