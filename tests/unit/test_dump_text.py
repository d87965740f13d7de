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


@pytest.mark.parametrize("text", [b"", b"CREATE TABLE t;\n", NEW[:-100]])
def test_a_dump_without_its_end_is_refused(text: bytes) -> None:
    with pytest.raises(ArchiveError, match="ends before its end"):
        list(loadable([text]))
