"""An application whose environment is not in `bin/activate`: saved, restored and rehearsed all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.server import Server
from tests.plugins.application import RunningApplication


def moved(application: RunningApplication, *left_out: str) -> Path:
    """Move the variables out of `bin/activate` into a file like `.env`, but for some that stand nowhere then."""
    activate = application.virtualenv / "bin" / "activate"
    lines = activate.read_text().splitlines(keepends=True)
    path = application.path / ".env"
    values = {**application.installed.environment, "DATABASE_URL": application.database.url}
    values["SECRET_KEY"] = "a#b$c(d&e"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items() if name not in left_out))
    path.chmod(0o600)
    application.owner.own(path)
    activate.write_text("".join(line for line in lines if not line.startswith("export ")))
    return path


def test_a_dotenv_file_and_the_settings_module_of_manage_py(server: Server, application: RunningApplication) -> None:
    path = moved(application, "DJANGO_SETTINGS_MODULE")
    manage = application.path / "manage.py"
    usual = 'import os\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "checkniner.settings")\n'
    manage.write_text(usual + manage.read_text())
    failed = server.run("run", check=False)
    assert failed.returncode == 4
    assert "sets no DATABASE_URL" in failed.stderr
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE=str(path), CHECKNINER_BACKUPS_REHEARSAL="full")
    checked = server.run("check").stdout
    assert "can read the database's password" not in checked
    path.chmod(0o644)
    assert f"can read the database's password in {path}" in server.run("check").stdout
    assert "REHEARSED in" in server.run("rehearse").stdout
    server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="none")
    assert server.tick()["saved"]
    assert not server.tick()["saved"]
    said = server.run("exec", "--", "python", "-c", "import os; print(os.environ['SECRET_KEY'])")
    assert "a#b$c(d&e" in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        ("systemd:no-such-unit-here.service", 4, "systemd"),
        ("/no/such/file", 4, "cannot read /no/such/file"),
        ("relative/.env", 3, "ENVIRONMENT_SOURCE is"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(server: Server, source: str, status: int, reason: str) -> None:
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE=source)
    failed = server.run("run", check=False)
    assert failed.returncode == status, failed.stderr
    assert reason in failed.stderr
    assert server.keys() == []
