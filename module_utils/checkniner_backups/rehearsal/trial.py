"""One archive restored both ways into a throwaway server, and compared: the core of a drill and of a rehearsal.

What prepares the databases here is what a real restore calls, under the same preflight, and the role that loads has no
more rights than the real one. Who calls decides what a failure means.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..archive.file import inspect
from ..django_app.environment import Code
from ..django_app.sources import code_environment
from ..errors import DatabaseError, RehearsalError, RestoreError
from ..restore.databases import Databases
from ..restore.sql import load_and_verify

if TYPE_CHECKING:
    from ..archive.file import ArchiveFile, Inspection
    from ..postgres.dsn import Dsn
    from ..restore.target import Target
    from ..verify.database import Verification
    from .throwaway import Throwaway

_NO_ROLE = re.compile(r'role "([^"]+)" does not exist')
_ROLES = 20
"""So many roles an archive without a manifest may name."""


@dataclass(frozen=True)
class Conditions:
    """How things are on the real server, and what of the application is at hand.

    :param application: name of the application whose archive it is
    :param code: the application's code; None: fixtures cannot be tried
    :param role: the role that loads; empty: the one that most tables belong to
    :param memberships: roles that the loading role may act as; None: those that own tables
    :param tablespaces: that the loading role may create in; None: all
    :param allowed_extensions: that only a superuser may create, and that a restore may
    :param skip_settings: leave out the settings that `ALTER DATABASE` had made
    :param isolated: the application's code reaches none of its other services, as far as its settings decide that
    """

    application: str
    code: Code | None = None
    role: str = ""
    memberships: Collection[str] | None = None
    tablespaces: Collection[str] | None = None
    allowed_extensions: Sequence[str] = ()
    skip_settings: bool = False
    isolated: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


class Trial:
    """One archive in one throwaway server. Call `prepare` first."""

    def __init__(self, server: Throwaway, archive: ArchiveFile, conditions: Conditions) -> None:
        self._server = server
        self._archive = archive
        self._conditions = conditions
        self._password = secrets.token_urlsafe(24)
        self.inspection: Inspection = inspect(archive)
        self._role = conditions.role or _loader(self.inspection, conditions.application)

    def prepare(self) -> None:
        """Make what the real server has: the roles that the dump names, and the folders of tablespaces.

        :raises RestoreError: the archive is of another application
        :raises RehearsalError: this server cannot have the same
        """
        manifest = self.inspection.manifest
        if manifest and manifest.application != self._conditions.application:
            raise RestoreError(
                f"it is of the application {manifest.application!r}, not {self._conditions.application!r}"
            )
        if not self._server.create_role(self._role, self._password):
            raise RehearsalError(f"most of it belongs to the role {self._role!r}, which this server has for itself")
        if not manifest:
            return
        metadata = manifest.database
        named = {*metadata.get("roles", ()), metadata.get("owner", ""), *(table["owner"] for table in manifest.tables)}
        named |= {row[0] for key in ("privileges", "settings") for row in metadata.get(key, ())}
        named |= {each["role"] for each in metadata.get("owners", ())}
        named |= {row[0] for row in metadata.get("role_settings", ())}
        for role in sorted(named - {"", "PUBLIC", self._role}):
            if not role.startswith("pg_"):  # the server's own, which are there or are missed
                self._server.create_role(role)
        # More rights than the real role has would hide a fault.
        owners = {table["owner"] for table in manifest.tables} - {self._role}
        given = self._conditions.memberships
        for owner in sorted(owners if given is None else set(given) & named - {self._role}):
            self._server.grant(owner, self._role)
        usable = self._conditions.tablespaces
        for name in metadata.get("tablespaces", ()):
            self._server.create_tablespace(name, self._role if usable is None or name in usable else "")
        for role, setting in metadata.get("role_settings", ()):
            self._server.set_for_role(role, setting)

    def load_sql(self) -> tuple[Dsn, str]:
        """Restore from SQL.

        :returns: the database, and what was proven
        :raises RehearsalError: this server cannot be prepared as a real one would be
        :raises BackupsError: a restore would fail
        """
        found: list[str] = []
        while len(found) < _ROLES:
            database = self._new_database("sql")
            self._server.let_create(database.database, found)
            try:
                verification = load_and_verify(
                    database, self._archive, skip_settings=self._conditions.skip_settings, account=self._server.account
                )
            except DatabaseError as error:
                # What an archive without a manifest does not say, PostgreSQL does.
                missing = _NO_ROLE.search(error.message)
                # The SQL can write such an error itself: a role that is there is not missing.
                if self.inspection.manifest or not missing or not self._server.create_role(missing[1]):
                    raise
                self._server.grant(missing[1], self._role)
                found.append(missing[1])
            else:
                return database, verification.summary
        raise RestoreError(f"the archive names more than {_ROLES} roles")

    def load_fixtures(self, code: Code, apps: Sequence[str] = ()) -> tuple[Dsn, Verification]:
        """Restore from fixtures.

        :param apps: labels of the apps to load; empty for all that the archive holds
        :returns: the database, and what was proven
        :raises BackupsError: as `load_sql`
        """
        from ..restore.fixtures import into_new

        database = self._new_database("fixtures")
        return database, into_new(self.target(code, database), self._archive, apps)

    def compare(self, code: Code, sql: Dsn, fixtures: Dsn, apps: Sequence[str] = ()) -> str:
        """Given the two databases, dump both by the application and compare; return what was found.

        :param apps: labels of the apps to compare; empty for all
        :raises RestoreError: they differ
        """
        from ..verify.fixtures import digest_fixtures

        with self.target(code, fixtures).started() as process:
            of_fixtures = digest_fixtures(process, without=process.connection_info().views)
        with self.target(code, sql).started() as process:
            of_sql = digest_fixtures(process, without=process.connection_info().views)
        labels = {app for app in of_fixtures.digests.keys() | of_sql.digests.keys() if not apps or app in apps}
        differing = sorted(app for app in labels if of_fixtures.digests.get(app) != of_sql.digests.get(app))
        if differing:
            raise RestoreError(f"what was restored from SQL and from fixtures differs in {', '.join(differing)}")
        return f"equal: {len(labels)} apps, {of_sql.objects} objects"

    def _new_database(self, name: str) -> Dsn:
        try:
            made = Databases(self._server.admin, name).create(
                self._role, self.inspection.database, self._conditions.allowed_extensions,
                kind=name, skip_settings=self._conditions.skip_settings,
            )  # fmt: skip
        except DatabaseError as error:
            # An administrator's statement, which a real server may well carry out: a library that is preloaded there.
            raise RehearsalError(
                f"a throwaway server cannot be prepared as the real one is: {error.message}", error.hint
            ) from None
        return self._server.dsn(made.database, self._role, self._password)

    def target(self, code: Code, database: Dsn) -> Target:
        """Given the application's code and a database here, return the code pointed at the database."""
        from ..restore.target import Target

        environment = dict(self._conditions.environment) or code_environment(code, self._server.account)
        environment["DATABASE_URL"] = database.url()
        python = code.virtualenv / "bin" / "python"
        return Target(
            python, code.path, environment, self._server.work, self._server.account, self._conditions.isolated
        )


def _loader(inspection: Inspection, application: str) -> str:
    """Return the role that the application has on its server: the one that most tables belong to."""
    owners = Counter(table["owner"] for table in inspection.manifest.tables) if inspection.manifest else Counter()
    return owners.most_common(1)[0][0] if owners else str(inspection.database.get("owner") or application)
