"""What was asked for: one frozen dataclass, read from environment variables.

The role writes one file of `export NAME='value'` lines that only the application's owner can read; cron hands its
path to the command line, interactive shells source it, modules name it. All three end up in `from_environment`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import FORMAT_VERSION, __version__
from .errors import SettingsError

PREFIX = "CHECKNINER_BACKUPS_"
DRILLS = "drills/"
"""Where the records of drills and rehearsals are: below the store's prefix."""
SAFETY = "before-restore/"
"""Where safety backups are: below the store's prefix, and below the local archives."""
PINGS = {
    "start": "", "success": "WATCHDOG_URL", "failure": "", "clean_success": "CLEAN_WATCHDOG_URL", "clean_failure": "",
    "rehearsal_success": "", "rehearsal_failure": "",
}  # fmt: skip
"""The events that have a URL, each with the former name of its variable."""
ACTIVATE, UNIT = "activate", "systemd:"
"""Sources of the application's environment: its virtualenv's `bin/activate`; a unit, whose name follows."""
_EXPORT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{40}|[0-9A-F]{64})\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@dataclass(frozen=True)
class StoreSettings:
    """Where archives go. Without keys, boto3's default chain of credentials is used."""

    bucket: str = ""
    prefix: str = "db/"
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    endpoint_url: str = ""
    region: str = ""
    addressing_style: str = "auto"
    checksums: str = "when_supported"
    storage_class: str = ""
    server_side_encryption: str = ""
    kms_key_id: str = ""
    ca_bundle: str = ""


@dataclass(frozen=True)
class Settings:
    """Everything a tick needs to know. Durations are in seconds."""

    name: str
    application_path: Path
    virtualenv: Path
    state_path: Path
    store: StoreSettings
    recipients: tuple[str, ...] = ()
    encryption: bool = True
    business_apps: tuple[str, ...] = ()
    """Empty: all apps but those that only record what was done."""
    ignored_fields: tuple[str, ...] = ()
    environment_source: str = "activate"
    """Where the application's environment comes from: ACTIVATE, the path of a file, or UNIT and a unit's name."""
    database_url: str = field(default="", repr=False)
    gnupg_home: Path = Path()
    pings: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Templates of URLs, by event (see PINGS); those that are not set are left out."""
    ping_log: bool = False
    """Whether the end of a run's log goes with the ping."""
    metrics_file: Path | None = None
    """Where each tick writes its metrics for Prometheus; None: nowhere."""
    on_failure_commands: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    """Argument lists, run when ticks begin to fail and when they are well again."""
    lock_timeout: float = 5.0
    migration_wait: float = 10.0
    attempts: int = 5
    full_check_every: float = 86400.0
    store_check_every: float = 3600.0
    late_after: float = 1800.0
    """Seconds without the end of a tick after which `status` calls it late: a dead cron looks like that."""
    shrink_percent: float = 50.0
    """Percent of a business table's rows that are gone between two archives from which on that is told; 0: never."""
    rehearsal: str = "full"
    """Whether restores are rehearsed on this server: `full`, `sql` (the application's code is not run), or `none`."""
    rehearse_every: float = 604800.0
    rehearsal_timeout: float = 7200.0
    rehearsal_max_size: int = 10 << 30
    """Bytes: a larger database is not rehearsed here."""
    allowed_extensions: tuple[str, ...] = ()
    skip_settings: bool = False
    """Whether a restore leaves out the settings of `ALTER DATABASE`, as the restore playbook is told to."""

    @property
    def archives_path(self) -> Path:
        """The folder of the local archives and their `latest` link."""
        return self.state_path / "archives"

    @property
    def work_path(self) -> Path:
        """The folder for what must not outlive the run that made it."""
        return self.state_path / "work"

    def archive_settings(self) -> str:
        """Return those settings that decide what an archive holds and where it is, as one text.

        A remembered "already saved" is only worth something under the same ones: another recipient, bucket or list of
        apps makes the next tick save again.
        """
        parts = [
            FORMAT_VERSION, __version__, self.name, self.store.bucket, self.store.prefix, self.store.endpoint_url,
            sorted(self.recipients), self.encryption, sorted(self.business_apps), sorted(self.ignored_fields),
        ]  # fmt: skip
        return json.dumps(parts)


