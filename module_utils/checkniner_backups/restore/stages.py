"""What a restore does, stage by stage, declared once for both doors.

`plan_of` refuses what does not go together, and returns the stages in their order. The command line runs them
(workflow.py, where each stage is a method), and so does the playbook (the role's tasks/restore/stages/, where each
stage is a file that becomes who may do it). What holds while a stage of a list runs:

* `prepare`: the live database is not touched, and the application runs.
* `stopped`: the commands before have run, those after will run, whatever happens. Until SWAP or REPLACE has succeeded,
  the live database is as it was; each of the two happens as one transaction.
* `finish`: the restored data are live, and the application runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ..errors import SettingsError

SQL, FIXTURES = "sql", "fixtures"
"""What is restored."""
SWAP, BESIDE, LIVE, ELSEWHERE = "swap", "beside", "live", "elsewhere"
"""Where the data go: in the live database's place; beside it; into it; into a database elsewhere."""


class Stage(str, Enum):
    """One stage of a restore."""

    CREATE = "create"
    """Make a new, empty database beside the live one."""
    LOAD = "load"
    """Load the archive into the new database, as its owner, and prove what was loaded."""
    SETTLE = "settle"
    """Take back the rights that only the load needed; a swap does that itself."""
    FILL = "fill"
    """Fill a database elsewhere from fixtures, and prove it."""
    SAVE = "save"
    """Save the live data as they are."""
    SWAP = "swap"
    """Rename both databases, in one transaction; the one that is replaced is kept."""
    SAVE_BETWEEN = "save_between"
    """Save what was written between SAVE and SWAP."""
    REPLACE = "replace"
    """Replace rows of the live database, in one transaction that is proven before it is committed."""
    DROP_PREVIOUS = "drop_previous"
    """Drop the databases that were kept long enough."""


@dataclass(frozen=True)
class Accepted:
    """What a restore from fixtures takes although it is not as the archive has it.

    :param migrations: the application's migrations are not the archive's
    :param rows: rows of other apps that the archive refers to are other rows here
    """

    migrations: bool = False
    rows: bool = False


NOTHING = Accepted()


@dataclass(frozen=True)
class RestoreOptions:
    """What is asked for.

    :param kind: `sql` or `fixtures`
    :param apps: with fixtures, the apps to load; empty for all
    :param target: restore beside the live database, under this name
    :param into_live: replace the apps' rows in the live database
    :param elsewhere: fill a database elsewhere
    :param before: commands that run in the application's environment before the live database is changed
    :param after: and afterwards, also where the restore failed
    :param drop_older_than: days: afterwards, drop the kept databases that are older; 0 for all, None for none
    :param accepted: with fixtures, what is loaded although it is not as the archive has it
    """

    kind: str
    apps: tuple[str, ...] = ()
    target: str = ""
    into_live: bool = False
    elsewhere: bool = False
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    allowed_extensions: tuple[str, ...] = ()
    skip_safety_backup: bool = False
    skip_settings: bool = False
    drop_older_than: float | None = None
    accepted: Accepted = NOTHING


@dataclass(frozen=True)
class Plan:
    """The way of a restore and its stages, in order; what holds in each list stands at the head of this file."""

    way: str
    prepare: tuple[Stage, ...] = ()
    stopped: tuple[Stage, ...] = ()
    finish: tuple[Stage, ...] = ()


def plan_of(options: RestoreOptions, *, dry_run: bool = False) -> Plan:
    """Given what is asked for, return the stages of the restore.

    :param dry_run: check mode: stages that need what was not made are left out
    :raises SettingsError: what is asked for does not go together
    """
    _check(options)
    if options.elsewhere:
        return Plan(ELSEWHERE, (Stage.FILL,))
    if options.target:
        return Plan(BESIDE, (Stage.CREATE, Stage.LOAD, Stage.SETTLE))
    save = () if options.skip_safety_backup else (Stage.SAVE,)
    if options.into_live:
        return Plan(LIVE, stopped=(*save, Stage.REPLACE))
    if dry_run:
        return Plan(SWAP, (Stage.CREATE, Stage.LOAD))
    return Plan(
        SWAP,
        prepare=(Stage.CREATE, Stage.LOAD),
        stopped=(*save, Stage.SWAP, *((Stage.SAVE_BETWEEN,) if save else ())),
        finish=() if options.drop_older_than is None else (Stage.DROP_PREVIOUS,),
    )


def check_archive(archive: str, at: str, file: str, before_loss: str = "") -> None:
    """Given a key (`latest` for the newest archive), a time, a file and what has lost rows, each perhaps empty, check
    that one archive is meant.

    :raises SettingsError: it is more than one
    """
    if sum((archive not in ("", "latest"), bool(at), bool(file), bool(before_loss))) > 1:
        raise SettingsError(
            "archive, at, before_loss and archive_file exclude each other",
            "give one of them, or none for the newest archive",
        )


def _check(options: RestoreOptions) -> None:
    if options.kind not in (SQL, FIXTURES):
        raise SettingsError(
            f"the source is {options.kind!r}",
            "say -e source=sql for an exact copy, or -e source=fixtures, with -e apps=auth,checkouts for some of them",
        )
    if options.kind == SQL and options.apps:
        raise SettingsError("SQL is restored as a whole", "take fixtures as the source to restore some apps")
    if sum((bool(options.target), options.elsewhere, options.into_live)) > 1:
        raise SettingsError("target_database, target_url and into=live exclude each other", "give one of them, or none")
    if options.kind == SQL and (options.into_live or options.elsewhere):
        raise SettingsError(
            "SQL goes into a new PostgreSQL database only",
            "take fixtures as the source for the live database and for target_url",
        )
    if options.skip_safety_backup and options.drop_older_than == 0:
        raise SettingsError(
            "skip_safety_backup and drop_previous (or keep_previous_days: 0) exclude each other: no copy of what is"
            " replaced would remain",
            "leave one of them out, and drop what is kept later",
        )
    _check_commands((*options.before, *options.after))


def _check_commands(commands: Sequence[object]) -> None:
    for command in commands:
        if not isinstance(command, (list, tuple)) or not command:
            raise SettingsError(
                f"the command {command!r} is not a list of words",
                "write each command like [sudo, -n, systemctl, stop, checkniner]",
            )
