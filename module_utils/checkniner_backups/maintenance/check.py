"""Everything that a tick needs, tried without changing anything: for set-up, and for a person who wonders."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..backup.changes import MIGRATIONS_TABLE
from ..backup.coverage import coverage
from ..django_app.environment import check_user
from ..django_app.sources import application_dsn, owner_dsn
from ..errors import DatabaseError, SettingsError, StoreError
from ..postgres.dsn import parse_url
from ..postgres.extensions import unloadable_rows
from ..postgres.metadata import database_metadata
from ..postgres.preflight import unfit
from ..postgres.programs import dump_program
from ..postgres.session import connect_directly, fetch_all, reading_hint, server_major
from ..postgres.standby import in_recovery
from ..settings import ACTIVATE, UNIT, Settings

if TYPE_CHECKING:
    from ..postgres.snapshot import Snapshot


_HIDDEN = "SELECT oid::pg_catalog.int8 FROM pg_catalog.pg_class WHERE pg_catalog.row_security_active(oid)"


def _check_rows_are_seen(snapshot: Snapshot) -> None:
    hidden = {row[0] for row in fetch_all(snapshot.connection, _HIDDEN)}
    names = [table.quoted for table in snapshot.tables if table.oid in hidden]
    if names:
        raise DatabaseError(
            f"row-level security may hide rows of {', '.join(names)} from the role {snapshot.dsn.user}",
            reading_hint("row-level security"),
        )


def open_passwords(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Given the application's environment, return what is wrong where everybody can read its password, one text
    each."""
    source = settings.environment_source
    if source.startswith(UNIT):
        return []  # systemd shows `Environment=` to everybody, and says so
    path = settings.virtualenv / "bin" / "activate" if source == ACTIVATE else Path(source)
    holds_one = environment.get("PGPASSWORD") or parse_url(environment["DATABASE_URL"]).password
    if holds_one and path.stat().st_mode & stat.S_IROTH and not settings.database_url:
        return [f"everybody on this machine can read the database's password in {path}: chmod o-r {path}"]
    return []


def _check_monitoring(settings: Settings) -> None:
    """Return if each ping's template can be used, and the metrics can be written.

    :raises SettingsError: one cannot; the message names the variable or the folder
    """
    metrics = settings.metrics_file
    if metrics and not (metrics.parent.is_dir() and os.access(metrics.parent, os.W_OK | os.X_OK)):
        raise SettingsError(
            f"the metrics cannot be written into {metrics.parent}",
            "the owner must be able to make files in that folder: docs/monitoring.md has a command for it",
        )
    if settings.pings:
        from ..monitoring.events import TICK, EventPings

        EventPings(TICK, settings.pings).check()


def _protection(settings: Settings) -> str:
    """Given the settings, return in words what protects the archives in the bucket. No refusal of the store is a
    fault."""
    from ..storage.fences import Fences, fences

    try:
        found = fences(settings.store)
    except StoreError:
        found = Fences()
    return f"{'WARNING: ' if found.weak else ''}{found.stated}; {found.thief}"


def check(settings: Settings) -> list[str]:
    """Given the settings, try the parts one by one; return one line about each.

    :raises BackupsError: the first part that cannot be used, with a hint
    """
    from ..django_app.process import FixturesProcess
    from ..openpgp.keyring import Keyring
    from ..openssh.signing import public_key
    from ..postgres.snapshot import exported_snapshot
    from ..state.folder import PATIENCE, State
    from ..storage.arrival import UNVERIFIED
    from ..storage.s3 import Store

    check_user()
    _check_monitoring(settings)
    lines = []
    dsn, environment = application_dsn(settings)
    with connect_directly(dsn) as connection:
        major = server_major(connection)
        role = owner_dsn(settings)[0].user
        problems = unfit(connection, database_metadata(connection), role or dsn.user)
        problems += unloadable_rows(connection, role or dsn.user)
        standby = in_recovery(connection)
    lines.append(f"{dsn}: PostgreSQL {major}, read by {dump_program(major)}")
    if standby:
        lines.append("the server is a hot standby: an archive holds what has been replayed there")
    with exported_snapshot(dsn, settings.lock_timeout) as snapshot:
        _check_rows_are_seen(snapshot)
        lines.append(f"every one of {len(snapshot.tables)} tables can be locked and read")
        lines += [
            f"WARNING: an archive's SQL will not load as the application's role {role}: {each}" for each in problems
        ]
        # Within the snapshot: which tables count is asked of the same tables.
        state = State(settings.state_path)
        with state.lock(PATIENCE), state.work_folder() as folder:
            python = settings.virtualenv / "bin" / "python"
            with FixturesProcess.start(python, settings.application_path, environment, folder) as process:
                registry = process.registry
        counted = coverage(registry, settings.business_apps, snapshot, MIGRATIONS_TABLE)
    lines.append(f"Django {registry.django}: business apps {', '.join(counted.apps)}, {len(counted.tables)} tables")
    if counted.quiet_apps:
        lines.append(f"in each archive, but their change alone saves none: the apps {', '.join(counted.quiet_apps)}")
    lines += [f"WARNING: {each}" for each in (*counted.warnings(), *open_passwords(settings, environment))]
    if settings.encryption:
        for fingerprint in settings.recipients:
            status = Keyring(settings.gnupg_home).usable_for_encryption(fingerprint)
            end = f"until {status.expires:%Y-%m-%d}" if status.expires else "without end"
            lines.append(f"key {fingerprint} can encrypt, {end}")
    else:
        lines.append("encryption is OFF: archives can be read by whoever reads the bucket")
    signing_key = public_key(settings.state_path)
    lines.append(
        f"archives are signed by {signing_key.fingerprint}"
        if signing_key
        else "WARNING: archives are not signed, for this server has no signing key yet: setup-backups.yml makes one"
    )
    store = Store(settings.store)
    store.check()
    lines.append(f"{store} can be listed")
    lines.append(_protection(settings))
    saved = state.load()
    if saved and not saved.verified:
        lines.append(f"WARNING: whether the last archive in the store is what was sent cannot be known: {UNVERIFIED}")
    return lines
