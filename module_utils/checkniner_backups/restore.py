"""Bringing data back into a new database, and proving it. The running database is not touched here.

A restore is: `inspect` the archive, create a database (postgres/admin.py), `restore_sql` or `restore_fixtures` into it
as its owner, and only then swap. Each stage is a function, so that a playbook can give each to the user whom it needs.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .application import check_user, read_activate, run_command
from .errors import ArchiveError, ProofError, RestoreError
from .postgres.dsn import Dsn, parse_url
from .proof import NOT_PROVEN, Proof, prove_sql
from .settings import Settings

if TYPE_CHECKING:
    from .archive_reader import ArchiveReader
    from .manifest import Manifest, Member

log = logging.getLogger(__name__)

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


def restore_sql(settings: Settings, source: Source, database: str, *, skip_settings: bool = False) -> Proof:
    """Given a new, empty database that belongs to the application's role, load the archive's SQL and prove it.

    :param skip_settings: leave out the settings that `ALTER DATABASE` had made
    :raises ProofError: what was loaded differs from the manifest
    :raises BackupsError: anything else; the new database is then good for nothing but to be dropped
    """
    from .postgres.load import load_sql
    from .postgres.properties import apply_properties

    check_user()
    live, _ = owner_dsn(settings)
    dsn = live.to(database)
    loaded = False
    with opened(source) as reader:
        for member in reader:
            if member.name.endswith(".sql") and not loaded:
                log.info("loading %s into %s", member.name, database)
                load_sql(dsn, member.chunks(), _prepared_schemas(reader.manifest))
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
    return _checked(prove_sql(dsn, manifest, skip_settings=skip_settings))


def _prepared_schemas(manifest: Manifest | None) -> set[str]:
    """Return the schemas that an administrator has made already, with the extensions that only a superuser may."""
    extensions = manifest.database.get("extensions", ()) if manifest else ()
    return {each["schema"] for each in extensions if not each["trusted"]}


def restore_fixtures(settings: Settings, source: Source, database: str, apps: Iterable[str] = ()) -> Proof:
    """Given a new, empty database that belongs to the application's role, migrate it, load fixtures and prove them.

    :param apps: labels of the apps to load; empty for all that the archive holds
    :raises ProofError: what was loaded differs from the archive
    :raises BackupsError: anything else; the new database is then good for nothing but to be dropped
    """
    check_user()
    live, environment = owner_dsn(settings)
    python = str(settings.virtualenv / "bin" / "python")
    environment["DATABASE_URL"] = live.to(database).url()
    log.info("migrating %s", database)
    migrate = [python, "-m", "django", "migrate", "--no-input", "--verbosity", "0"]
    status = run_command(migrate, settings.application_path, environment)
    if status:
        raise RestoreError(f"migrate ended with status {status}", "its own words stand above")
    return load_fixtures(settings, source, environment, apps)


def load_fixtures(settings: Settings, source: Source, environment: dict[str, str], apps: Iterable[str]) -> Proof:
    """Given the application's environment on a migrated database, load fixtures in one transaction and prove them.

    :raises ProofError: what was loaded differs from the archive
    """
    from .fixtures import FixturesProcess
    from .fixtures_proof import prove_fixtures
    from .state import scratch_folder

    wanted = tuple(apps)
    python = settings.virtualenv / "bin" / "python"
    with (
        scratch_folder(settings.state_path) as folder,
        FixturesProcess.start(python, settings.application_path, environment, folder) as process,
    ):
        with opened(source) as reader:
            chosen = _choose(reader, wanted)
            report = process.load(chosen, _members(reader, chosen), empty=True)
            manifest = reader.manifest
        log.info("loaded %d objects", sum(report.objects.values()))
        return _checked(prove_fixtures(process, manifest, chosen))


def _choose(reader: ArchiveReader, wanted: tuple[str, ...]) -> tuple[str, ...]:
    if reader.manifest is None:
        return wanted
    there = tuple(member.name[:-5] for member in reader.manifest.members if member.name.endswith(".json"))
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        raise RestoreError(
            f"the archive holds no fixture of {', '.join(unknown)}", f"it holds those of {', '.join(there)}"
        )
    return tuple(app for app in there if not wanted or app in wanted)


def _members(reader: ArchiveReader, apps: tuple[str, ...]) -> Iterator[tuple[str, Iterator[bytes]]]:
    for member in reader:
        if member.name.endswith(".json") and (not apps or member.name[:-5] in apps):
            yield member.name[:-5], member.chunks()


def _checked(proof: Proof) -> Proof:
    if proof.failed:
        raise ProofError(
            f"what was restored is {proof.words}",
            "the running database is unchanged; take another archive, or report this",
        )
    return proof
