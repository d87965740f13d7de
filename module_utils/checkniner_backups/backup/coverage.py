"""Which tables hold business data, and which hold none as far as is known: nothing stays outside without being named.

A business app's table counts in every schema that has one of its name: django-tenants and its like keep a copy in each
tenant's. A table of no model is in every archive's SQL, but its change alone saves no archive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import shortened

if TYPE_CHECKING:
    from ..django_app.registry import Registry
    from ..postgres.snapshot import Snapshot


@dataclass(frozen=True)
class Coverage:
    """What counts as business data.

    :param apps: labels of the business apps
    :param tables: names of their tables with the schema, as `Snapshot.find` takes them; a name alone where the table
        is missing
    :param quiet_apps: labels of the apps whose change alone saves no archive
    :param unknown: quoted names of the tables that belong to no model
    :param elsewhere: labels of the models that a router keeps in another database, by app
    """

    apps: tuple[str, ...]
    tables: tuple[str, ...]
    quiet_apps: tuple[str, ...]
    unknown: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]]

    def warnings(self) -> list[str]:
        """Return what is outside of every archive, or changes without being noticed; one text each."""
        texts = [
            f"in no archive, for a database router keeps it elsewhere: {', '.join(labels)} of app {app}"
            for app, labels in self.elsewhere.items()
        ]
        if self.unknown:
            texts.append(
                "in each archive's SQL, but of no model of the application, so their change alone saves no archive: "
                + shortened(self.unknown)
            )
        return texts


def coverage(registry: Registry, named: Sequence[str], snapshot: Snapshot, migrations_table: str) -> Coverage:
    """Given the application's models, the apps that the settings name, and a snapshot, return what counts.

    :param named: empty for all apps but those that only record what was done
    :raises SettingsError: a named app is not there, or has a model whose rows would be in no archive
    """

    def has_table(name: str) -> bool:
        return bool(snapshot.in_every_schema(name))

    apps = registry.business_apps(named, has_table)
    names: dict[str, None] = {}
    for name in registry.tables(apps):
        found = snapshot.in_every_schema(name)
        names.update(dict.fromkeys([table.full_name for table in found] or [name]))
    everything = tuple(dict.fromkeys((*registry.apps, *registry.elsewhere)))
    known = {
        each.oid
        for name in (*registry.tables(everything), migrations_table)
        for table in snapshot.in_every_schema(name)
        for each in (table, *snapshot.family(table)[0])
    }
    return Coverage(
        apps=apps,
        tables=tuple(names),
        quiet_apps=tuple(sorted(set(registry.apps) - set(apps))),
        unknown=tuple(table.quoted for table in snapshot.tables if table.has_rows and table.oid not in known),
        elsewhere=registry.models_in_no_archive(has_table),
    )
