"""What our Ansible modules share: pieces of arguments, and the one place that turns errors into `fail_json`.

A module hands `run` a function that takes the AnsibleModule and returns the result; it never decides anything itself.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils import checkniner_backups as backups
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.archive.file import ArchiveFile
from ansible.module_utils.checkniner_backups.archive.origin import Trust
from ansible.module_utils.checkniner_backups.django_app.environment import Code
from ansible.module_utils.checkniner_backups.errors import BackupsError, DiskError
from ansible.module_utils.checkniner_backups.monitoring.events import FAILURE, SUCCESS, EventPings
from ansible.module_utils.checkniner_backups.openssh import known_origins
from ansible.module_utils.checkniner_backups.restore.stages import Accepted
from ansible.module_utils.checkniner_backups.settings import Settings, StoreSettings, from_environment
from ansible.module_utils.checkniner_backups.system.environment_file import read_environment_file

_PR_SET_DUMPABLE = 4

ENVIRONMENT: dict[str, Any] = {"environment_file": {"type": "path", "required": True}}
"""The argument that names the environment file. `settings_of` reads it."""

STORE: dict[str, Any] = {
    "s3": {
        "type": "dict",
        "options": {
            "bucket": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": "db/"},
            "access_key": {"type": "str", "default": "", "no_log": False},
            "secret_key": {"type": "str", "default": "", "no_log": True},
            "endpoint_url": {"type": "str", "default": ""},
            "region": {"type": "str", "default": ""},
            "addressing_style": {"type": "str", "default": "auto", "choices": ["auto", "path", "virtual"]},
            "checksums": {
                "type": "str",
                "default": "when_supported",
                "choices": ["when_supported", "when_required"],
            },
            "ca_bundle": {"type": "str", "default": ""},
        },
    }
}
"""The argument that says where archives are, for a machine without an environment file. `store_of` reads it."""

SOURCE: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "session_key": {"type": "str", "default": "", "no_log": True},
    "manifest_sha256": {"type": "str", "default": ""},
    "gnupg_home": {"type": "path"},
}
"""The arguments that name an archive on the machine and what opens it. `archive_of` reads them."""

TRUST: dict[str, Any] = {
    "trust": {
        "type": "dict",
        "options": {
            "known_origins": {"type": "path", "required": True},
            "host": {"type": "str", "required": True},
            "other_server": {"type": "bool", "default": False},
            "unsigned": {"type": "bool", "default": False},
        },
    }
}
"""The argument that says whose archives are taken. `trust_of` reads it."""


KEYRING: dict[str, Any] = {"gnupg_home": {"type": "path"}}
"""The argument that names the operator's keyring. `gnupg_home_of` reads it."""

FIXTURES: dict[str, Any] = {
    "apps": {"type": "list", "elements": "str", "default": []},
    "other_migrations": {"type": "bool", "default": False},
    "other_rows": {"type": "bool", "default": False},
}
"""The arguments that say which fixtures are loaded. `accepted_of` reads those on what is taken all the same."""


CHECKOUT: dict[str, Any] = {
    "application_path": {"type": "path"},
    "virtualenv": {"type": "path"},
    "environment": {"type": "dict", "default": {}, "no_log": True},
}
"""The arguments that name a checkout of the application on this machine. `code_of` reads them."""

TRIAL: dict[str, Any] = {
    "archive": {"type": "str", "default": "latest"},
    "at": {"type": "str", "default": ""},
    "allowed_extensions": {"type": "list", "elements": "str", "default": []},
    "skip_settings": {"type": "bool", "default": False},
}
"""The arguments that say which archive is restored into a throwaway server, and what that may leave out or create."""

PINGS: dict[str, Any] = {
    "ping_success_url": {"type": "str", "default": "", "no_log": True},
    "ping_failure_url": {"type": "str", "default": "", "no_log": True},
}
"""The arguments that name the URLs which are told how a job of the control machine ended. `told` reads them."""


@dataclass(frozen=True)
class Done:
    """What a job of the control machine came to.

    :ivar result: what the module returns
    :ivar sentence: what the URL of a success is told
    :ivar failure: why the job has not ended well, although it has a result; None where it has
    """

    result: dict[str, Any]
    sentence: str
    failure: BackupsError | None = None


