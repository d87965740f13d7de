"""A drill: a stored archive is restored both ways into a throwaway server, and compared with all that there is.

It runs where the private key is. SQL and fixtures each get a new database; both are compared with the manifest and,
dumped by the application, with each other. What came of it is recorded in the store, beside the archives.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..archive.file import ArchiveFile, inspect, is_plain
from ..django_app.environment import Code, read_activate
from ..errors import BackupsError, DatabaseError, RestoreError, StoreError
from ..restore.databases import Databases
from ..restore.sql import load_and_verify
from ..system.accounts import unprivileged
from .record import BAD, FOLDER, GOOD, UNPROVEN, Rehearsed, Result, record

if TYPE_CHECKING:
    from ..archive.file import Inspection
    from ..postgres.dsn import Dsn
    from ..restore.target import Target
    from ..storage.catalog import Archive
    from ..storage.s3 import Store
    from .throwaway import Throwaway

log = logging.getLogger(__name__)

NOT_DRILLED = "not drilled: no code of the application on this machine"
_HEAD = 65536
"""Bytes that are fetched for the session key."""
_NO_ROLE = re.compile(r'role "([^"]+)" does not exist')
_ROLES = 20
"""So many roles an archive without a manifest may name."""


@dataclass(frozen=True)
class Plan:
    """What to expect and what to use.

    :param application: name of the application whose archives these are
    :param code: None: SQL alone is drilled
    :param gnupg_home: the operator's keyring, if it is not the usual one
    :param allowed_extensions: that only a superuser may create
    """

    application: str
    code: Code | None = None
    gnupg_home: Path | None = None
    allowed_extensions: tuple[str, ...] = ()
    skip_settings: bool = False


def choose_archives(store: Store, archive: str = "latest", at: str = "", count: int = 0) -> list[Archive]:
    """Given what is wanted, return the archives to drill; with a count, so many random ones.

    :raises NotFoundError: there is none
    """
    from ..storage.catalog import all_archives, choose

    if count < 1:
        return [choose(store, archive, at)]
    found = list(all_archives(store)) or [choose(store)]
    chosen = secrets.SystemRandom().sample(found, min(count, len(found)))
    return sorted(chosen, key=lambda each: each.stamp, reverse=True)


def drill(store: Store, archive: Archive, plan: Plan) -> Result:
    """Given a stored archive, restore it both ways into a throwaway server and compare; a failure is a result too.

    :raises DatabaseError: this machine has no PostgreSQL server: nothing was drilled
    """
    from .throwaway import throwaway

    started = time.monotonic()
    words = {"sql": "not reached", "fixtures": "not reached", "both": "not reached"}
    verdict, size = BAD, archive.size
    with throwaway(unprivileged(plan.code.path if plan.code else None)) as server:
        try:
            fetched, size = _fetched(store, archive, server, plan)
            verdict = _Rehearsal(server, fetched, plan, words).run()
        except BackupsError as error:
            log.error("%s: %s", archive.key, error.message)
            stage = next((name for name, said in words.items() if said == "not reached"), "both")
            words[stage] = f"FAILED: {error.message}"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Result(archive.key, verdict, **words, size=size, seconds=time.monotonic() - started, at=now)


def _fetched(store: Store, archive: Archive, server: Throwaway, plan: Plan) -> tuple[ArchiveFile, int]:
    """Bring the archive here, encrypted as it is, and ask the operator's agent for the key of this one archive.

    :returns: it, and its size in bytes
    """
    from ..openpgp.keyring import session_key

    head = store.read_head(archive.key, _HEAD)
    key = "" if is_plain(head, archive.name) else session_key(head, plan.gnupg_home)
    path = server.work / archive.name
    return ArchiveFile(path, key), store.download(archive.key, path).size


class _Rehearsal:
    """One archive in one throwaway server. `words` says how far it came."""

    def __init__(self, server: Throwaway, archive: ArchiveFile, plan: Plan, words: dict[str, str]) -> None:
        self._server = server
        self._archive = archive
        self._plan = plan
        self._words = words
        self._inspection: Inspection = inspect(archive)
        self._password = secrets.token_urlsafe(24)
        self._role = _loader(self._inspection, plan.application)

    def run(self) -> str:
        """Restore both ways and compare; return the verdict."""
        self._check_application()
        self._make_roles()
        sql = self._load_sql()
        proven = self._inspection.manifest is not None
        if self._plan.code is None:
            self._words.update(fixtures=NOT_DRILLED, both=NOT_DRILLED)
        else:
            self._compare(self._plan.code, sql)
        return GOOD if proven else UNPROVEN

    def _check_application(self) -> None:
        manifest = self._inspection.manifest
        if manifest and manifest.application != self._plan.application:
            raise RestoreError(f"it is of the application {manifest.application!r}, not {self._plan.application!r}")

    def _make_roles(self) -> None:
        """Make the roles that the dump names: the real server has them."""
        if not self._server.create_role(self._role, self._password):
            raise RestoreError(f"most of it belongs to the role {self._role!r}, which this server has for itself")
        manifest = self._inspection.manifest
        if not manifest:
            return
        metadata = manifest.database
        named = {*metadata.get("roles", ()), metadata.get("owner", ""), *(table["owner"] for table in manifest.tables)}
        named |= {row[0] for key in ("privileges", "settings") for row in metadata.get(key, ())}
        named |= {each["role"] for each in metadata.get("owners", ())}
        for role in sorted(named - {"", "PUBLIC", self._role}):
            if not role.startswith("pg_"):  # the server's own, which are there or are missed
                self._server.create_role(role)
        # Only what owns tables: more rights than the real role has would hide a fault.
        for owner in sorted({table["owner"] for table in manifest.tables} - {self._role}):
            self._server.grant(owner, self._role)

    def _new_database(self, name: str) -> Dsn:
        made = Databases(self._server.admin, name).create(
            self._role, self._inspection.database, self._plan.allowed_extensions,
            kind=name, skip_settings=self._plan.skip_settings,
        )  # fmt: skip
        return self._server.dsn(made.database, self._role, self._password)

    def _load_sql(self) -> Dsn:
        found: list[str] = []
        while len(found) < _ROLES:
            database = self._new_database("sql")
            self._server.let_create(database.database, found)
            try:
                verification = load_and_verify(
                    database, self._archive, skip_settings=self._plan.skip_settings, account=self._server.account
                )
            except DatabaseError as error:
                # What an archive without a manifest does not say, PostgreSQL does.
                missing = _NO_ROLE.search(error.message)
                # The SQL can write such an error itself: a role that is there is not missing.
                if self._inspection.manifest or not missing or not self._server.create_role(missing[1]):
                    raise
                self._server.grant(missing[1], self._role)
                found.append(missing[1])
            else:
                self._words["sql"] = verification.summary
                return database
        raise RestoreError(f"the archive names more than {_ROLES} roles")

    def _compare(self, code: Code, sql: Dsn) -> None:
        from ..restore.fixtures import into_new
        from ..verify.fixtures import digest_fixtures

        fixtures = self._new_database("fixtures")
        verification = into_new(self._target(code, fixtures), self._archive)
        self._words["fixtures"] = verification.summary
        with self._target(code, fixtures).started() as process:
            of_fixtures = digest_fixtures(process, without=process.connection_info().views)
        with self._target(code, sql).started() as process:
            of_sql = digest_fixtures(process, without=process.connection_info().views)
        differing = sorted(
            app
            for app in of_fixtures.digests.keys() | of_sql.digests.keys()
            if of_fixtures.digests.get(app) != of_sql.digests.get(app)
        )
        if differing:
            self._words["both"] = f"NOT equal: the fixtures of {', '.join(differing)} differ"
            raise RestoreError(f"what was restored from SQL and from fixtures differs in {', '.join(differing)}")
        self._words["both"] = f"equal: {len(of_sql.digests)} apps, {of_sql.objects} objects"

    def _target(self, code: Code, database: Dsn) -> Target:
        from ..restore.target import Target

        environment = read_activate(code.virtualenv, self._server.account, needs_database=False)
        environment |= {**code.environment, "DATABASE_URL": database.url()}
        python = code.virtualenv / "bin" / "python"
        return Target(python, code.path, environment, self._server.work, self._server.account)


def _loader(inspection: Inspection, application: str) -> str:
    """Return the role that the application has on its server: the one that most tables belong to."""
    owners = Counter(table["owner"] for table in inspection.manifest.tables) if inspection.manifest else Counter()
    return owners.most_common(1)[0][0] if owners else str(inspection.database.get("owner") or application)


def rehearse(store: Store, archives: Sequence[Archive], plan: Plan) -> Iterator[Rehearsed]:
    """Given archives, drill one after the other; yield what came of each, also where it cannot be recorded.

    :raises ApplicationError: the application is not on this machine: nothing was drilled
    """
    if plan.code:
        read_activate(plan.code.virtualenv, unprivileged(plan.code.path), needs_database=False)
    for archive in archives:
        log.info("drilling %s", archive.key)
        result = drill(store, archive, plan)
        try:
            yield Rehearsed(result, record(store, result))
        except StoreError as error:
            log.error("%s", error.message)
            yield Rehearsed(result, "", f"NOT recorded: {error.message}; drills need keys that may put below {FOLDER}")
