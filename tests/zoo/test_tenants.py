"""django-tenants: a schema for each tenant, with tables of the same names; some apps shared, some not, some both."""

from __future__ import annotations

import pytest

from tests.plugins.zoo import Tried

from . import independent
from .project import Project
from .rounds import Rounds, restorer_of

_SETTINGS = """
DATABASES["default"]["ENGINE"] = "django_tenants.postgresql_backend"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
SHARED_APPS = ["django_tenants", "customers", *DJANGO_APPS]
TENANT_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.admin", "crm"]
INSTALLED_APPS = [*SHARED_APPS, "crm"]
MIDDLEWARE.insert(0, "django_tenants.middleware.main.TenantMainMiddleware")
TENANT_MODEL, TENANT_DOMAIN_MODEL = "customers.Client", "customers.Domain"
"""

_CUSTOMERS = """
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Client(TenantMixin):
    name = models.CharField(max_length=40)
    until = models.DateField(null=True)
    auto_create_schema = True


class Domain(DomainMixin):
    pass
"""

_CRM = """
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Person(models.Model):
    name = models.CharField(max_length=40)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    friends = models.ManyToManyField("self")
    tags = ArrayField(models.CharField(max_length=10), default=list)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [GinIndex(fields=["data"])]
        constraints = [models.CheckConstraint(condition=~models.Q(name=""), name="named")]
"""

_FILL = """
from django.contrib.auth.models import Group, Permission, User
from django_tenants.utils import schema_context
from customers.models import Client, Domain
from crm.models import Person
public = Client.objects.create(schema_name="public", name="Everybody")
Domain.objects.create(domain="zoo.example", tenant=public, is_primary=True)
root = User.objects.create_superuser("root", "root@example.org", "x")
for number, schema in enumerate(["alpha", "beta", "Weird-Name"]):
    client = Client(schema_name=schema, name=f"Client \\u2603 {schema}")
    client.save()
    Domain.objects.create(domain=f"{schema.lower()}.zoo.example", tenant=client, is_primary=True)
    with schema_context(schema):
        user = User.objects.create_user(f"user-of-{schema}", password="x")
        group = Group.objects.create(name=f"group of {schema}")
        group.permissions.add(*Permission.objects.filter(codename__endswith="person"))
        user.groups.add(group)
        people = [
            Person.objects.create(
                name=f"{schema} {n}", owner=user if n % 2 else None, tags=["a", "b,c", '"'],
                data={"n": [n, None, "\\u2603"]})
            for n in range(30 + number)]
        people[0].friends.add(people[1], people[2])
        people[4].delete()
"""


@pytest.mark.applications
class TestTenants(Rounds):
    rehearsed = "cannot be rehearsed"  # SQL can; fixtures do not hold the tenants' rows, and say so
    project = Project(
        requirements="django-tenants==4.0.1\n",
        settings=_SETTINGS,
        files={
            "customers/models.py": _CUSTOMERS,
            "customers/migrations/__init__.py": "",
            "crm/models.py": _CRM,
            "crm/migrations/__init__.py": "",
        },
        commands=("makemigrations --verbosity=0 customers crm", "migrate_schemas --shared --verbosity=0"),
        fill=_FILL,
    )

    def test_fixtures_bring_back_every_object(self, tried: Tried) -> None:
        """Those of the shared schema: the application shows no other, and the restore says whose rows it lacks."""
        database, url = tried.database, tried.database.admin_url
        restorer = restorer_of(tried)
        name = restorer.databases.create(database.user, restorer.metadata(), (), kind="fixtures").database
        found = restorer.load(name, "fixtures")
        assert found["proven"] is False, found
        lacking = {table: rows for table, rows in independent.rows(url).items() if table.partition(".")[0] != "public"}
        rows = {
            table: len(each) for table, each in lacking.items() if each and not table.endswith(".django_migrations")
        }
        assert len(rows) > 20
        assert f"NOT whole: {sum(rows.values())} rows of {len(rows)} tables" in found["words"]
        assert "; the rest is proven: fixtures of" in found["words"]
        restored = independent.objects(database.cluster.admin_url(name))
        shared = {table: rows for table, rows in independent.objects(url).items() if table.startswith("public.")}
        assert independent.differences(shared, restored) == []
        assert independent.sequences_behind(database.cluster.admin_url(name)) == []
