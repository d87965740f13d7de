"""What the application says about itself, about a dump and about a load: plain values, checked once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import SettingsError

NOISY_APPS = frozenset({"admin", "axes", "contenttypes", "django_celery_results", "sessions", "silk"})
"""Apps that record what was done, and hold nothing that somebody entered: their change alone is worth no archive."""


@dataclass(frozen=True)
class Model:
    """A model of the application.

    :param label: `auth.user`
    :param table: its `db_table`, as Django has it
    :param fields: the column of each field that has one
    :param through: the table of each many-to-many field that Django made itself
    """

    label: str
    table: str
    proxy: bool
    managed: bool
    fields: Mapping[str, str]
    through: Mapping[str, str]


@dataclass(frozen=True)
class RoutedModel:
    """A model that a database router keeps out of the fixtures.

    :param tables: its table, and those of its many-to-many fields, as Django has them
    :param read_here: whether the router reads it from the database that is backed up, as django-tenants does
    """

    tables: tuple[str, ...]
    read_here: bool

    def is_in(self, has_table: Callable[[str], bool]) -> bool:
        """Given what tells whether the database has a table of a name in any schema, return whether its rows are."""
        return self.read_here and has_table(self.tables[0])


@dataclass(frozen=True)
class Registry:
    """The models of the application, in the order of the fixtures.

    :param django, python: versions
    :param apps: the models of each app that has a fixture
    :param elsewhere: the models that a database router keeps out of the fixtures, by app and label
    """

    django: str
    python: str
    apps: Mapping[str, tuple[Model, ...]]
    elsewhere: Mapping[str, Mapping[str, RoutedModel]]

    @classmethod
    def parse(cls, message: Mapping[str, Any]) -> Registry:
        """Given the `ready` message, return the registry."""
        models = message["models"]
        apps = {app: tuple(Model(**model) for model in models[app]) for app in message["apps"]}
        elsewhere = {
            app: {label: RoutedModel(tuple(each["tables"]), each["read_here"]) for label, each in routed.items()}
            for app, routed in message["elsewhere"].items()
        }
        return cls(django=message["django"], python=message["python"], apps=apps, elsewhere=elsewhere)

    def business_apps(self, named: Sequence[str], has_table: Callable[[str], bool]) -> tuple[str, ...]:
        """Given the apps that the settings name, return the business apps.

        Where none is named, these are all apps that have rows in the database, but `NOISY_APPS`.

        :param has_table: whether the database has a table of this name in any schema
        :raises SettingsError: a named one is not an app with models, or has a model that no archive would hold
        """
        if not named:
            routed = {app for app, each in self.elsewhere.items() if any(one.is_in(has_table) for one in each.values())}
            return tuple(sorted({*self.apps, *routed} - NOISY_APPS))
        unknown = sorted(set(named) - {*self.apps, *self.elsewhere})
        if unknown:
            known = ", ".join(sorted({*self.apps, *self.elsewhere}))
            raise SettingsError(
                f"the application has no app {', '.join(unknown)}", f"the apps that have models: {known}"
            )
        missing = [
            label
            for app in named
            for label, routed in self.elsewhere.get(app, {}).items()
            if not routed.is_in(has_table)
        ]
        if missing:
            raise SettingsError(
                f"a database router keeps {', '.join(missing)} out of the database that is backed up: no archive would"
                " hold what a business app holds",
                "leave the app out of checkniner_backups_business_apps, and save that other database by other means;"
                " what of the app is in this one stays in every archive, but its change alone saves none",
            )
        return tuple(named)

    def models_in_no_archive(self, has_table: Callable[[str], bool]) -> Mapping[str, tuple[str, ...]]:
        """Given what tells whether a table is there in any schema, return the labels of the models that a router keeps
        in another database, by app."""
        found = {
            app: tuple(label for label, each in routed.items() if not each.is_in(has_table))
            for app, routed in self.elsewhere.items()
        }
        return {app: labels for app, labels in found.items() if labels}

    def require(self, apps: Sequence[str]) -> tuple[str, ...]:
        """Given labels of apps, return them in the order of the fixtures.

        :raises SettingsError: one of them is not an app with models; names those that are
        """
        unknown = sorted(set(apps) - set(self.apps))
        if unknown:
            hint = f"the apps that have models are {', '.join(sorted(self.apps))}"
            raise SettingsError(f"the application has no app {', '.join(unknown)}", hint)
        return tuple(app for app in self.apps if app in apps)

    def tables(self, apps: Sequence[str]) -> tuple[str, ...]:
        """Given labels of apps, return the tables of their models and many-to-many fields, as Django names them.

        Those of models that a router reads from this database are among them.
        """
        found: dict[str, None] = {}
        for app in apps:
            for model in self.apps.get(app, ()):
                if not model.proxy:
                    found[model.table] = None
                found.update(dict.fromkeys(model.through.values()))
            for routed in self.elsewhere.get(app, {}).values():
                if routed.read_here:
                    found.update(dict.fromkeys(routed.tables))
        return tuple(found)

    def table_of(self, label: str) -> str:
        """Given a model's label (`auth.user`), return its table.

        :raises SettingsError: there is no such model
        """
        return self._model(label).table

    def column_of(self, path: str) -> tuple[str, str]:
        """Given `auth.user.last_login`, return table and column.

        :raises SettingsError: there is no such field, or it has no column
        """
        label, _, field = path.lower().rpartition(".")
        model = self._model(label)
        by_name = {name.lower(): column for name, column in model.fields.items()}
        if field not in by_name:
            raise SettingsError(f"{label} has no field {field}", f"it has {', '.join(model.fields)}")
        return model.table, by_name[field]

    def _model(self, label: str) -> Model:
        for models in self.apps.values():
            for model in models:
                if model.label == label:
                    return model
        raise SettingsError(f"the application has no model {label}", "write it as app.model, in lower case")


@dataclass(frozen=True)
class ModelReport:
    """How one model was dumped.

    :param way: `fast` by PostgreSQL, `django` by its serializer
    :param why: why not the fast way
    """

    label: str
    objects: int
    way: str
    why: str


@dataclass(frozen=True)
class FixturesReport:
    """What a dump held.

    :param apps: number of objects of each app
    :param migrations: names of the applied migrations of each app
    :param search_path: the schemas in which the application finds its tables; empty elsewhere than in PostgreSQL
    :param missing: the apps whose fixture could not be read, with the reason
    :param inexact: the apps whose fixture is not exact, with what is not
    """

    apps: Mapping[str, int]
    models: tuple[ModelReport, ...]
    warnings: tuple[str, ...]
    migrations: Mapping[str, tuple[str, ...]]
    search_path: tuple[str, ...]
    django: str
    python: str
    missing: Mapping[str, str] = field(default_factory=dict)
    inexact: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(
        cls, message: Mapping[str, Any], registry: Registry, apps: Mapping[str, int], missing: Mapping[str, str]
    ) -> FixturesReport:
        """Given the `report` message, the objects of each app, and the apps that failed, return the report."""
        return cls(
            apps=dict(apps),
            models=tuple(ModelReport(**model) for model in message["models"]),
            warnings=tuple(message["warnings"]),
            migrations={app: tuple(names) for app, names in message["migrations"].items()},
            search_path=tuple(message["search_path"]),
            django=registry.django,
            python=registry.python,
            missing=dict(missing),
            inexact={app: tuple(lines) for app, lines in message["inexact"].items()},
        )

    def entered(self, apps: Collection[str]) -> int:
        """Given apps, return how many of their objects somebody entered: without those that `migrate` makes."""
        made = ("auth.permission", "contenttypes.contenttype", "sites.site")
        return sum(
            model.objects for model in self.models if model.label.split(".")[0] in apps and model.label not in made
        )

    def for_manifest(self) -> dict[str, Any]:
        """Return what the manifest keeps, ready for JSON."""
        return {
            "django": self.django,
            "python": self.python,
            "apps": dict(self.apps),
            "objects": {model.label: model.objects for model in self.models},
            "migrations": {app: list(names) for app, names in self.migrations.items()},
            **({"missing": dict(self.missing)} if self.missing else {}),
            **({"inexact": {app: list(lines) for app, lines in self.inexact.items()}} if self.inexact else {}),
        }


@dataclass(frozen=True)
class LoadReport:
    """What was loaded.

    :param apps: those whose members came
    :param objects: number of objects of each model
    :param digests: `FixtureDigest` (hex) of each app's member
    :param copied: number of objects of each model that went in by COPY, past Django
    :param others: rows of other apps that the loaded ones refer to, and that are other rows than they were
    """

    apps: tuple[str, ...]
    objects: Mapping[str, int]
    digests: Mapping[str, str]
    copied: Mapping[str, int] = field(default_factory=dict)
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConnectionInfo:
    """The database that an application's process is connected to.

    :param vendor: `postgresql`, `sqlite`
    :param tables: number of tables there
    :param migrations: names of the applied migrations of each app
    :param unmanaged: what lies behind each model that no migration makes, by label: `table`, `view` or `absent`
    """

    vendor: str
    name: str
    host: str
    tables: int
    migrations: Mapping[str, tuple[str, ...]]
    unmanaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def views(self) -> frozenset[str]:
        """Labels of the models that show rows of other tables."""
        return frozenset(label for label, kind in self.unmanaged.items() if kind == "view")

    @classmethod
    def parse(cls, message: Mapping[str, Any]) -> ConnectionInfo:
        """Given the `connection_info` message, return what it says."""
        migrations = {app: tuple(names) for app, names in message["migrations"].items()}
        return cls(
            message["vendor"], message["name"], message["host"], message["tables"], migrations, message["unmanaged"]
        )


class Member(Protocol):
    """Where one app's fixture goes."""

    def write(self, data: bytes, /) -> object:
        """Take these bytes."""

    def close(self) -> object:
        """That was all."""

    def abort(self) -> object:
        """What was written is worth nothing."""
