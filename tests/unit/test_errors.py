"""Messages quote servers and archives, and are shown on the operator's terminal."""

from __future__ import annotations

import logging

import pytest
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
