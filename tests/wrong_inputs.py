"""Inputs that are wrong: each function makes one so, runs the engine, and puts it right again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import CompletedProcess

import pytest
from psycopg import sql

from sandbox import guard
from sandbox.keys import Keyring
from sandbox.server import Server
from tests import other_settings
from tests.plugins.postgres import Database


@dataclass(frozen=True)
class World:
    """A server that has saved once, and has something new to save: a tick that works would upload."""

    server: Server
    database: Database
    keyring: Keyring  # its own: keys with faults come and go


@contextmanager
def environment(world: World, **changes: str) -> Iterator[None]:
    before = dict(world.server.environment)
    world.server.write_environment(**changes)
    try:
        yield
    finally:
        world.server.environment = before
        world.server.write_environment()


@contextmanager
def activate(world: World, **changes: str) -> Iterator[None]:
    application = world.server.application
    before = dict(application.environment)
    application.environment |= changes
    application.write_activate()
    try:
        yield
    finally:
        application.environment.clear()
        application.environment.update(before)
        application.write_activate()


def tick_with(world: World, **changes: str) -> CompletedProcess[str]:
    with environment(world, **changes):
        return world.server.run("run", check=False)


def tick_of(world: World, **changes: str) -> CompletedProcess[str]:
    with activate(world, **changes):
        return world.server.run("run", check=False)


def no_bucket(world: World) -> CompletedProcess[str]:
    return tick_with(world, S3_BUCKET_NAME="no-such-bucket")


def wrong_secret(world: World) -> CompletedProcess[str]:
    return tick_with(world, S3_SECRET_KEY="wrong-secret-value")


def half_a_secret(world: World) -> CompletedProcess[str]:
    return tick_with(world, S3_SECRET_KEY="")


def no_network(world: World) -> CompletedProcess[str]:
    return tick_with(world, CHECKNINER_BACKUPS_S3_ENDPOINT_URL="http://127.0.0.1:9")


def unknown_recipient(world: World) -> CompletedProcess[str]:
    return tick_with(world, BACKUPS_GPG_RECIPIENT="0123456789ABCDEF0123456789ABCDEF01234567")


def short_recipient(world: World) -> CompletedProcess[str]:
    return tick_with(world, BACKUPS_GPG_RECIPIENT="ops@checkniner.example")


def no_recipient(world: World) -> CompletedProcess[str]:
    return tick_with(world, BACKUPS_GPG_RECIPIENT="")


def _with_key(world: World, make: str) -> CompletedProcess[str]:
    key = getattr(world.keyring, make)()
    world.server.gpg("--import", data=world.keyring.export_public(key))
    return tick_with(world, BACKUPS_GPG_RECIPIENT=key.fingerprint)


def signing_key(world: World) -> CompletedProcess[str]:
    return _with_key(world, "generate_signing_only")


def expired_key(world: World) -> CompletedProcess[str]:
    return _with_key(world, "generate_expired")


def revoked_key(world: World) -> CompletedProcess[str]:
    return _with_key(world, "generate_revoked")


def secret_key(world: World) -> CompletedProcess[str]:
    key = world.keyring.generate("Private")
    home = world.server.state_path / "gnupg-private"
    home.mkdir(mode=0o700)
    world.server.application.owner.own(home)
    argv = ["gpg", "--homedir", str(home), "--batch", "--import"]
    world.server.application.owner.run(argv, input=world.keyring.export_secret(key))
    try:
        changes = {"BACKUPS_GPG_RECIPIENT": key.fingerprint, "CHECKNINER_BACKUPS_GNUPG_HOME": str(home)}
        with environment(world, **changes):
            return world.server.run("run", check=False)
    finally:
        guard.sweep(home)


def another_database(world: World) -> CompletedProcess[str]:
    return tick_of(world, DATABASE_URL="mysql://checkniner:hidden-word@localhost/checkniner")


def no_url(world: World) -> CompletedProcess[str]:
    return tick_of(world, DATABASE_URL="checkniner hidden-word")


def wrong_password(world: World) -> CompletedProcess[str]:
    with activate(
        world, DATABASE_URL=world.database.cluster.url(world.database.name, world.database.user, "hidden-word")
    ):
        return world.server.run("run", check=False)


def no_database(world: World) -> CompletedProcess[str]:
    url = world.database.cluster.url("nonesuch", world.database.user, world.database.password)
    return tick_of(world, DATABASE_URL=url)


def database_down(world: World) -> CompletedProcess[str]:
    return tick_of(world, DATABASE_URL="postgresql://checkniner:hidden-word@127.0.0.1:9/checkniner")


def old_pg_dump(world: World) -> CompletedProcess[str]:
    folder = world.server.application.folder / "clients"
    binaries = folder / "12" / "bin"
    binaries.mkdir(parents=True)
    for name in ("pg_dump", "psql"):
        program = binaries / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 12.22'\n")
        program.chmod(0o755)
    world.server.application.owner.own(folder)
    code = (
        "import sys; from pathlib import Path; from checkniner_backups.cli import main as cli;"
        f" from checkniner_backups.postgres import programs; programs._BINARIES = Path({str(folder)!r});"
        " sys.exit(cli.main(sys.argv[1:]))"
    )
    argv = [world.server.command.with_name("python"), "-I", "-c", code, "--environment", world.server.environment_file]
    # By force: without it, psql would be asked first.
    return world.server.application.owner.run([*argv, "backup", "--force"], check=False)


def no_activate(world: World) -> CompletedProcess[str]:
    return tick_with(world, CHECKNINER_BACKUPS_VIRTUALENV="/nonexistent/venv")


def activate_without_url(world: World) -> CompletedProcess[str]:
    return tick_of(world, DATABASE_URL="")


def broken_application(world: World) -> CompletedProcess[str]:
    with activate(world, DJANGO_SETTINGS_MODULE="checkniner.nonesuch"):
        return world.server.run("check", check=False)


def unknown_app(world: World) -> CompletedProcess[str]:
    return tick_with(world, CHECKNINER_BACKUPS_BUSINESS_APPS="auth,checkuots")


def routed_model(world: World) -> CompletedProcess[str]:
    routed = other_settings.keep_elsewhere(world.server.application, "checkouts.pilotweight")
    with environment(world, CHECKNINER_BACKUPS_BUSINESS_APPS="auth,checkouts"):
        return tick_of(world, **routed)


def closed_table(world: World) -> CompletedProcess[str]:
    cluster, name = world.database.cluster, world.database.name
    cluster.execute("CREATE TABLE public.closed (id integer)", database=name)
    try:
        return world.server.run("run", check=False)
    finally:
        cluster.execute("DROP TABLE public.closed", database=name)


def hidden_rows(world: World) -> CompletedProcess[str]:
    cluster, name = world.database.cluster, world.database.name
    grant = sql.SQL("GRANT SELECT ON public.hiding TO {}").format(sql.Identifier(world.database.user))
    for statement in ("CREATE TABLE public.hiding (id integer)", "ALTER TABLE public.hiding ENABLE ROW LEVEL SECURITY"):
        cluster.execute(statement, database=name)
    cluster.execute(grant, database=name)
    try:
        return world.server.run("run", check=False)
    finally:
        cluster.execute("DROP TABLE public.hiding", database=name)


def as_root(world: World) -> CompletedProcess[str]:
    argv = [world.server.command, "--environment", world.server.environment_file, "run"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})


def no_environment_file(world: World) -> CompletedProcess[str]:
    argv = [world.server.command, "--environment", "/nonexistent/checkniner.env", "run"]
    return world.server.application.owner.run(argv, check=False)


def no_state_folder(world: World) -> CompletedProcess[str]:
    return tick_with(world, CHECKNINER_BACKUPS_STATE_PATH="/nonexistent/state")


def no_archive(world: World) -> CompletedProcess[str]:
    with environment(world, S3_BUCKET_NAME="empty-bucket"):
        return world.server.run("fetch", check=False)


def before_the_first(world: World) -> CompletedProcess[str]:
    return world.server.run("fetch", "--at", "2001-01-01 00:00 UTC", check=False)


def small_files(world: World) -> CompletedProcess[str]:
    # The kernel refuses what is longer than 8 KB, as a full disk would.
    argv = ["prlimit", "--fsize=8192", world.server.command, "--environment", world.server.environment_file, "run"]
    return world.server.application.owner.run(argv, check=False)


def full_disk(world: World) -> CompletedProcess[str]:
    owner, folder = world.server.application.owner, world.server.application.folder / "small"
    folder.mkdir()
    options = f"size=40k,mode=0700,uid={owner.user_id},gid={owner.group_id}"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False, capture_output=True
    ).returncode:
        folder.rmdir()
        pytest.skip("only root may mount a small disk")
    try:
        (folder / "ballast").write_bytes(bytes(24 * 1024))
        home = str(world.server.state_path / "gnupg")
        changes = {"CHECKNINER_BACKUPS_STATE_PATH": str(folder), "CHECKNINER_BACKUPS_GNUPG_HOME": home}
        with environment(world, **changes):
            done = world.server.run("run", check=False)
        assert {path.name for path in folder.rglob("*") if path.is_file()} <= {"ballast", "lock", "last_tick.json"}
        return done
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
