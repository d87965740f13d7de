"""What `.env` files, systemd and `manage.py` say of an application's environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkniner_backups.django_app.sources import file_variables, parse_unit, settings_module
from checkniner_backups.errors import ApplicationError

DOTENV = """\
# a comment
SECRET_KEY=a#b$c(d&e
export DJANGO_SETTINGS_MODULE='shop.settings'
POSTGRES_PASSWORD="with space and \\"quotes\\""
PORT = 5433   # after it

DATABASE_URL=postgres://shop:x@localhost:${PORT}/shop
EMPTY=
"""


def test_a_file_as_applications_write_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(DOTENV)
    assert file_variables(path) == {
        "SECRET_KEY": "a#b$c(d&e",
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "POSTGRES_PASSWORD": 'with space and "quotes"',
        "PORT": "5433",
        "DATABASE_URL": "postgres://shop:x@localhost:5433/shop",
        "EMPTY": "",
    }
    with pytest.raises(ApplicationError, match=r"cannot read .*gone"):
        file_variables(tmp_path / "gone")


def test_a_unit_as_systemctl_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.env"
    path.write_text("SECRET_KEY=from the file ${A}\nDATABASE_URL='postgres:///shop'\n")
    shown = (
        f'LoadState=loaded\nEnvironment=A=1 "B=two words" SECRET_KEY=old\n'
        f"EnvironmentFiles={path} (ignore_errors=no)\nEnvironmentFiles={tmp_path}/none (ignore_errors=yes)\n"
    )
    assert parse_unit(shown) == {
        "A": "1", "B": "two words", "SECRET_KEY": "from the file ${A}", "DATABASE_URL": "postgres:///shop",
    }  # fmt: skip
    with pytest.raises(ApplicationError, match="none"):
        parse_unit(shown.replace("=yes", "=no"))


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.production')", "shop.settings.production"),
        ('    os.environ.setdefault(\n        "DJANGO_SETTINGS_MODULE", "shop.settings"\n    )', "shop.settings"),
        ("    pass", ""),
    ],
)
def test_the_settings_module_of_manage_py(tmp_path: Path, line: str, module: str) -> None:
    assert settings_module(tmp_path) == ""
    (tmp_path / "manage.py").write_text(f"import os\n\ndef main():\n{line}\n")
    assert settings_module(tmp_path) == module
