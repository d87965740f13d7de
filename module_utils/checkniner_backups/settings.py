"""What was asked for: one frozen dataclass, read from environment variables.

The role writes one file of `export NAME='value'` lines that only the application's owner can read; cron hands its
path to the command line, interactive shells source it, modules name it. All three end up in `from_environment`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

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
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{40}|[0-9A-F]{64})\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")

Parse = Callable[[str, str], Any]
"""Given a variable's name and its text, which is not empty, return the value, or raise `SettingsError`."""


def _text(_variable: str, text: str) -> str:
    return text


def _path(_variable: str, text: str) -> Path:
    return Path(text)


def _words(_variable: str, text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _fields(variable: str, text: str) -> tuple[str, ...]:
    return _words(variable, text.lower())


def _fingerprints(variable: str, text: str) -> tuple[str, ...]:
    return _words(variable, text.upper())


def _choice(*allowed: str) -> Parse:
    def parse(variable: str, text: str) -> str:
        if text not in allowed:
            raise SettingsError(f"{variable} is {text!r}", f"use one of {', '.join(allowed)}")
        return text

    return parse


def _switch(variable: str, text: str) -> bool:
    return bool(_choice("on", "off")(variable, text) == "on")


def _number(most: float = 1e9) -> Parse:
    def parse(variable: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not 0 <= value < most:
            raise SettingsError(f"{variable} is {text!r}", f"use a number from 0 to {most:g}")
        return value

    return parse


def _whole(least: int = 0, most: float = 1e9) -> Parse:
    return lambda variable, text: max(least, int(_number(most)(variable, text)))


def _name(variable: str, text: str) -> str:
    if not _NAME.match(text):
        raise SettingsError(f"{variable} is {text!r}", "use letters, digits, dots, dashes and underscores")
    return text


def _source(variable: str, text: str) -> str:
    if text != ACTIVATE and not text.startswith(("/", UNIT)):
        hint = f"use {ACTIVATE}, the full path of a file of NAME=value lines, or {UNIT}NAME.service"
        raise SettingsError(f"{variable} is {text!r}", hint)
    return text


def _commands(variable: str, text: str) -> tuple[tuple[str, ...], ...]:
    """Given JSON, return the argument lists in it."""
    try:
        found = json.loads(text)
        if not isinstance(found, list) or not all(isinstance(argv, list) and argv and argv[0] for argv in found):
            raise ValueError
        if not all(isinstance(word, str) for argv in found for word in argv):
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{variable} holds no list of commands", 'write JSON, such as [["mail", "me@example.org"]]'
        ) from None
    return tuple(map(tuple, found))


def _read(
    variable: str, parse: Parse = _text, *, former: str = "", plain: bool = False, required: bool = False
) -> dict[str, Any]:
    """Given a variable of the environment, declare that a setting is read from there. What has no default must be set.

    :param variable: without our prefix, unless it is `plain`
    :param former: the variable's former name, read for a version more
    :param required: whether it must be set, although there is a default
    """
    prefix = "" if plain else PREFIX
    return {"variables": [prefix + name for name in (variable, former) if name], "parse": parse, "required": required}


@dataclass(frozen=True)
class StoreSettings:
    """Where archives go. Without keys, boto3's default chain of credentials is used."""

    bucket: str = field(default="", metadata=_read("S3_BUCKET_NAME", plain=True, required=True))
    prefix: str = field(default="db/", metadata=_read("S3_PREFIX"))
    access_key: str = field(default="", repr=False, metadata=_read("S3_ACCESS_KEY", plain=True))
    secret_key: str = field(default="", repr=False, metadata=_read("S3_SECRET_KEY", plain=True))
    session_token: str = field(default="", repr=False, metadata=_read("S3_SESSION_TOKEN", plain=True))
    endpoint_url: str = field(default="", metadata=_read("S3_ENDPOINT_URL"))
    region: str = field(default="", metadata=_read("S3_REGION"))
    addressing_style: str = field(
        default="auto", metadata=_read("S3_ADDRESSING_STYLE", _choice("auto", "path", "virtual"))
    )
    checksums: str = field(
        default="when_supported", metadata=_read("S3_CHECKSUMS", _choice("when_supported", "when_required"))
    )
    storage_class: str = field(default="", metadata=_read("S3_STORAGE_CLASS"))
    server_side_encryption: str = field(default="", metadata=_read("S3_SERVER_SIDE_ENCRYPTION"))
    kms_key_id: str = field(default="", metadata=_read("S3_KMS_KEY_ID"))
    ca_bundle: str = field(default="", metadata=_read("S3_CA_BUNDLE"))


@dataclass(frozen=True)
class Settings:
    """Everything a tick needs to know. Durations are in seconds."""

    name: str = field(metadata=_read("NAME", _name))
    application_path: Path = field(metadata=_read("APPLICATION_PATH", _path))
    virtualenv: Path = field(metadata=_read("VIRTUALENV", _path))
    state_path: Path = field(metadata=_read("STATE_PATH", _path))
    store: StoreSettings
    recipients: tuple[str, ...] = field(default=(), metadata=_read("BACKUPS_GPG_RECIPIENT", _fingerprints, plain=True))
    encryption: bool = field(default=True, metadata=_read("ENCRYPTION", _switch))
    business_apps: tuple[str, ...] = field(default=(), metadata=_read("BUSINESS_APPS", _words))
    """Empty: all apps but those that only record what was done."""
    ignored_fields: tuple[str, ...] = field(default=(), metadata=_read("IGNORED_FIELDS", _fields))
    environment_source: str = field(default=ACTIVATE, metadata=_read("ENVIRONMENT_SOURCE", _source))
    """Where the application's environment comes from: ACTIVATE, the path of a file, or UNIT and a unit's name."""
    database_url: str = field(default="", repr=False, metadata=_read("DATABASE_URL"))
    gnupg_home: Path = field(default=Path(), metadata=_read("GNUPG_HOME", _path))
    """By default in the state folder."""
    pings: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Templates of URLs, by event (see PINGS); those that are not set are left out."""
    ping_log: bool = field(default=False, metadata=_read("PING_LOG", _switch))
    """Whether the end of a run's log goes with the ping."""
    metrics_file: Path | None = field(default=None, metadata=_read("METRICS_FILE", _path))
    """Where each tick writes its metrics for Prometheus; None: nowhere."""
    on_failure_commands: tuple[tuple[str, ...], ...] = field(
        default=(), repr=False, metadata=_read("ON_FAILURE_COMMANDS", _commands)
    )
    """Argument lists, run when ticks begin to fail and when they are well again."""
    lock_timeout: float = field(default=5.0, metadata=_read("LOCK_TIMEOUT", _number()))
    migration_wait: float = field(default=10.0, metadata=_read("MIGRATION_WAIT", _number()))
    attempts: int = field(default=5, metadata=_read("ATTEMPTS", _whole(1)))
    full_check_every: float = field(
        default=86400.0, metadata=_read("FULL_CHECK_EVERY", _number(), former="FULL_LOOK_EVERY")
    )
    store_check_every: float = field(
        default=3600.0, metadata=_read("STORE_CHECK_EVERY", _number(), former="STORE_LOOK_EVERY")
    )
    late_after: float = field(default=1800.0, metadata=_read("LATE_AFTER", _number()))
    """Seconds without the end of a tick after which `status` calls it late: a dead cron looks like that."""
    shrink_percent: float = field(default=50.0, metadata=_read("SHRINK_PERCENT", _number(101)))
    """Percent of a business table's rows that are gone between two archives from which on that is told; 0: never."""
    rehearsal: str = field(default="full", metadata=_read("REHEARSAL", _choice("full", "sql", "none")))
    """Whether restores are rehearsed on this server: `full`, `sql` (the application's code is not run), or `none`."""
    rehearse_every: float = field(default=604800.0, metadata=_read("REHEARSE_EVERY", _number()))
    rehearsal_timeout: float = field(default=7200.0, metadata=_read("REHEARSAL_TIMEOUT", _number()))
    rehearsal_max_size: int = field(default=10 << 30, metadata=_read("REHEARSAL_MAX_SIZE", _whole(most=1e18)))
    """Bytes: a larger database is not rehearsed here."""
    allowed_extensions: tuple[str, ...] = field(default=(), metadata=_read("ALLOWED_EXTENSIONS", _words))
    skip_settings: bool = field(default=False, metadata=_read("SKIP_SETTINGS", _switch))
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


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Given environment variables, return the settings.

    :raises SettingsError: a variable is missing or wrong; the message names it
    """
    values = _values(Settings, environ)
    store = StoreSettings(**_values(StoreSettings, environ))
    values.setdefault("gnupg_home", values["state_path"] / "gnupg")
    values["pings"] = {
        event: url
        for event, former in PINGS.items()
        if (url := environ.get(f"{PREFIX}PING_{event.upper()}_URL") or (former and environ.get(PREFIX + former)))
    }
    settings = Settings(store=store, **values)
    if bool(store.access_key) != bool(store.secret_key):
        raise SettingsError(
            "only one of S3_ACCESS_KEY and S3_SECRET_KEY is set", "set both, or neither for boto3's default chain"
        )
    if settings.encryption:
        _check_recipients(settings.recipients)
    return settings


def defaults() -> dict[str, Any]:
    """Return the variables of the environment that are read, with what holds where they are not set; None for those
    that must be set."""
    found = {
        each.metadata["variables"][0]: None if _is_required(each) else each.default
        for kind in (StoreSettings, Settings)
        for each in fields(kind)
        if each.metadata
    }
    return found | {f"{PREFIX}PING_{event.upper()}_URL": "" for event in PINGS}


def _is_required(setting: Field[Any]) -> bool:
    return bool(setting.metadata["required"]) or setting.default is MISSING


def _values(kind: type, environ: Mapping[str, str]) -> dict[str, Any]:
    """Given a class of settings, return the values that the environment sets, by the names of their fields."""
    values = {}
    for each in fields(kind):
        if not each.metadata:
            continue
        names = each.metadata["variables"]
        name = next((name for name in names if environ.get(name)), "")
        if name:
            values[each.name] = each.metadata["parse"](name, environ[name])
        elif _is_required(each):
            raise SettingsError(f"{names[0]} is not set", "pass --environment FILE, or source that file first")
    return values


def history_prefix(prefix: str) -> str:
    """Given the store's prefix, return that of the history: beside it, so that no search for an archive meets it."""
    return f"{prefix.rstrip('/')}-history/".lstrip("-")


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
