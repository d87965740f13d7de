"""A database URL with options: what psycopg is given, what PostgreSQL's programs are told, what is refused."""

from __future__ import annotations

import dj_database_url
import psycopg
import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.postgres.dsn import as_django_reads, parse_url
from checkniner_backups.postgres.options import check_one_server

URL = "postgres://web:hidden-word@db.example:6000/shop?"

DJANGOS = (
    "pool=true", "isolation_level=4", "server_side_binding=true", "disable_server_side_cursors=true",
    "conn_max_age=60", "CONN_MAX_AGE=60", "conn_health_checks=true", "prepare_threshold=0", "atomic_requests=true",
    "client_encoding=LATIN1",
)  # fmt: skip


@pytest.mark.parametrize("option", DJANGOS)
def test_djangos_own_options_stay_with_django(option: str) -> None:
    dsn, plain = parse_url(URL + option), parse_url(URL)
    assert dsn.arguments() == plain.arguments()
    assert dsn.environment() == plain.environment()
    assert option.lower() in dsn.url().lower()  # the application's next URL says what this one said


def test_the_users_time_limit_wins_and_our_name() -> None:
    dsn = parse_url(URL + "connect_timeout=5&application_name=web")
    assert dsn.environment()["PGCONNECT_TIMEOUT"] == "5"
    assert dsn.environment()["PGAPPNAME"] == "checkniner-backups"
    assert dsn.arguments()["connect_timeout"] == "5"
    assert dsn.arguments()["application_name"] == "checkniner-backups"
    assert parse_url(URL).environment()["PGCONNECT_TIMEOUT"] == "10"


def test_every_option_with_a_variable_reaches_the_programs() -> None:
    """libpq's own list is the measure, so that nothing is forgotten when it grows."""
    from checkniner_backups.postgres.options import VARIABLES

    ours = {"user", "password", "dbname", "host", "port", "application_name", "client_encoding"}
    known = {each.keyword.decode(): each.envvar for each in psycopg.pq.Conninfo.get_defaults()}
    for name, variable in known.items():
        if variable and name not in ours:
            environment = parse_url(f"{URL}{name}=11").environment()
            assert environment[variable.decode()] == "11", name
    assert set(VARIABLES) <= known.keys()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("sslpassword=hidden-word", "'sslpassword', which PostgreSQL's own programs cannot be told"),
        ("replication=database", "'replication', which PostgreSQL's own programs cannot be told"),
        ("oauth_scope=x", "'oauth_scope', which PostgreSQL's own programs cannot be told"),
        ("ssl_mode=require", "'ssl_mode', which PostgreSQL's own programs cannot be told"),
        ("assume_role=reader", "another role after connecting"),
        ("sslmode=require&sslmode=disable", "'sslmode' twice"),
        ("host=one.example&host=two.example", "'host' twice"),
    ],
)
def test_what_cannot_be_told_is_refused(option: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        parse_url(URL + option)
    assert refused.value.hint
    assert "hidden-word" not in str(refused.value)


def test_a_connection_is_kept_alive_as_the_user_says() -> None:
    dsn = parse_url(URL + "keepalives_idle=30")
    assert dsn.arguments()["keepalives_idle"] == "30"
    assert dsn.environment() == parse_url(URL).environment()


def test_parts_that_stand_among_the_options_are_parts() -> None:
    """As Django has it: the URL's own part wins, but for the database's name."""
    dsn = parse_url("postgres:///shop?host=/run/My-Sockets&port=6001&user=web&password=hidden-word")
    assert (dsn.host, dsn.port, dsn.user, dsn.password) == ("/run/My-Sockets", "6001", "web", "hidden-word")
    assert dsn.options == ()
    environment = dsn.environment()
    assert environment["PGHOST"] == "/run/My-Sockets"
    assert environment["PGPASSWORD"] == "hidden-word"
    assert parse_url(dsn.url()) == dsn
    assert "hidden-word" not in repr(dsn)

    both = parse_url(URL + "host=other.example&user=other&dbname=other")
    assert (both.host, both.user, both.database) == ("db.example", "web", "other")
    assert both.to("new").arguments()["dbname"] == "new"
    assert parse_url(both.to("new").url()).database == "new"


def test_a_search_path_is_told_to_all() -> None:
    for query in ("options=-c%20search_path%3Dapp", "currentSchema=app"):
        dsn = parse_url(URL + query)
        assert dsn.arguments()["options"] == dsn.environment()["PGOPTIONS"] == "-c search_path=app"
        assert parse_url(dsn.url()) == dsn
        assert "+" not in dsn.url()  # libpq reads it as a plus


@pytest.mark.parametrize("scheme", ["postgis", "timescale", "timescalegis", "psqlextra", "django-postgres-extra"])
def test_the_scheme_of_another_backend_stays(scheme: str) -> None:
    dsn = parse_url(f"{scheme}://web:hidden-word@db.example:6000/shop?sslmode=require")
    assert dsn == parse_url("postgres://web:hidden-word@db.example:6000/shop?sslmode=require")
    assert dsn.to("new").url() == f"{scheme}://web:hidden-word@db.example:6000/new?sslmode=require"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "pgsql"])
