"""A throwaway PostgreSQL cluster: loopback TCP with passwords, a socket for the superuser, gone at the end."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from . import guard
from .owner import Account, database_account

SUPERUSER = "postgres"
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "smart": signal.SIGTERM}
# What is lost in a power cut does not matter here; what is lost in a crash of PostgreSQL itself does, and is not.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_prepared_transactions": "10",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_duration_statement": "-1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class ClusterError(RuntimeError):
    """PostgreSQL is not there, or does not start."""


def installed_versions() -> dict[int, Path]:
    """Return the folder of binaries of each installed major version, newest first."""
    found: dict[int, Path] = {}
    for initdb in Path("/usr/lib/postgresql").glob("*/bin/initdb"):
        major = initdb.parent.parent.name
        if major.isdigit() and (initdb.parent / "postgres").exists():
            found[int(major)] = initdb.parent
    return dict(sorted(found.items(), reverse=True))


def find_binaries(version: int | None = None) -> Path:
    """Given a major version, or none for the newest, return the folder of its binaries.

    :raises ClusterError: it is not installed
    """
    versions = installed_versions()
    if version is not None:
        if version not in versions:
            raise ClusterError(f"PostgreSQL {version} is not installed: apt-get install postgresql-{version}")
        return versions[version]
    if versions:
        return next(iter(versions.values()))
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    raise ClusterError("no PostgreSQL server is installed: run sandbox/bootstrap")


class Cluster:
    """A PostgreSQL server of one's own. Use it as a context manager, or call `create` and `close`.

    :param version: major version; default: the newest installed one
    :param settings: lines of postgresql.conf, over the defaults made for speed
    :param locale: of the cluster
    :param environment: variables of the server, over its own
    """

    def __init__(
        self,
        version: int | None = None,
        settings: Mapping[str, str] | None = None,
        locale: str = "C.UTF-8",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.binaries = find_binaries(version)
        self.account: Account = database_account()
        self.password = f"-{secrets.token_urlsafe(16)}"  # as an option begins: see `object_store.Identity`
        self.port = 0
        self.folder = Path()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._locale = locale
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        self.create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def process_id(self) -> int | None:
        """The postmaster's process id, or None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def create(self) -> None:
        """Make the cluster and start it.

        :raises ClusterError: initdb failed, or the server does not start; the text holds their own words
        """
        self.folder = guard.make_folder("cn-pg", self.account.user_id, self.account.group_id)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        self.account.own(password_file)
        argv: list[str | Path] = [
            self.binaries / "initdb", "--pgdata", self.data, "--username", SUPERUSER, "--pwfile", password_file,
            "--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", f"--locale={self._locale}",
            "--no-sync",
        ]  # fmt: skip
        result = self.account.run(argv, folder=self.folder, check=False)
        password_file.unlink()
        if result.returncode:
            self.close()
            raise ClusterError(f"initdb failed: {result.stderr.strip()}")
        self._configure()
        self.start()

    def close(self) -> None:
        """Stop the server and remove everything."""
        if self.process_id:
            self.stop("immediate")
        if self.folder != Path():
            guard.remove_folder(self.folder)

    def start(self, patience: float = 60.0) -> None:
        """Start the server, on the port it had before, and return when it answers.

        :param patience: seconds; crash recovery takes some
        :raises ClusterError: it does not start in that time; the text ends with its log
        """
        fixed = bool(self.port)
        for _ in range(1 if fixed else 5):  # between choosing a port and binding it, another may take it
            if not fixed:
                self.port = _free_port()
            if self._try_start(patience):
                return
        raise ClusterError(f"PostgreSQL does not start:\n{self.log[-3000:]}")

    def stop(self, mode: str = "fast", patience: float = 60.0) -> None:
        """Stop the server: "fast" in order, "smart" waits for clients, "immediate" is like a crash.

        :raises ClusterError: it does not stop in `patience` seconds
        """
        if not self._process or not self.process_id:
            return
        self._process.send_signal(_SIGNALS[mode])
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"PostgreSQL does not stop ({mode}):\n{self.log[-3000:]}") from None
        guard.kill_processes_of(self.data)

    def kill(self) -> None:
        """SIGKILL to the postmaster, then to whatever it leaves behind: the nearest thing to pulling the plug."""
        if self._process and self.process_id:
            self._process.kill()
            self._process.wait()
        guard.kill_processes_of(self.data)

    def url(self, database: str, user: str, password: str) -> str:
        """Given a database, a role and its password, return the URL of a loopback TCP connection."""
        return f"postgresql://{quote(user, '')}:{quote(password, '')}@127.0.0.1:{self.port}/{quote(database, '')}"

    def admin_url(self, database: str = "postgres") -> str:
        """Return the superuser's URL, over TCP with its password: any system user can use it."""
        return self.url(database, SUPERUSER, self.password)

    def socket_url(self, database: str = "postgres") -> str:
        """Return the superuser's URL over the socket, without a password: for the server's own account and root."""
        return f"postgresql://{SUPERUSER}@{quote(str(self.folder), '')}:{self.port}/{quote(database, '')}"

    def create_role(self, name: str, password: str, options: str = "") -> None:
        """Given a name and a password, create a role that can log in and nothing else (or what SQL `options` say)."""
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} ").format(sql.Identifier(name), sql.Literal(password))
        self.execute(statement + sql.SQL(options))

    def create_database(self, name: str, owner: str, template: str = "template1") -> None:
        """Given a name and a role, create a database that the role owns."""
        parts = (sql.Identifier(part) for part in (name, owner, template))
        self.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*parts))

    def drop_database(self, name: str) -> None:
        """Given a name, drop that database, whoever is connected. One that is gone is no error."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(
        self, statement: Any, parameters: Sequence[Any] | None = None, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Given one SQL statement, run it as the superuser outside a transaction; return its rows, or an empty list."""
        with psycopg.connect(self.admin_url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def _configure(self) -> None:
        lines = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        # The folder is 0700: only its account and root reach the socket. Both may be the superuser there.
        (self.data / "pg_ident.conf").write_text(f"sandbox root {SUPERUSER}\nsandbox {self.account.name} {SUPERUSER}\n")
        (self.data / "pg_hba.conf").write_text(
            "local all all peer map=sandbox\nhost all,replication all 127.0.0.1/32 scram-sha-256\n"
        )

    def _try_start(self, patience: float) -> bool:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": f"{self.binaries}:/usr/bin:/bin", "LC_ALL": self._locale, **self._environment},
                start_new_session=True,  # an interrupt at the terminal is for us; we stop the server in order
                umask=0o077,
                **self.account.options(),
            )
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                guard.kill_processes_of(self.data)
                return False
            if self._is_ready():
                return True
            time.sleep(0.02)
        self.kill()
        return False

    def _is_ready(self) -> bool:
        """The last line of postmaster.pid tells, as it tells `pg_ctl -w`."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.process_id) and lines[7].strip() == "ready"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
