"""What of a plain dump is not sent to psql."""

from __future__ import annotations

import pytest
from checkniner_backups.errors import ArchiveError
from checkniner_backups.postgres.dump_text import loadable

END = b"\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n"
DATA = b"COPY t FROM stdin;\n" + b"\\\\unrestrict abC1\n" * 300 + END
NEW = (
    b'--\n\n\\restrict abC1\n\nSET x;\nCREATE SCHEMA mon;\nCREATE SCHEMA "Two ""words";\nCREATE SCHEMA other;\n'
    b"COMMENT ON EXTENSION citext IS 'case; less';\n" + DATA + b"\\unrestrict abC1\n\n"
)
LOADED = b"--\n\n\nSET x;\nCREATE SCHEMA other;\n" + DATA + b"\n"


@pytest.mark.parametrize("size", [1, 7, 1023, 1024, 1025, 100000])
def test_the_same_is_left_out_however_the_dump_is_cut(size: int) -> None:
    pieces = [NEW[start : start + size] for start in range(0, len(NEW), size)]
    assert b"".join(loadable(pieces, {"mon", 'Two "words'})) == LOADED


@pytest.mark.parametrize("text", [b"SET x;\n" + DATA, b"\n-- PostgreSQL database dump complete\n", LOADED])
def test_an_old_dump_passes_as_it_is(text: bytes) -> None:
    assert b"".join(loadable([text])) == text


def test_only_the_dumps_own_end_is_left_out() -> None:
    text = NEW.replace(b"\\unrestrict abC1\n\n", b"\\unrestrict other\n")
    assert b"".join(loadable([text])).endswith(b"\\unrestrict other\n")


PUBLIC = b"""--
-- Name: public; Type: SCHEMA; Schema: -; Owner: postgres
--

-- *not* creating schema, since initdb creates it


ALTER SCHEMA public OWNER TO postgres;

CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$
ALTER SCHEMA public OWNER TO postgres;
$$;
"""


def test_the_schema_public_is_given_only_to_whom_the_role_may_become() -> None:
    line = b"ALTER SCHEMA public OWNER TO postgres;\n"
    without = PUBLIC.replace(line, b"", 1)
    assert without.count(line) == 1
    assert b"".join(loadable([PUBLIC + DATA])) == without + DATA
    assert b"".join(loadable([PUBLIC + DATA], roles={"postgres"})) == PUBLIC + DATA
    alone = PUBLIC.replace(b"Name: public;", b"Name: other;")
    assert b"".join(loadable([alone + DATA])) == alone + DATA


@pytest.mark.parametrize("text", [b"", b"CREATE TABLE t;\n", NEW[:-100]])
def test_a_dump_without_its_end_is_refused(text: bytes) -> None:
    with pytest.raises(ArchiveError, match="ends before its end"):
        list(loadable([text]))


HEAD = (
    b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abC1\n\n-- Dumped by pg_dump version 17.2\n\n"
    b"SET statement_timeout = 0;\nSET lock_timeout = 0;\n%bSET client_encoding = 'UTF8';\n"
    b"SELECT pg_catalog.set_config('search_path', '', false);\n%bSET row_security = off;\n\n"
)
TIMEOUT = b"SET transaction_timeout = 0;\n"
BODY = b"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS '\n" + TIMEOUT + b"';\n" + TIMEOUT + DATA


@pytest.mark.parametrize("size", [1, 7, 100000])
@pytest.mark.parametrize("places", [(TIMEOUT, b""), (b"", TIMEOUT)])
def test_a_newer_pg_dumps_setting_is_left_out_for_an_older_server(size: int, places: tuple[bytes, bytes]) -> None:
    text = HEAD % places + BODY
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    loaded = b"".join(loadable(pieces, transaction_timeout=False))
    assert loaded == (HEAD % (b"", b"")).replace(b"\\restrict abC1\n", b"") + BODY
    assert b"".join(loadable([text])) == text.replace(b"\\restrict abC1\n", b"")


@pytest.mark.parametrize(
    "line",
    [
        b"SET transaction_timeout = 1;\n",
        b"SET transaction_timeout = 0; DROP TABLE t;\n",
        b" " + TIMEOUT,
        b"--" + TIMEOUT,
    ],
)
def test_no_other_line_is_left_out(line: bytes) -> None:
    text = (HEAD % (line, b"")).replace(b"\\restrict abC1\n", b"") + BODY
    assert b"".join(loadable([text], transaction_timeout=False)) == text


def test_behind_the_first_statement_nothing_is_left_out() -> None:
    text = (HEAD % (b"CREATE SCHEMA s;\n", TIMEOUT)).replace(b"\\restrict abC1\n", b"") + BODY
    assert b"".join(loadable([text], transaction_timeout=False)) == text
