"""The row counter: the same counts however the dump is cut into chunks."""

import pytest
from checkniner_backups.backup.copy_rows import RowCounter, unquoted

DUMP = r"""--
-- PostgreSQL database dump
--
COPY public.empty (id) FROM stdin;
\.

SELECT 'COPY is only a word here';
COPY public.two (id, "odd (name)") FROM stdin;
1	COPY public.no (id) FROM stdin;
2	\\.
\.


COPY public."Wei""rd (t)" (id) FROM stdin;
COPY in a row
\N
a long row, longer than any chunk of this test is, so that nothing of it may be kept between two chunks
\.

COPY public.last (id) FROM stdin;
1
\.
"""


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 64, 10_000])
def test_counts_rows_whatever_the_chunks(size: int) -> None:
    counter = RowCounter()
    data = DUMP.encode()
    for start in range(0, len(data), size):
        counter.feed(data[start : start + size])
    assert counter.rows == {"public.empty": 0, "public.two": 2, 'public."Wei""rd (t)"': 3, "public.last": 1}


def test_a_name_is_the_same_with_quotes_and_without() -> None:
    assert unquoted("public.system_user") == unquoted('public."system_user"') == ("public", "system_user")
    assert unquoted('"my.schema"."a""b (c)"') == ("my.schema", 'a"b (c)')
    assert unquoted('public."System_user"') != unquoted("public.system_user")
