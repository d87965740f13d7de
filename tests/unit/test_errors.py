"""Messages quote servers and archives, and are shown on the operator's terminal."""

from __future__ import annotations

import logging

import pytest
from checkniner_backups import errors
from checkniner_backups.cli import main as cli
from checkniner_backups.errors import BackupsError, printable

HOSTILE = "no role \x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"


@pytest.mark.parametrize("text", ["plain", "two\nlines", "Zürich, 東京", "5 °C"])
def test_what_is_plain_stays(text: str) -> None:
    assert printable(text, lines=True) == text


def test_what_steers_a_terminal_is_written_out() -> None:
    error = BackupsError(HOSTILE, HOSTILE)
    assert error.message == error.hint == r"no role \x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"
    record = logging.LogRecord("x", logging.WARNING, "", 0, "pg_dump says: %s", (HOSTILE,), None)
    assert "\x1b" not in cli._Formatter("%(message)s").format(record)
    assert "owned" in cli._Formatter("%(message)s").format(record)


def test_every_exit_status_has_one_meaning_and_help_lists_it(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BackupsError)]
    meanings: dict[int, set[str]] = {}
    for kind in kinds:
        meanings.setdefault(kind.exit_status, set()).add(kind.meaning)
    assert {status: meaning for status, (meaning,) in meanings.items()} == errors.exit_statuses()
    assert cli.status.NOT_WELL not in meanings
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{status} {meaning}" in shown for status, meaning in errors.exit_statuses().items())
