"""Which of several installed client programs is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkniner_backups.errors import DatabaseError
from checkniner_backups.postgres import programs


def install(folder: Path, *majors: int, names: tuple[str, ...] = ("pg_dump", "psql")) -> None:
    for major in majors:
        binaries = folder / str(major) / "bin"
        binaries.mkdir(parents=True)
        for name in names:
            (binaries / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.4 (Debian {major}.4-1)'\n")
            (binaries / name).chmod(0o755)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "postgresql"
    monkeypatch.setattr(programs, "_BINARIES", folder)
    monkeypatch.setenv("PATH", str(tmp_path))
    return folder


@pytest.mark.parametrize(("server", "taken"), [(9, 13), (13, 13), (14, 15), (15, 15), (16, 17), (17, 17), (18, 18)])
def test_the_oldest_pg_dump_that_can_read_the_server_is_taken(installed: Path, server: int, taken: int) -> None:
    """A newer one writes settings that an older server does not know."""
    install(installed, 15, 18, 13, 17)
    assert programs.dump_program(server) == installed / str(taken) / "bin" / "pg_dump"


def test_the_newest_psql_is_taken(installed: Path) -> None:
    install(installed, 9, 15, 13)
    assert programs.client_program("psql") == installed / "15" / "bin" / "psql"


def test_one_that_is_half_installed_does_not_count(installed: Path) -> None:
    install(installed, 17)
    install(installed, 15, names=("psql",))
    (installed / "common" / "bin").mkdir(parents=True)
    assert programs.dump_program(15) == installed / "17" / "bin" / "pg_dump"


@pytest.mark.parametrize("majors", [(13,), (13, 15)])
def test_a_pg_dump_that_is_too_old_is_refused(installed: Path, majors: tuple[int, ...]) -> None:
    install(installed, *majors)
    with pytest.raises(DatabaseError, match=f"pg_dump {majors[-1]} is older than the server, PostgreSQL 16") as refused:
        programs.dump_program(16)
    assert refused.value.hint == "install postgresql-client-16"


def test_elsewhere_the_one_on_the_path_tells_its_version(installed: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="pg_dump is not installed"):
        programs.dump_program(15)
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.4'\n")
    program.chmod(0o755)
    assert programs.dump_program(15) == program
    with pytest.raises(DatabaseError, match="pg_dump 15 is older"):
        programs.dump_program(16)
