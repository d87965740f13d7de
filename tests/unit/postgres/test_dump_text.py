"""What of a plain dump is not sent to psql."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest
from checkniner_backups.errors import ArchiveError
from checkniner_backups.postgres.dump_lexer import LIMIT
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


def test_a_bomb_of_newlines_does_not_reach_psql() -> None:
    """400 MiB of them fit into 400 KiB, and psql reads them line by line."""
    bomb = [b"SELECT 1;\n", *[b"\n" * 65536] * 64, b"COPY t FROM stdin;\n", b"\n" * 65536, END]
    loaded = b"".join(loadable(bomb))
    assert loaded.startswith(b"SELECT 1;\n")
    assert loaded.endswith(b"COPY t FROM stdin;\n" + b"\n" * 65536 + END), "rows are never changed"
    assert len(loaded) < 65536 + 1000


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


LEFT_OUT = b"COMMENT ON EXTENSION pg_trgm IS 'x';\n"
BODIES = [
    b"CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $_$\nBEGIN\n%s  RETURN $$;$$;\nEND $_$;\n",
    b"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS '\nSELECT ''a'';\n%s';\n",
    b"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS E'\\'\n%s\\\\';\n",
    b"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS E'it''s \\'\n%s\\\\';\n",
    b'CREATE TABLE "odd\n%s" (a integer);\n',
    b"/* one /* two */\n%s*/\n",
    b"CREATE TABLE t$$ (a integer); CREATE VIEW v AS SELECT 'x$$\n%s';\n",
    b"CREATE TABLE t (te text DEFAULT 'e', b text DEFAULT '\\');\nCREATE VIEW v AS SELECT '\n%s';\n",
    b"SET standard_conforming_strings = off;\nCREATE VIEW v AS SELECT '\\'\n%s';\n",
    b"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $a$\n$b$;\n%s$b$ $a$;\n",
    b"CREATE TABLE u (a integer) -- it's\n;\nCOPY public.u (a) FROM stdin;\n\\N\n%s\\.\n",
]


@pytest.mark.parametrize("size", [1, 7, 1000, 3_000_000])
@pytest.mark.parametrize("body", BODIES)
def test_nothing_inside_a_body_a_string_a_name_a_comment_or_a_copy_is_changed(body: bytes, size: int) -> None:
    lines = LEFT_OUT + b"CREATE SCHEMA mon;\n" + b"SELECT pg_catalog.set_config('search_path', '', false);\n"
    text = HEAD % (b"", b"") + LEFT_OUT + body % lines + LEFT_OUT + body % lines + DATA + LEFT_OUT + END
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    expected = (HEAD % (b"", b"")).replace(b"\\restrict abC1\n", b"").replace(b"'', false", b"'app', false")
    found = b"".join(loadable(pieces, {"mon"}, search_path="app"))
    assert found == expected + (body % lines) * 2 + DATA + END


def test_a_comment_of_several_lines_goes_as_a_whole() -> None:
    text = b"SELECT 1;\nCOMMENT ON EXTENSION citext IS 'a;\nCOPY t FROM stdin;\n''b';\nSELECT 2;\n" + DATA
    assert b"".join(loadable([text])) == b"SELECT 1;\nSELECT 2;\n" + DATA


def test_what_is_longer_than_memory_should_hold_goes_by_in_parts() -> None:
    longest = 0

    def chunks() -> Iterator[bytes]:
        yield HEAD % (b"", b"") + b"SELECT '"
        for _ in range(80):
            yield b"x;\nCOMMENT ON EXTENSION a IS 'b';\n--" * 4096
        yield b"';\nCOMMENT ON EXTENSION a IS '"
        for _ in range(80):
            yield b"y" * 131072
        yield b"';\n" + LEFT_OUT + DATA

    kept = hashlib.sha256()
    for piece in loadable(chunks()):
        longest = max(longest, len(piece))
        kept.update(piece)
    assert longest < 2 * LIMIT
    whole = b"".join(chunks()).replace(b"\\restrict abC1\n", b"").replace(LEFT_OUT, b"")
    head, _, rest = whole.partition(b"COMMENT ON EXTENSION a IS 'y")
    assert kept.digest() == hashlib.sha256(head + rest.partition(b";")[2]).digest()


EMPTY = b"COPY public.spatial_ref_sys (srid, auth_name) FROM stdin;\n\\.\n"
FULL = b"COPY public.spatial_ref_sys (srid, auth_name) FROM stdin;\n1\tx\n\\.\n"


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_a_copy_without_rows_into_a_closed_table_is_left_out(size: int) -> None:
    text = b"SELECT 1;\n" + EMPTY + b"\n\n" + FULL + b"SELECT 2;\n" + DATA
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = b"".join(loadable(pieces, closed=["public.spatial_ref_sys"]))
    assert found == b"SELECT 1;\n\n\n" + FULL + b"SELECT 2;\n" + DATA
    assert b"".join(loadable(pieces, closed=["public.spatial_ref"])) == text


def test_a_dump_of_nothing_but_headings_or_empty_lines_is_read_in_no_time() -> None:
    """A few kilobytes of an archive unfold to megabytes of these: the time must grow as they do."""
    heading = b"-- Name: public; Type: SCHEMA; Schema: -; Owner: x\n--\n"
    began = time.process_time()
    for line in (heading, b"\n", b"--\n", heading + b"\n" * 1000):
        with pytest.raises(ArchiveError, match="ends before its end"):
            list(loadable([line * ((4 << 20) // len(line))]))
    assert time.process_time() - began < 10