def test_the_plain_backend_has_one_scheme(scheme: str) -> None:
    assert parse_url(f"{scheme}:///shop").url() == "postgresql:///shop"


@pytest.mark.parametrize("scheme", ["mysql", "sqlite", "oracle", "mssql", "cockroach", "nonesuch", ""])
def test_another_database_is_refused(scheme: str) -> None:
    with pytest.raises(SettingsError):
        parse_url(f"{scheme}://web@db.example/shop")


def test_variables_say_what_the_url_does_not() -> None:
    environment = {
        "PGUSER": "other", "PGPASSWORD": "hidden-word", "PGHOST": "other.example", "PGPORT": "7000",
        "PGSSLMODE": "require", "PGOPTIONS": "-c work_mem=5MB", "PGDATABASE": "other", "PGTZ": "UTC",
    }  # fmt: skip
    dsn = parse_url("postgres://web@db.example/shop?sslmode=disable").completed(environment)
    assert (dsn.database, dsn.user, dsn.host, dsn.port) == ("shop", "web", "db.example", "7000")
    assert dsn.password == "hidden-word"
    assert dict(dsn.options) == {"sslmode": "disable", "options": "-c work_mem=5MB"}
    assert "hidden-word" not in repr(dsn)


@pytest.mark.parametrize(
    ("network", "host", "port"),
    [
        ("one.example:6000,two.example:6001", "one.example,two.example", "6000,6001"),
        ("one.example:6000,two.example", "one.example,two.example", "6000,5432"),
        ("[::1]:6000,[::2]:6001", "::1,::2", "6000,6001"),
        ("one.example,two.example", "one.example,two.example", ""),
        ("one.example,two.example:6000", "one.example,two.example", "6000"),  # as Django takes it: of both
    ],
)
def test_several_hosts(network: str, host: str, port: str) -> None:
    url = f"postgresql://web:hidden%2Cword@{network}/shop?target_session_attrs=standby"
    dsn = parse_url(url)
    assert (dsn.host, dsn.port, dsn.user, dsn.password, dsn.database) == (host, port, "web", "hidden,word", "shop")
    assert dsn.options == (("target_session_attrs", "standby"),)
    # Django's reader, which the application gives the URL to, finds the same.
    found = dj_database_url.parse(as_django_reads(url))
    options = found.get("OPTIONS", {})
    assert options.get("host", found["HOST"]) == host
    assert str(options.get("port", found["PORT"])) == port
    assert parse_url(dsn.url()) == dsn


@pytest.mark.parametrize(
    "url", ["postgresql:///shop", "postgresql://a,b@one.example:6000/shop", "postgresql://[::1/shop"]
)
def test_what_names_no_several_hosts_stays(url: str) -> None:
    assert as_django_reads(url) == url


def test_readers_that_may_meet_different_servers_are_refused() -> None:
    for options in ("target_session_attrs=prefer-standby", "load_balance_hosts=random"):
        several = parse_url(f"postgresql://one.example:6000,two.example:6001/shop?{options}")
        with pytest.raises(SettingsError, match=options):
            check_one_server(several.host, several.options)
        alone = parse_url(f"postgresql://one.example:6000/shop?{options}")
        check_one_server(alone.host, alone.options)
    primary = parse_url("postgresql://a:1,b:2/shop?load_balance_hosts=random&target_session_attrs=read-write")
    check_one_server(primary.host, primary.options)
