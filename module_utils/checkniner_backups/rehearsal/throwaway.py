"""A PostgreSQL server for a quarter of an hour: one socket in a 0700 folder, no TCP, removed however this ends.

A watcher in a process of its own waits for us to be gone, also by SIGKILL; then it stops the server and removes the
folder. Server, watcher and whoever loads data run as the same unprivileged account.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import DatabaseError, DiskError, RehearsalError
from ..postgres.dsn import Dsn
from ..postgres.programs import client_program
from ..postgres.session import administer
from ..system.accounts import Account
from ..system.files import short_folder
from ..system.stale_files import locked, sweep

_PREFIX = "cb-drill-"
SUPERUSER = "throwaway_superuser"
"""A name that no application's role has: those are made as ordinary roles here."""

_PORT = "5432"
_PATIENCE = 60.0
"""Seconds."""
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_wal_size": "2GB",
    "max_connections": "20",
    "shared_buffers": "32MB",
    "jit": "off",
    "log_min_duration_statement": "-1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Our end of its stdin closes when we are gone. $1 is the folder.
_WATCHER = """
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
rm -rf -- "$1"
"""


@dataclass(frozen=True)
class Throwaway:
    """A running server. `work` is a folder for what else must not outlive it, 0700, the account's."""

    folder: Path
    account: Account
    password: str = field(repr=False)
    _made: set[str] = field(default_factory=set, repr=False, compare=False)
    """Roles that were made here on demand: all others come with the server, and some of them may run programs."""

    @property
    def work(self) -> Path:
        """The folder for other files."""
        return self.folder / "work"

    @property
    def admin(self) -> Dsn:
        """The way to the maintenance database, as the superuser."""
        return Dsn("postgres", SUPERUSER, self.password, str(self.folder), _PORT)

    def dsn(self, database: str, user: str, password: str) -> Dsn:
        """Given a database, a role and its password, return the way there."""
        return Dsn(database, user, password, str(self.folder), _PORT)

    def create_role(self, name: str, password: str = "") -> bool:
        """Given a name, create a role; without a password, one that cannot log in.

        :returns: whether it is new; one that is there stays as it is
        """
        from psycopg import sql

        options = sql.SQL(" LOGIN PASSWORD {}").format(sql.Literal(password)) if password else sql.SQL("")
        with administer(self.admin) as connection:
            if connection.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)).fetchone():
                return False
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)) + options)
        self._made.add(name)
        return True

    def create_tablespace(self, name: str, role: str) -> None:
        """Given a tablespace's name, create it in a folder of this server: where data lie matters to no restore.

        :param role: who may use it; empty for nobody
        """
        from psycopg import sql

        folder = Path(tempfile.mkdtemp(prefix="tablespace-", dir=self.folder))
        self.account.own(folder)
        statement = sql.SQL("CREATE TABLESPACE {} LOCATION {}")
        with administer(self.admin) as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Literal(str(folder))))
            if role:
                granted = sql.SQL("GRANT CREATE ON TABLESPACE {} TO {}")
                connection.execute(granted.format(sql.Identifier(name), sql.Identifier(role)))

    def set_for_role(self, role: str, setting: str) -> None:
        """Given a role and `name=value` as `ALTER ROLE ... SET` keeps it, make the setting.

        :raises RehearsalError: this server does not know it
        """
        from psycopg import Error, sql

        name, _, value = setting.partition("=")
        try:
            # One transaction: what is set must not hold for the second statement (default_transaction_read_only). The
            # value is as the catalogue has it: a list is quoted there already.
            with administer(self.admin) as connection, connection.transaction():
                connection.execute(
                    sql.SQL("SELECT pg_catalog.set_config({}, {}, false)").format(sql.Literal(name), sql.Literal(value))
                )
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET {} FROM CURRENT").format(sql.Identifier(role), sql.Identifier(name))
                )
        except (Error, DatabaseError) as error:
            raise RehearsalError(f"the setting {setting!r} of the role {role!r} cannot be made here: {error}") from None

    def let_create(self, database: str, roles: Iterable[str]) -> None:
        """Given a database and roles that do not own it, let them own tables in its schema `public`."""
        from psycopg import sql

        with administer(self.admin.to(database)) as connection:
            for role in roles:
                connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(role)))

    def grant(self, role: str, member: str) -> bool:
        """Given two roles, let the second act as the first, if `create_role` has made that one; return whether it has.

        The names come out of archives: the superuser's, or `pg_execute_server_program`, would run programs as our
        account.
        """
        from psycopg import sql

        if role not in self._made:
            return False
        with administer(self.admin) as connection:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member)))
        return True


