"""A restored database has the encoding and the locale of the old one, whatever this server's default is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from checkniner_backups.archive.manifest import Manifest
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.metadata import database_metadata
from checkniner_backups.postgres.session import connect
from checkniner_backups.restore.databases import Databases
from checkniner_backups.verify.database import verify_sql

from sandbox.postgres import Cluster

PROPERTIES = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text,
       coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale') -- called so from PostgreSQL 17 on
FROM pg_database d WHERE datname = %s
"""


@pytest.fixture(scope="module")
def other() -> Iterator[Cluster]:
    """A server whose default is ICU's German in UTF8, as `initdb --locale-provider=icu` makes one."""
    with Cluster() as cluster:
        cluster.create_role("app", "secret")
        for statement in (
            "CREATE DATABASE german TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'",
            "CREATE DATABASE latin OWNER app TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'",
            "CREATE DATABASE icu OWNER app TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
            "CREATE DATABASE libc OWNER app TEMPLATE template0 ENCODING UTF8 LOCALE 'C.UTF-8'",
            "ALTER DATABASE template0 RENAME TO template0_of_libc",
            "ALTER DATABASE german RENAME TO template0",
            "ALTER DATABASE template0 WITH IS_TEMPLATE true",
            "UPDATE pg_database SET datcollversion = NULL WHERE datname = 'template0'",  # as initdb does
        ):
            cluster.execute(statement)
        yield cluster


def created(cluster: Cluster, live: str, facts: dict[str, object]) -> str:
    return Databases(parse_url(cluster.admin_url()), live).create("app", facts, ()).database


@pytest.mark.parametrize("live", ["latin", "icu", "libc"])
@pytest.mark.parametrize("manifest", ["none", "whole", "of PostgreSQL 14"])
def test_the_locale_is_the_old_ones(other: Cluster, live: str, manifest: str) -> None:
    """Without a manifest, it is that of the database that is replaced."""
    wanted = other.execute(PROPERTIES, (live,))
    facts: dict[str, object] = {}
    if manifest != "none":
        with connect(parse_url(other.url(live, "app", "secret"))) as connection:
            facts = database_metadata(connection)
        if manifest == "of PostgreSQL 14":
            if live == "icu":
                pytest.skip("14 has no ICU database")
            facts["locale"] = {}
    new = created(other, live, facts)
    assert other.execute(PROPERTIES, (new,)) == wanted
    proof = verify_sql(parse_url(other.url(new, "app", "secret")), manifest_of(facts))
    assert not proof.failed, proof.summary


def manifest_of(facts: dict[str, object]) -> Manifest:
    from datetime import datetime, timezone

    return Manifest("checkniner", datetime.now(timezone.utc), (), facts)


def test_without_manifest_and_live_database_it_is_utf8(other: Cluster) -> None:
    for name, statement in (("gone", ""), ("gone_too", "latin")):
        if statement:  # a server whose template is Latin 1: a locale that fits UTF8 is taken then
            other.execute("ALTER DATABASE template0 RENAME TO template0_icu")
            other.execute("CREATE DATABASE template0 TEMPLATE latin IS_TEMPLATE true")
            other.execute("UPDATE pg_database SET datcollversion = NULL WHERE datname = 'template0'")
        try:
            new = created(other, name, {})
            assert other.execute(PROPERTIES, (new,))[0][0] == "UTF8"
        finally:
            if statement:
                other.execute("ALTER DATABASE template0 IS_TEMPLATE false")
                other.execute("DROP DATABASE template0")
                other.execute("ALTER DATABASE template0_icu RENAME TO template0")


def test_another_locale_is_not_proven(other: Cluster) -> None:
    with connect(parse_url(other.url("icu", "app", "secret"))) as connection:
        facts = database_metadata(connection)
    dsn = parse_url(other.url("icu", "app", "secret"))

    def words(locale: dict[str, str], **others: object) -> str:
        return verify_sql(dsn, manifest_of({**facts, "locale": locale, **others})).summary

    assert "locale" in words({"datlocprovider": "i", "daticulocale": "de-DE"})
    assert "locale" in words({"datlocprovider": "c"})
    assert "locale" in words({"datlocprovider": "i", "daticulocale": "en-US", "daticurules": "&V << w"})
    # The same by the names of later servers, which write it in their own way.
    assert "NOT" not in words({"datlocprovider": "i", "datlocale": "en-US"}, server_major=17)
    assert "NOT" not in words({"datlocprovider": "i", "datlocale": "en_US"}, server_major=17)
    assert "NOT" not in words({"datlocprovider": "i", "datlocale": "en-US-u-ks-level2"}, server_major=17)
    assert "locale" in words({"datlocprovider": "i", "datlocale": "de-DE-u-ks-level2"}, server_major=17)
