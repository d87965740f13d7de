"""An application, mostly the example, ready to run as its owner: code, virtualenv, `bin/activate`, rows."""

from __future__ import annotations

import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from . import guard, virtualenv
from .owner import Account, owner_account

EXAMPLE = virtualenv.ROOT / "examples" / "checkniner"
_MARK = "# The application's environment: its web server sources this file too."


class Application:
    """An installed application. Use it as a context manager, or `close` it.

    It lies in a short folder below the temporary folder: the checkout may be below a home that is closed to its owner.

    :param database_url: of its database, as the role that owns it
    :param owner: the system user that it runs as
    :param project: the folder of its code, with `manage.py`; default: the example
    :param requirements: of its virtualenv; default: the example's own
    :param python: interpreter of its virtualenv
    :param packages_of: another application's virtualenv with the same requirements, to share its packages
    :param environment: added to, or in place of, what `bin/activate` exports
    """

    def __init__(
        self,
        database_url: str,
        *,
        owner: Account | None = None,
        project: Path = EXAMPLE,
        requirements: Path = EXAMPLE / "requirements.txt",
        python: Path | None = None,
        packages_of: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.owner = owner or owner_account()
        self.folder = guard.make_folder("cn-app", self.owner.user_id, self.owner.group_id)
        self.path = self.folder / project.name
        self.virtualenv = self.folder / "venv"
        self.exports = self.folder / "exports"
        self.environment = {
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "checkniner.settings",
            "PYTHONPATH": str(self.path),
            "SECRET_KEY": secrets.token_urlsafe(32) + "$'\" #",  # a quoting fault anywhere shows at once
            "PILOT_WEIGHTS_PATH": str(self.exports),
            **(environment or {}),
        }
        shutil.copytree(project, self.path, ignore=shutil.ignore_patterns("__pycache__", "exports", "*.db"))
        self.owner.own(self.path)
        virtualenv.make(self.virtualenv, requirements, self.owner, python, packages_of)
        self.write_activate()

    def __enter__(self) -> Application:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def activate(self) -> Path:
        """The virtualenv's `bin/activate`."""
        return self.virtualenv / "bin" / "activate"

    @property
    def python(self) -> Path:
        """The application's interpreter."""
        return self.virtualenv / "bin" / "python"

    def close(self) -> None:
        """End what runs in the application's folder and remove it."""
        guard.remove_folder(self.folder)

    def write_activate(self) -> None:
        """Write `environment` as `export NAME=value` lines at the end of `bin/activate`; what stood there goes."""
        before = self.activate.read_text().partition(_MARK)[0].rstrip("\n")
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        self.activate.chmod(0o600)  # it holds the database's password
        self.activate.write_text("\n".join([before, "", _MARK, *lines, ""]))

    def manage(self, *arguments: str, timeout: float = 300) -> str:
        """Run a command of `manage.py` as the owner, with the application's environment; return its output.

        :raises subprocess.CalledProcessError: it failed
        """
        return self.run(self.python, "manage.py", *arguments, timeout=timeout)

    def shell(self, code: str) -> str:
        """Given Python code, run it as the owner where Django is set up; return its output."""
        return self.run(self.python, "-c", f"import django\ndjango.setup()\n{code}")

    def run(self, *argv: str | Path, timeout: float = 300) -> str:
        """Given a command, run it as the owner in the application's folder and environment; return its output."""
        return self.owner.run(argv, environment=self.environment, folder=self.path, timeout=timeout).stdout

    def fill(self, rows: int = 1000, seed: int = 9) -> None:
        """Migrate, and write rows."""
        self.manage("migrate", "--verbosity=0")
        self.manage("seed", "--rows", str(rows), "--seed", str(seed))
