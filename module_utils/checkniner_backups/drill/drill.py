"""A drill: a stored archive is restored both ways into a throwaway server, and compared with all that there is.

It runs where the private key is. SQL and fixtures each get a new database; both are compared with the manifest and,
dumped by the application, with each other. What came of it is recorded in the store, beside the archives.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..archive.file import ArchiveFile, inspect, is_plain
from ..django_app.environment import Code
from ..django_app.sources import code_environment
from ..errors import BackupsError, StoreError
from ..rehearsal.trial import Conditions, Trial
from ..settings import DRILLS
from ..system.accounts import unprivileged
from ..system.timestamps import iso
from .record import BAD, GOOD, UNPROVEN, Drilled, Result, record

if TYPE_CHECKING:
    from ..archive.origin import Trust
    from ..rehearsal.throwaway import Throwaway
    from ..storage.catalog import Archive
    from ..storage.s3 import Store

log = logging.getLogger(__name__)

NOT_DRILLED = "not drilled: no code of the application on this machine"
_HEAD = 65536
"""Bytes that are fetched for the session key."""


@dataclass(frozen=True)
class Plan:
    """What to expect and what to use.

    :param application: name of the application whose archives these are
    :param code: None: SQL alone is drilled
    :param gnupg_home: the operator's keyring, if it is not the usual one
    :param allowed_extensions: that only a superuser may create
    :param trust: whose archives are good; None: everybody's
    """

    application: str
    code: Code | None = None
    gnupg_home: Path | None = None
    allowed_extensions: tuple[str, ...] = ()
    skip_settings: bool = False
    trust: Trust | None = None

    @property
    def conditions(self) -> Conditions:
        """What the restore is tried under."""
        return Conditions(
            self.application,
            self.code,
            allowed_extensions=self.allowed_extensions,
            skip_settings=self.skip_settings,
        )


def choose_archives(store: Store, archive: str = "latest", at: str = "", count: int = 0) -> list[Archive]:
    """Given what is wanted, return the archives to drill; with a count, so many random ones.

    :raises NotFoundError: there is none
    """
    from ..storage.catalog import all_archives
    from ..storage.choice import choose

    if count < 1:
        return [choose(store, archive, at)]
    found = list(all_archives(store)) or [choose(store)]
    chosen = secrets.SystemRandom().sample(found, min(count, len(found)))
    return sorted(chosen, key=lambda each: each.stamp, reverse=True)


def drill(store: Store, archive: Archive, plan: Plan) -> Result:
    """Given a stored archive, restore it both ways into a throwaway server and compare; a failure is a result too.

    :raises DatabaseError: this machine has no PostgreSQL server: nothing was drilled
    """
    from ..rehearsal.throwaway import throwaway

    started = time.monotonic()
    words = {"sql": "not reached", "fixtures": "not reached", "both": "not reached"}
    verdict, size, database = BAD, archive.size, {}
    with throwaway(unprivileged(plan.code.path if plan.code else None)) as server:
        try:
            fetched, size = fetch(store, archive, server, plan)
            database = inspect(fetched, trust=plan.trust, key=archive.key).database
            verdict = _restore(Trial(server, fetched, plan.conditions), plan, words)
        except BackupsError as error:
            log.error("%s: %s", archive.key, error.message)
            stage = next((name for name, said in words.items() if said == "not reached"), "both")
            words[stage] = f"FAILED: {error.message}" + (f" ({error.hint})" if error.hint else "")
    now = iso(datetime.now(timezone.utc))
    return Result(
        archive.key, verdict, **words, size=size, seconds=time.monotonic() - started, at=now,
        database=database.get("name", ""), role=database.get("owner", ""),
    )  # fmt: skip


def _restore(trial: Trial, plan: Plan, words: dict[str, str]) -> str:
    """Restore both ways and compare; return the verdict. `words` says how far it came."""
    trial.prepare()
    proven = trial.inspection.manifest is not None
    sql, words["sql"] = trial.load_sql()
    if plan.code is None:
        words.update(fixtures=NOT_DRILLED, both=NOT_DRILLED)
    else:
        fixtures, verification = trial.load_fixtures(plan.code)
        words["fixtures"], proven = verification.summary, verification.proven
        words["both"] = trial.compare(plan.code, sql, fixtures)
    return GOOD if proven else UNPROVEN


def fetch(store: Store, archive: Archive, server: Throwaway, plan: Plan) -> tuple[ArchiveFile, int]:
    """Bring the archive here, encrypted as it is, and ask the operator's agent for the key of this one archive.

    :returns: it, and its size in bytes
    """
    from ..openpgp.keyring import session_key

    head = store.read_head(archive.key, _HEAD)
    key = "" if is_plain(head, archive.name) else session_key(head, plan.gnupg_home)
    path = server.work / archive.name
    return ArchiveFile(path, key), store.download(archive.key, path).size


def run_drills(store: Store, archives: Sequence[Archive], plan: Plan) -> Iterator[Drilled]:
    """Given archives, drill one after the other; yield what came of each, also where it cannot be recorded.

    :raises ApplicationError: the application is not on this machine: nothing was drilled
    """
    if plan.code:
        code_environment(plan.code, unprivileged(plan.code.path))
    for archive in archives:
        log.info("drilling %s", archive.key)
        result = drill(store, archive, plan)
        try:
            yield Drilled(result, record(store, result))
        except StoreError as error:
            log.error("%s", error.message)
            yield Drilled(result, "", f"NOT recorded: {error.message}; drills need keys that may put below {DRILLS}")