@contextmanager
def throwaway(
    account: Account, *, parent: Path | None = None, prefix: str = _PREFIX, major: int = 0
) -> Iterator[Throwaway]:
    """Given who is to run it, yield a running server; stop and remove it on any exit.

    :param parent: the folder for its data; None: the one for temporary files, which may be in memory
    :param prefix: how the name of its folder begins
    :param major: the major version that it must have; 0: the newest that is installed
    :raises DatabaseError: PostgreSQL's server is not installed, or does not start
    :raises DiskError: there is no room for it
    """
    binaries = _binaries(major)
    # What stands above a temporary folder of root's own may be closed to the account.
    parent = parent or Path(short_folder() if account.is_us else "/tmp")  # noqa: S108 - what is made there is private
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        made = Throwaway(folder, account, secrets.token_urlsafe(24))
        made.work.mkdir(mode=0o700)
    except OSError as error:
        raise DiskError.at(parent, error) from None
    # The folder comes last: from then on, a name in it may lead anywhere.
    account.own(made.work)
    account.own(folder)
    sweep(parent, f"{prefix}*", owners=(account.user_id,))
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHER, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # ours may be a module's word, and the account could write to it
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},  # ours holds the operator's secrets, and the account reads /proc
        start_new_session=True,  # an interrupt at the terminal is for us
        **account.options(),
    )
    server: subprocess.Popen[bytes] | None = None
    try:
        with locked(folder), tempfile.TemporaryFile() as log:
            _create(binaries, made)
            server = _start(binaries, made, log)
            yield made
    finally:
        if server and server.poll() is None:
            server.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=_PATIENCE)
        if watcher.stdin:
            watcher.stdin.close()
        watcher.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(major: int) -> Path:
    """Return the folder of the server's programs, of this major version or, with 0, of the newest."""
    try:
        found = client_program("initdb", major).resolve().parent
    except DatabaseError:
        found = Path()
    if not (found / "postgres").exists():
        version = f" {major}" if major else ""
        raise DatabaseError(
            f"PostgreSQL's server{version} is not installed on this machine",
            f"a throwaway server is needed: apt-get install postgresql-{major or 'NN'} (no cluster of it is"
            " used: create_main_cluster = false in /etc/postgresql-common/createcluster.conf makes none)",
        )
    return found


def _create(binaries: Path, server: Throwaway) -> None:
    account = server.account
    # Files without a name: the folder is the account's, where a name may be made to lead anywhere.
    with tempfile.TemporaryFile() as file:
        file.write(server.password.encode())
        file.flush()
        account.own_open(file)
        made = subprocess.run(
            [
                binaries / "initdb", "--pgdata", server.folder / "data", "--username", SUPERUSER,
                "--pwfile", f"/dev/fd/{file.fileno()}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
                "--no-sync",
            ],
            env=_environment(binaries), cwd=server.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, umask=0o077, pass_fds=(file.fileno(),), **account.options(),
        )  # fmt: skip
    if made.returncode:
        last = [line for line in made.stderr.splitlines() if line.strip()]
        raise DatabaseError(
            f"the throwaway server cannot be made: {'; '.join(last[-2:])[:300]}", "look at the disk's free space"
        )


def _start(binaries: Path, server: Throwaway, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server and return when it answers."""
    data = server.folder / "data"
    settings = {"unix_socket_directories": str(server.folder), **_SETTINGS}
    process = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-p", _PORT, *(f"--{name}={value}" for name, value in settings.items())],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=server.folder, env=_environment(binaries),
        start_new_session=True, umask=0o077, **server.account.options(),
    )  # fmt: skip
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if _is_ready(data / "postmaster.pid", process.pid):
            return process
        time.sleep(0.02)
    process.kill()
    process.wait()
    log.seek(0)
    last = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    raise DatabaseError(f"the throwaway server does not start: {'; '.join(last[-3:])[:400]}")


def _is_ready(pid_file: Path, process_id: int) -> bool:
    """The last line of postmaster.pid tells, as it tells `pg_ctl -w`."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(process_id) and lines[7].strip() == "ready"


def _environment(binaries: Path) -> dict[str, str]:
    return {"PATH": f"{binaries}:{os.defpath}", "LC_ALL": "C"}