def read_environment_file(path: Path) -> dict[str, str]:
    """Given a file of `export NAME='value'` lines, return the names and values.

    The text is parsed with the shell's quoting rules; nothing in it is executed.

    :raises SettingsError: the file is missing, unreadable, or holds a line of another form
    """
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        hint = "run setup-backups.yml to write the file anew"
        raise SettingsError(f"the environment file {path} is no text", hint) from None
    except OSError as error:
        raise SettingsError(
            f"cannot read the environment file {path}: {error.strerror}",
            "run as the application's owner, or run the playbook setup-backups.yml first",
        ) from None
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            hint = "run setup-backups.yml to write the file anew"
            raise SettingsError(f"{path}, line {number}: {error}", hint) from None
        if words and words[0] == "export":
            words = words[1:]
        for word in words:
            match = _EXPORT.match(word)
            if not match:
                raise SettingsError(f"{path}, line {number}: not of the form export NAME='value'")
            values[match[1]] = match[2]
    return values


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Given environment variables, return the settings.

    :raises SettingsError: a variable is missing or wrong; the message names it
    """

    def get(name: str, default: str = "") -> str:
        return environ.get(PREFIX + name, "") or default

    def required(name: str) -> str:
        value = environ.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set", "pass --environment FILE, or source that file first")
        return value

    def choice(name: str, default: str, *allowed: str) -> str:
        value = get(name, default)
        if value not in allowed:
            raise SettingsError(f"{PREFIX}{name} is {value!r}", f"use one of {', '.join(allowed)}")
        return value

    def number(name: str, default: float, most: float = 1e9) -> float:
        value = get(name, str(default))
        try:
            result = float(value)
        except ValueError:
            result = -1
        if not 0 <= result < most:
            raise SettingsError(f"{PREFIX}{name} is {value!r}", f"use a number from 0 to {most:g}")
        return result

    state_path = Path(required(PREFIX + "STATE_PATH"))
    name = required(PREFIX + "NAME")
    if not _NAME.match(name):
        raise SettingsError(f"{PREFIX}NAME is {name!r}", "use letters, digits, dots, dashes and underscores")
    source = get("ENVIRONMENT_SOURCE", ACTIVATE)
    if source != ACTIVATE and not source.startswith(("/", UNIT)):
        raise SettingsError(
            f"{PREFIX}ENVIRONMENT_SOURCE is {source!r}",
            f"use {ACTIVATE}, the full path of a file of NAME=value lines, or {UNIT}NAME.service",
        )
    encryption = choice("ENCRYPTION", "on", "on", "off") == "on"
    recipients = tuple(environ.get("BACKUPS_GPG_RECIPIENT", "").replace(",", " ").upper().split())
    if encryption:
        _check_recipients(recipients)
    access_key, secret_key = environ.get("S3_ACCESS_KEY", ""), environ.get("S3_SECRET_KEY", "")
    if bool(access_key) != bool(secret_key):
        raise SettingsError(
            "only one of S3_ACCESS_KEY and S3_SECRET_KEY is set", "set both, or neither for boto3's default chain"
        )
    return Settings(
        name=name,
        application_path=Path(required(PREFIX + "APPLICATION_PATH")),
        virtualenv=Path(required(PREFIX + "VIRTUALENV")),
        state_path=state_path,
        store=StoreSettings(
            bucket=required("S3_BUCKET_NAME"),
            prefix=get("S3_PREFIX", "db/"),
            access_key=access_key,
            secret_key=secret_key,
            session_token=environ.get("S3_SESSION_TOKEN", ""),
            endpoint_url=get("S3_ENDPOINT_URL"),
            region=get("S3_REGION"),
            addressing_style=choice("S3_ADDRESSING_STYLE", "auto", "auto", "path", "virtual"),
            checksums=choice("S3_CHECKSUMS", "when_supported", "when_supported", "when_required"),
            storage_class=get("S3_STORAGE_CLASS"),
            server_side_encryption=get("S3_SERVER_SIDE_ENCRYPTION"),
            kms_key_id=get("S3_KMS_KEY_ID"),
            ca_bundle=get("S3_CA_BUNDLE"),
        ),
        recipients=recipients,
        encryption=encryption,
        business_apps=tuple(get("BUSINESS_APPS").replace(",", " ").split()),
        ignored_fields=tuple(get("IGNORED_FIELDS").lower().replace(",", " ").split()),
        environment_source=source,
        database_url=get("DATABASE_URL"),
        gnupg_home=Path(get("GNUPG_HOME", str(state_path / "gnupg"))),
        pings={
            event: url for event, former in PINGS.items() if (url := get(f"PING_{event.upper()}_URL") or get(former))
        },
        metrics_file=Path(text) if (text := get("METRICS_FILE")) else None,
        on_failure_commands=_commands(get("ON_FAILURE_COMMANDS")),
        ping_log=choice("PING_LOG", "off", "on", "off") == "on",
        lock_timeout=number("LOCK_TIMEOUT", 5),
        migration_wait=number("MIGRATION_WAIT", 10),
        attempts=max(1, int(number("ATTEMPTS", 5))),
        full_check_every=number("FULL_CHECK_EVERY", number("FULL_LOOK_EVERY", 86400)),
        late_after=number("LATE_AFTER", 1800),
        shrink_percent=number("SHRINK_PERCENT", 50, most=101),
        rehearsal=choice("REHEARSAL", "full", "full", "sql", "none"),
        rehearse_every=number("REHEARSE_EVERY", 604800),
        rehearsal_timeout=number("REHEARSAL_TIMEOUT", 7200),
        rehearsal_max_size=int(number("REHEARSAL_MAX_SIZE", 10 << 30, most=1e18)),
        allowed_extensions=tuple(get("ALLOWED_EXTENSIONS").replace(",", " ").split()),
        skip_settings=choice("SKIP_SETTINGS", "off", "on", "off") == "on",
        store_check_every=number("STORE_CHECK_EVERY", number("STORE_LOOK_EVERY", 3600)),
    )


def _commands(text: str) -> tuple[tuple[str, ...], ...]:
    """Given JSON, return the argument lists in it."""
    try:
        found = json.loads(text or "[]")
        if not isinstance(found, list) or not all(isinstance(argv, list) and argv and argv[0] for argv in found):
            raise ValueError
        if not all(isinstance(word, str) for argv in found for word in argv):
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{PREFIX}ON_FAILURE_COMMANDS holds no list of commands", 'write JSON, such as [["mail", "me@example.org"]]'
        ) from None
    return tuple(map(tuple, found))


def _check_recipients(recipients: tuple[str, ...]) -> None:
    if not recipients:
        raise SettingsError(
            "BACKUPS_GPG_RECIPIENT is not set, and encryption is on",
            f"set it to the fingerprint of the public key, or set {PREFIX}ENCRYPTION=off in so many words",
        )
    for recipient in recipients:
        if not _FINGERPRINT.match(recipient):
            raise SettingsError(
                f"BACKUPS_GPG_RECIPIENT is {recipient!r}, not a full fingerprint",
                "a short key id or a mail address can be forged; use the 40 hex digits of gpg --fingerprint",
            )
