"""Bringing data back into a new database, and proving it. The running database is not touched here.

A restore is: `inspect` the archive, create a database (postgres/admin.py), `restore_sql` or `restore_fixtures` into it
as its owner, and only then swap. Each stage is a function, so that a playbook can give each to the user whom it needs.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .application import check_user, read_activate
from .errors import ArchiveError, ProofError, RestoreError
from .leftovers import clean_up
from .postgres.dsn import Dsn, parse_url
from .proof import NOT_PROVEN, Proof, prove_sql
from .settings import Settings

if TYPE_CHECKING:
    from .account import Account
    from .archive_reader import ArchiveMember, ArchiveReader
    from .manifest import Manifest, Member

log = logging.getLogger(__name__)

Progress = Callable[[int], None]
"""Is told how many bytes more were read."""

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """An archive on this machine, and what opens it: its session key, or else the keyring of whoever runs this."""

    path: Path
    session_key: str = field(default="", repr=False)
    gnupg_home: Path | None = None
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Inspection:
    """What an archive says of itself; of one without a manifest, only members that were read are known."""

    manifest: Manifest | None
    members: tuple[Member, ...]

    @property
    def database(self) -> dict[str, Any]:
        """The manifest's facts on the database; empty where there is no manifest."""
        return dict(self.manifest.database) if self.manifest else {}


@contextmanager
def opened(source: Source) -> Iterator[ArchiveReader]:
    """Given an archive, yield a reader of its members. Nothing is proven before the reader has come to the end.

    :raises ArchiveError: it cannot be read, or is damaged
    :raises EncryptionError: the key does not fit
    """
    from .archive_reader import Limits, read
    from .gpg_stream import DecryptingReader

    try:
        file = source.path.open("rb")
    except OSError as error:
        raise ArchiveError(f"cannot open {source.path}: {error.strerror}", "name an archive that is there") from None
    # What cannot fit on this machine's disk is no dump of its database: so much for bombs.
    limits = Limits(total=shutil.disk_usage(source.path.parent).total)
    with file:
        plain = is_plain(file.read(2))
        file.seek(0)
        if plain:
            yield read(file, limits)
            return
        with DecryptingReader(
            file, session_key=source.session_key or None, home=source.gnupg_home, passphrase=source.passphrase
        ) as stream:
            yield read(stream, limits)


def is_plain(head: bytes) -> bool:
    """Given an archive's first bytes, return whether it is not encrypted."""
    return head[:2] == _GZIP


def inspect(source: Source, *, verify: bool = False) -> Inspection:
    """Given an archive, return what its beginning says.

    :param verify: read all of it, so that every member is compared with the manifest
    :raises ArchiveError: it is damaged, as far as it was read
    """
    with opened(source) as reader:
        found = tuple(reader.drain()) if verify else ()
        return Inspection(reader.manifest, reader.manifest.members if reader.manifest else found)


def check_application(settings: Settings, inspection: Inspection) -> None:
    """Given an archive's own words, refuse one of another application.

    :raises RestoreError: it is not this application's
    """
    manifest = inspection.manifest
    if manifest and manifest.application != settings.name:
        raise RestoreError(
            f"the archive is of the application {manifest.application!r}, this is {settings.name!r}",
            "check the bucket and prefix; to restore it all the same, set checkniner_backups_name to its name",
        )


def owner_dsn(settings: Settings) -> tuple[Dsn, dict[str, str]]:
    """Given the settings, return the application's own way to its database, and the application's environment."""
    environment = read_activate(settings.virtualenv)
    return parse_url(environment["DATABASE_URL"]), environment


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
    return load_and_prove(live.to(database), source, skip_settings=skip_settings, progress=progress)


def load_and_prove(
    dsn: Dsn,
    source: Source,
    *,
    skip_settings: bool = False,
    account: Account | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Given the way to a new, empty database as its owner, load the archive's SQL and prove it; see `restore_sql`.

    :param account: who runs `psql`, if not ourselves
    """
    from .postgres.load import load_sql
    from .postgres.properties import apply_properties

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
    apply_properties(dsn, facts)
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
    from .fixtures_restore import into_new, target_of

    check_user()
    clean_up(settings)
    live, _ = owner_dsn(settings)
    with target_of(settings, live.to(database).url()) as target:
        return into_new(target, source, apps, other_migrations=other_migrations, progress=progress)


def told(member: ArchiveMember, progress: Progress | None) -> Iterator[bytes]:
    """Given a member of an archive, yield its bytes, and tell how many they are."""
    for chunk in member.chunks():
        if progress:
            progress(len(chunk))
        yield chunk


def checked(proof: Proof) -> Proof:
    """Given a proof, return it.

    :raises ProofError: something differs
    """
    if proof.failed:
        raise ProofError(
            f"what was restored is {proof.words}",
            "the running database is unchanged; take another archive, or report this",
        )
    return proof