def told(module: AnsibleModule, job: str, work: Callable[[AnsibleModule], Done]) -> dict[str, Any]:
    """Given a module with the `PINGS` arguments, a job of `monitoring.events` and its work, do the work, tell the URLs
    how it ended, and return its result. In check mode nothing is told.

    :raises WatchdogError: the success could not be told; the work is done
    :raises BackupsError: the work failed
    """
    pings = EventPings(job, {f"{job}_{event}": module.params[f"ping_{event}_url"] for event in (SUCCESS, FAILURE)})
    pings.check()
    try:
        done = work(module)
    except BackupsError as error:
        _tell_failure(module, pings, error)
        raise
    if done.failure:
        _tell_failure(module, pings, done.failure)
    elif not module.check_mode and (unheard := pings.send(SUCCESS, 0, done.sentence)):
        raise unheard
    return done.result


def _tell_failure(module: AnsibleModule, pings: EventPings, failure: BackupsError) -> None:
    if not module.check_mode and (unheard := pings.send(FAILURE, failure.exit_status, failure.message)):
        module.warn(f"the failure could not be told: {unheard.message}")


def trust_of(module: AnsibleModule, application: str) -> Trust:
    """Given a module with the `TRUST` argument and the application's name, return whose archives are taken.

    :raises OriginError: the file of known origins cannot be read
    """
    given = module.params["trust"]
    known = known_origins.read(Path(given["known_origins"]))
    name = known_origins.identity(application, given["host"])
    return Trust(name, known, given["other_server"], given["unsigned"])


def store_of(module: AnsibleModule) -> StoreSettings:
    """Given a module with the `STORE` argument, return where archives are."""
    return StoreSettings(**{name: value for name, value in module.params["s3"].items() if value})


def archive_of(module: AnsibleModule) -> ArchiveFile:
    """Given a module with the `SOURCE` arguments, return the archive and what opens it."""
    return ArchiveFile(
        Path(module.params["path"]), module.params["session_key"], gnupg_home_of(module),
        module.params["manifest_sha256"],
    )  # fmt: skip


def gnupg_home_of(module: AnsibleModule) -> Path | None:
    """Given a module with an argument `gnupg_home`, return that folder; None for the user's own."""
    home = module.params["gnupg_home"]
    return Path(home) if home else None


def code_of(module: AnsibleModule) -> Code | None:
    """Given a module with the `CHECKOUT` arguments, return the application's code; None where no path was given."""
    given = module.params
    if not given["application_path"]:
        return None
    environment = {str(name): str(value) for name, value in given["environment"].items()}
    return Code(Path(given["application_path"]), Path(given["virtualenv"]), environment)


def accepted_of(module: AnsibleModule) -> Accepted:
    """Given a module with the `FIXTURES` arguments, return what is loaded although it is not as the archive has it."""
    return Accepted(module.params["other_migrations"], module.params["other_rows"])


def settings_of(module: AnsibleModule) -> Settings:
    """Given a module with the `ENVIRONMENT` argument, return the settings in that file.

    The file's secrets are kept out of whatever the module returns.

    :raises SettingsError: the file is missing, or a setting is wrong
    """
    values = read_environment_file(Path(module.params["environment_file"]))
    settings = from_environment(values)
    secrets = (
        settings.store.access_key, settings.store.secret_key, settings.store.session_token,
        settings.database_url, *settings.pings.values(),
    )  # fmt: skip
    module.no_log_values.update(secret for secret in secrets if secret)
    return settings


class _Warnings(logging.Handler):
    """Hands the engine's warnings to Ansible, which shows them: a module has no log that anybody reads."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(logging.WARNING)
        self._module = module

    def emit(self, record: logging.LogRecord) -> None:
        """Show one warning."""
        self._module.warn(record.getMessage())


def run(step: Callable[[AnsibleModule], dict[str, Any]], argument_spec: dict[str, Any], **more: Any) -> None:
    """Given the work of a module, its arguments and more options of AnsibleModule, do it and report the result.

    An expected error ends as `msg` and `hint`; an unexpected one as a single line. Neither shows a traceback.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **more)
    logging.getLogger(backups.__name__).addHandler(_Warnings(module))
    os.umask(0o077)
    _close_to_others()
    failure: BackupsError
    try:
        result = step(module)
    except BackupsError as error:
        failure = error
    except OSError as error:
        failure = DiskError(f"{error.filename or 'the disk'}: {error.strerror or type(error).__name__}")
    except Exception as error:  # noqa: BLE001 (the edge: a user gets one line, whatever happened)
        line = " ".join(str(error).split())[:300]
        failure = BackupsError(f"unexpected {type(error).__name__}: {line}", "a fault of ours: please report it")
    else:
        module.exit_json(**result)
    # Outside of the except clauses, or Ansible appends the original error's text a second time.
    module.fail_json(msg=failure.message, hint=failure.hint, exit_status=failure.exit_status)


def _close_to_others() -> None:
    """Keep other processes of the same user, such as the application's, out of our memory and our open files.

    Through `/proc` they could write to our output, and so answer in our place.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
