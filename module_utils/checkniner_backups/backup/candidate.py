"""What is to be remembered of an archive that is not published yet: what the next tick compares with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..archive.manifest import fixture_name
from ..state.last_backup import Candidate
from . import changes
from .context import RunContext
from .shrinking import row_counts

if TYPE_CHECKING:
    from ..django_app.registry import Registry
    from ..postgres.snapshot import Snapshot
    from .coverage import Coverage
    from .dump import Dataset
    from .fingerprint import FingerprintReader

Take = Callable[..., "FingerprintReader"]
"""Takes the fingerprint of the business data in the snapshot."""

EVERY_APP = "every app"
"""Stands for the apps where nobody knows which there are."""


def with_fixtures(
    context: RunContext,
    snapshot: Snapshot,
    dataset: Dataset,
    *,
    timestamp: float,
    registry: Registry,
    counted: Coverage,
    take: Take,
) -> Candidate:
    """Given a dump with fixtures, return what to remember of the archive once it is published."""
    apps, names = counted.apps, counted.tables
    ignored: dict[str, list[str]] = {}
    noisy_apps = set()
    for path in context.settings.ignored_fields:
        name, column = registry.column_of(path)
        for table in snapshot.in_every_schema(name):
            for each in snapshot.family(table)[0]:
                ignored.setdefault(each.quoted, []).append(column)
                noisy_apps.add(path.split(".")[0])
    migrations = snapshot.full_name(changes.MIGRATIONS_TABLE)
    taken = take(snapshot, names, migrations, ignored, dataset.digests)
    members = {member.name: member.sha256 for member in dataset.members}
    report = dataset.fixtures
    # A field that is ignored stands in the fixture all the same: there the rows' digests decide alone, if they can.
    left_out = noisy_apps if taken.fingerprint.whole else set()
    fixtures = {app: members[name] for app in apps if app not in left_out and (name := fixture_name(app)) in members}
    return Candidate(
        at=timestamp, archive_settings=context.settings.archive_settings(), database_id=context.dsn.database_id(),
        snapshot_token=snapshot.token,
        business_tables=names, ignored=ignored, fingerprint=taken.fingerprint, row_versions=taken.row_versions,
        fixtures=fixtures,
        full_check_at=timestamp, django=registry.django,
        migrations_table=migrations, warnings=tuple(counted.warnings()),
        missing=dict(report.missing) if report else {},
        rows=row_counts(snapshot, names, dataset.digests),
        inexact={app: list(lines) for app, lines in report.inexact.items()} if report else {},
        models={model.label: model.table for models in registry.apps.values() for model in models if not model.proxy},
    )  # fmt: skip


def without_django(
    context: RunContext, snapshot: Snapshot, dataset: Dataset, *, timestamp: float, broken: str, take: Take
) -> Candidate:
    """Given a dump without fixtures and the reason, return what to remember: last time's tables, or all of them."""
    last = context.saved
    names = last.business_tables if last else tuple(table.full_name for table in snapshot.tables)
    migrations = last.migrations_table if last else snapshot.full_name(changes.MIGRATIONS_TABLE)
    ignored = last.ignored if last else {}
    taken = take(snapshot, names, migrations, ignored, dataset.digests)
    return Candidate(
        at=timestamp, archive_settings=context.settings.archive_settings(), database_id=context.dsn.database_id(),
        snapshot_token=snapshot.token, business_tables=names, ignored=ignored,
        fingerprint=taken.fingerprint, row_versions=taken.row_versions, fixtures={},
        full_check_at=timestamp, django=last.django if last else "", migrations_table=migrations,
        rows=row_counts(snapshot, names, dataset.digests),
        missing=dict.fromkeys(sorted({*last.fixtures, *last.missing}) if last else [EVERY_APP], broken),
        models=last.models if last else {},
    )  # fmt: skip
