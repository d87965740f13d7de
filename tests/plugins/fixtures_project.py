"""The project of `tests/fixtures_project` under an old and the newest Django, each with databases to copy.

The virtualenvs are made once, below `.cache/`. Where an interpreter is not installed, its tests are skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from checkniner_backups.django_app.process import FixturesProcess

from sandbox.postgres import Cluster

from .postgres import Database

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = ROOT / "tests" / "fixtures_project"
THIRD_PARTY = ("django-taggit", "django-simple-history")
VERSIONS = {
    "django-3.2": (("3.8", "3.9"), ("Django==3.2.*", "psycopg2-binary", *THIRD_PARTY)),
    "newest": (("3.13", "3.12", "3.11"), ("Django", "psycopg[binary]", *THIRD_PARTY)),
}


@dataclass(frozen=True)
class KindsProject:
    """The project with one version of Django, and two databases to copy: `filled` and `migrated`."""

    version: str
    python: Path
    cluster: Cluster
    user: str
    password: str = field(repr=False)

    def environment(self, url: str, **more: str) -> dict[str, str]:
        """Given a database's URL, return the environment that the project needs."""
        return {
            "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "settings", "SECRET_KEY": "not-so-secret-key", "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "1", **more,
        }  # fmt: skip

    def run(self, code: str, url: str, **more: str) -> str:
        """Given Python code, run it where Django is set up; return its output."""
        argv = [str(self.python), "-W", "ignore", "-c", f"import django; django.setup()\n{code}"]
        result = subprocess.run(
            argv, env=self.environment(url, **more), cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def migrate(self, url: str, **more: str) -> None:
        """Given a database's URL, make all tables."""
        migrate = "from django.core.management import call_command as c; c('migrate', verbosity=0)\n"
        self.run(f"{migrate}c('migrate', run_syncdb=True, verbosity=0)", url, **more)

    @contextmanager
    def database(self, template: str) -> Iterator[Database]:
        """Given `filled` or `migrated`, yield a copy of it."""
        name = f"kinds_{secrets.token_hex(4)}"
        self.cluster.create_database(name, self.user, f"{self.user}_{template}")
        try:
            yield Database(self.cluster, name, self.user, self.password)
        finally:
            self.cluster.drop_database(name)

    def start(self, url: str, folder: Path, **more: str) -> FixturesProcess:
        """Given a database's URL and a work folder, start the engine's process."""
        return FixturesProcess.start(self.python, PROJECT, self.environment(url, **more), folder)

    @contextmanager
    def reference(self, url: str, folder: Path, **more: str) -> Iterator[Reference]:
        """Given a database's URL and a work folder, yield what asks Django itself."""
        argv = [str(self.python), "-W", "ignore", "-c", "import reference; reference.serve()"]
        with subprocess.Popen(
            argv, env=self.environment(url, **more), cwd=PROJECT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            yield Reference(process, folder)
            assert process.stdin
            process.stdin.close()


@dataclass(frozen=True)
class Reference:
    """`dumpdata` and `loaddata` in a process that stays."""

    process: subprocess.Popen[str]
    folder: Path

    def dumpdata(self, label: str) -> bytes:
        """Given an app or a model, return what `dumpdata --all --indent 4` prints, with our natural-key options."""
        path = self.folder / "reference.json"
        self._ask(label, path)
        return path.read_bytes()

    def loaddata(self, fixture: bytes) -> None:
        """Given a fixture, let Django load it."""
        path = self.folder / "reference.json"
        path.write_bytes(fixture)
        self._ask("loaddata", path)

    def _ask(self, word: str, path: Path) -> None:
        assert self.process.stdin
        assert self.process.stderr
        self.process.stdin.write(f"{word} {path}\n")
        self.process.stdin.flush()
        said = self.process.stderr.readline()
        assert said == "done\n", said + self.process.stderr.read()


class Members:
    """Fixtures in memory: its `open` is for `FixturesProcess.dump`."""

    def __init__(self) -> None:
        self.parts: dict[str, list[bytes]] = {}
        self.closed: list[str] = []

    def open(self, app: str) -> _MemoryMember:
        """Start the member of an app."""
        self.parts[app] = []
        return _MemoryMember(self, app)

    def __getitem__(self, app: str) -> bytes:
        assert app in self.closed
        return b"".join(self.parts[app])


@dataclass(frozen=True)
class _MemoryMember:
    members: Members
    app: str

    def write(self, data: bytes) -> None:
        self.members.parts[self.app].append(bytes(data))

    def close(self) -> None:
        self.members.closed.append(self.app)

    def abort(self) -> None:
        del self.members.parts[self.app]


def _interpreter(versions: tuple[str, ...]) -> Path | None:
    for version in versions:
        found = [Path(path) for path in [shutil.which(f"python{version}")] if path]
        found += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        for path in found:
            with suppress(OSError):
                check = [path, "-c", f"import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"]
                if subprocess.run(check, capture_output=True, check=False).returncode == 0:
                    return path
    return None


def _virtualenv(interpreter: Path, requirements: tuple[str, ...]) -> Path:
    """Given an interpreter and requirements, return the virtualenv's Python; it is made once."""
    key = hashlib.sha256("\n".join([str(interpreter), *requirements]).encode()).hexdigest()[:16]
    folder = ROOT / ".cache" / "fixtures-virtualenvs" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            environment = {**os.environ, "PIP_CACHE_DIR": str(ROOT / ".cache" / "pip")}
            subprocess.run([interpreter, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            subprocess.run([*pip, *requirements], check=True, env=environment)
            (folder / "complete").touch()
    return folder / "bin" / "python"


@pytest.fixture(scope="session", params=list(VERSIONS))
def kinds(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[KindsProject]:
    """The project under an old and the newest Django."""
    interpreters, requirements = VERSIONS[request.param]
    interpreter = _interpreter(interpreters)
    if interpreter is None:
        pytest.skip(f"no Python {' or '.join(interpreters)} is installed")
    python = _virtualenv(interpreter, requirements)
    user, password = f"kinds_{secrets.token_hex(3)}", secrets.token_hex(8)
    cluster.create_role(user, password)
    project = KindsProject(request.param, python, cluster, user, password)
    migrated, filled = f"{user}_migrated", f"{user}_filled"
    try:
        cluster.create_database(migrated, user)
        project.migrate(cluster.url(migrated, user, password))
        cluster.create_database(filled, user, migrated)
        project.run("import fill; fill.fill()", cluster.url(filled, user, password))
        yield project
    finally:
        cluster.drop_database(migrated)
        cluster.drop_database(filled)


@pytest.fixture
def filled(kinds: KindsProject) -> Iterator[Database]:
    """A database with rows of every kind, for each test anew."""
    with kinds.database("filled") as database:
        yield database
