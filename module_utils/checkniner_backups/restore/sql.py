"""Bringing data back into a new database, and proving it. The running database is not touched here.

A restore is: `inspect` the archive (source.py), create a database (postgres/admin.py), `restore_sql` or
`restore_fixtures` into it as its owner, and only then swap. Each stage is a function, so that a playbook can give each
to the user whom it needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..archive.file import Progress, Source, opened, told
from ..django_app.environment import check_user, owner_dsn
from ..errors import ArchiveError
from ..postgres.dsn import Dsn
from ..settings import Settings
from ..system.stale_files import clean_up
from ..verify.database import NOT_PROVEN, Proof, checked, prove_sql

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..system.accounts import Account

log = logging.getLogger(__name__)


def restore_sql(
    settings: Settings, source: Source, database: str, *, skip_settings: bool = False, progress: Progress | None = None
) -> Proof:
    """Given a new, empty database that belongs to the application's role, load the archive's SQL and prove it.

    :param skip_settings: leave out the settings that `ALTER DATABASE` had made
    :raises ProofError: what was loaded differs from the manifest
    :raises BackupsError: anything else; the new database is then good for nothing but to be dropped
    """
    check_user()
    clean_up(settings)
    live, _ = owner_dsn(settings)
    return load_and_prove(live.to(database), source, skip_settings=skip_settings, progress=progress, live=live.database)


def load_and_prove(
    dsn: Dsn,
    source: Source,
    *,
    skip_settings: bool = False,
    account: Account | None = None,
    progress: Progress | None = None,
    live: str = "",
) -> Proof:
    """Given the way to a new, empty database as its owner, load the archive's SQL and prove it; see `restore_sql`.

    :param account: who runs `psql`, if not ourselves
    :param live: what the database will be called, for messages
    """
    from ..postgres.load import load_sql
    from ..postgres.properties import apply_properties

    loaded = False
    with opened(source) as reader:
        for member in reader:
            if member.name.endswith(".sql") and not loaded:
                log.info("loading %s into %s", member.name, dsn.database)
                load_sql(dsn, told(member, progress), _prepared_schemas(reader.manifest), account)
                loaded = True
        manifest = reader.manifest
    if not loaded:
        raise ArchiveError("the archive holds no SQL", "restore from fixtures, or take another archive")
    if manifest is None:
        return NOT_PROVEN
    facts = dict(manifest.database)
    if skip_settings:
        facts["settings"] = []
    apply_properties(dsn, facts, live)
    log.info("comparing %d tables with the manifest", len(manifest.tables))
    return checked(prove_sql(dsn, manifest, skip_settings=skip_settings))


def _prepared_schemas(manifest: Manifest | None) -> set[str]:
    """Return the schemas that an administrator has made already, with the extensions that only a superuser may."""
    extensions = manifest.database.get("extensions", ()) if manifest else ()
    return {each["schema"] for each in extensions if not each["trusted"]}


def restore_fixtures(
    settings: Settings,
    source: Source,
    database: str,
    apps: Iterable[str] = (),
    *,
    other_migrations: bool = False,
    progress: Progress | None = None,
) -> Proof:
    """Given a new, empty database that belongs to the application's role, migrate it, load fixtures and prove them.

    :param apps: labels of the apps to load; empty for all that the archive holds
    :param other_migrations: load although the application's migrations are not the archive's
    :raises ProofError: what was loaded differs from the archive
    :raises BackupsError: anything else; the new database is then good for nothing but to be dropped
    """
    from .fixtures import into_new
    from .target import target_of

    check_user()
    clean_up(settings)
    live, _ = owner_dsn(settings)
    with target_of(settings, live.to(database).url()) as target:
        return into_new(target, source, apps, other_migrations=other_migrations, progress=progress)
