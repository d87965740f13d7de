"""What comes out of an archive is quoted and escaped in the words that an administrator reads and runs."""

from __future__ import annotations

import pytest
from checkniner_backups.errors import RestoreError, printable
from checkniner_backups.postgres.preflight import as_statement
from checkniner_backups.postgres.quoting import identifier, literal

ODD = ["plain", 'a"b', "a'b", "a\\b", "a\nb", "a\x1b[2Jb", "\u202eevil", 'x" SUPERUSER; --', "ü b", "\U000e0001\\'\""]


def test_text_is_shown_on_one_line() -> None:
    assert printable("a b'ü\\") == "a b'ü\\"
    assert printable("a\nb\x1b[2J\u202e\udcff\U000e0001") == r"a\nb\x1b[2J\u202e\udcff\U000e0001"
    error = RestoreError("role \x1b]0;x\x07", "do\r\nthis")
    assert str(error) == "role \\x1b]0;x\\x07\nHINT: do\\r\nthis"
    assert error.message == r"role \x1b]0;x\x07"


def test_statements_are_quoted() -> None:
    assert identifier('a"b') == '"a""b"'
    assert identifier('a\n\\"b') == 'U&"a\\000a\\\\""b"'
    assert literal("it's") == "'it''s'"
    assert literal("a\\\n'") == r"E'a\\\u000a'''"
    assert as_statement("d", 'r"', 'search_path=a, "b\'c"') == (
        """ALTER ROLE "r\"\"" IN DATABASE "d" SET "search_path" TO 'a', 'b''c'"""
    )


@pytest.mark.parametrize("text", ODD)
def test_they_are_fit_to_be_printable(text: str) -> None:
    for quoted in (identifier(text), literal(text), as_statement(text, text, f"{text}={text}")):
        assert quoted.isprintable()
