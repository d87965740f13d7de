"""A look into the past: an archive in a throwaway server, and the application's own pages over it, read-only.

It runs where the private key is, in a process of its own (`system/background`) that ends by itself. The application
connects as a role that owns nothing and may write nothing, so no page and no code of it can change what is shown.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import errors
from ..archive.file import inspect
from ..django_app.sources import code_environment
from ..errors import BackupsError, SettingsError
from ..postgres.session import administer, connect, fetch_all, fetch_one
from ..rehearsal.throwaway import throwaway
from ..rehearsal.trial import Conditions, Trial
from ..system import background
from ..system.accounts import unprivileged
from .drill import fetch

if TYPE_CHECKING:
    from ..django_app.environment import Code
    from ..postgres.dsn import Dsn
    from ..rehearsal.throwaway import Throwaway
    from ..storage.catalog import Archive
    from ..storage.s3 import Store
    from .drill import Plan

_SCHEMAS = """
    SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
_DEFINERS = """
    SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.prosecdef AND n.nspname !~ '^pg_'
"""
"""Routines that run with their owner's rights, which are those to write."""


@dataclass(frozen=True)
class Peek:
    """What is served.

    :param process: for `background.stop`
    :param url: works once
    :param user: the superuser that the visitor is logged in as; empty for nobody
    :param admin: the path of the admin's first page; empty where the application has none
    :param summary: what was proven of the archive
    """

    process: str
    archive: str
    url: str
    user: str
    admin: str
    summary: str

    @property
    def sentence(self) -> str:
        """Return what there is to see, for people."""
        if self.user:
            who = f"You are logged in as {self.user}."
        elif self.admin:
            who = "The old data know no superuser that may enter the admin: you see the pages without login."
        else:
            who = "The application has no admin at the usual name: you see its pages without login."
        return f"{self.archive}: {self.summary}. {who} Nothing can be changed."


def peek(store: Store, archive: Archive, plan: Plan, minutes: float) -> Peek:
    """Given a stored archive, serve the application's pages over it, until the play that has started us is gone.

    :param minutes: the longest that all of it lasts
    :raises BackupsError: it cannot be restored, or the application does not start; nothing is left
    """
    code = plan.code
    if code is None:
        raise SettingsError(
            "there is no code of the application on this machine",
            "checkniner_backups_drill_application_path and checkniner_backups_drill_virtualenv name a checkout",
        )
    code_environment(code, unprivileged(code.path))
    guardian = background.ancestor("ansible")

    def work(report: background.Report) -> None:
        try:
            _serve(store, archive, plan, code, report)
        except BackupsError as error:
            told = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
            report(json.dumps(told).encode())
        except Exception as error:  # noqa: BLE001  nobody else hears of it
            line = " ".join(str(error).split())[:300]
            told = {"error": "BackupsError", "message": f"unexpected {type(error).__name__}: {line}"}
            report(json.dumps({**told, "hint": "a fault of ours: please report it"}).encode())

    process, told = background.start(work, guardian, minutes * 60)
    result: dict[str, Any] = json.loads(told or "{}")
    if not result:
        raise BackupsError("the process that shows the old data ended without a word", f"it had {minutes:g} minutes")
    if "error" in result:
        kind: type[BackupsError] = getattr(errors, result["error"])
        raise kind(result["message"], result["hint"])
    return Peek(process=process, archive=archive.key, **result)


def _serve(store: Store, archive: Archive, plan: Plan, code: Code, report: background.Report) -> None:
    """Serve until we are interrupted."""
    with throwaway(unprivileged(code.path)) as server:
        fetched, _ = fetch(store, archive, server, plan)
        inspect(fetched, trust=plan.trust, key=archive.key)
        # Isolated: a page of yesterday must not send mails or fill the caches of today.
        conditions = Conditions(
            plan.application, code, allowed_extensions=plan.allowed_extensions, skip_settings=plan.skip_settings,
            isolated=True,
        )  # fmt: skip
        trial = Trial(server, fetched, conditions)
        trial.prepare()
        database, summary = trial.load_sql()
        token = secrets.token_urlsafe(24)
        with trial.target(code, reader(server, database)).started() as process:
            site = process.visit(token)
            url = f"http://127.0.0.1:{site.port}/peek/{token}"
            report(json.dumps({"url": url, "user": site.user, "admin": site.admin, "summary": summary}).encode())
            process.wait()


def reader(server: Throwaway, database: Dsn) -> Dsn:
    """Given a restored database, make a role that may read all of it and write nothing; return its way there."""
    from psycopg import sql

    name, password = f"peek_{secrets.token_hex(6)}", secrets.token_urlsafe(24)
    server.create_role(name, password)
    with connect(database) as connection:
        path = fetch_one(connection, "SELECT pg_catalog.current_schemas(false)")[0]
    role, here = sql.Identifier(name), sql.Identifier(database.database)
    statements = [
        # Policies of rows are not for the tables' owner, as whom the application has its connection.
        sql.SQL("ALTER ROLE {} BYPASSRLS").format(role),
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(role),
        # "$user" is another one here.
        sql.SQL("ALTER ROLE {} SET search_path = {}").format(
            role, sql.SQL(", ").join(sql.Identifier(each) for each in path or ["pg_catalog"])
        ),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(here, role),
        sql.SQL("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC").format(here),
    ]
    with administer(server.admin.to(database.database)) as connection:
        for (schema,) in fetch_all(connection, _SCHEMAS):
            names = {"schema": sql.Identifier(schema), "role": role}
            statements += [
                sql.SQL(text).format(**names)
                for text in (
                    "GRANT USAGE ON SCHEMA {schema} TO {role}",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
                    "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
                    "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC",
                    "REVOKE USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} FROM PUBLIC",
                )
            ]
        for (routine,) in fetch_all(connection, _DEFINERS):
            statements.append(sql.SQL("REVOKE EXECUTE ON ROUTINE {} FROM PUBLIC").format(sql.SQL(routine)))
        for statement in statements:
            connection.execute(statement)
    return server.dsn(database.database, name, password)
