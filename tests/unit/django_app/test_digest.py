"""Times whose fraction Django would not write again do not change a fixture's digest; everything else does."""

from __future__ import annotations

import hashlib

import pytest
from checkniner_backups.django_app.digest import FixtureDigest
from hypothesis import given
from hypothesis import strategies as st

_TEXT = b'[{"at": "2026-01-02T03:04:05.000Z", "clock": "03:04:05.000", "more": "2026-01-02T03:04:05.001Z"}]'
_PLAIN = b'[{"at": "2026-01-02T03:04:05Z", "clock": "03:04:05", "more": "2026-01-02T03:04:05.001Z"}]'


def digest(text: bytes, size: int) -> str:
    found = FixtureDigest()
    for start in range(0, len(text), size):
        assert found.write(text[start : start + size]) == len(text[start : start + size])
    found.close()
    return found.hexdigest()


@pytest.mark.parametrize("size", range(1, 60))
def test_in_pieces_of_any_size(size: int) -> None:
    assert digest(_TEXT, size) == digest(_PLAIN, 1000) == hashlib.sha256(_PLAIN).hexdigest()


@given(st.binary(max_size=100), st.integers(1, 20))
def test_other_bytes_are_hashed_as_they_are(text: bytes, size: int) -> None:
    assert digest(text, size) == hashlib.sha256(text).hexdigest() or b".000" in text


@pytest.mark.parametrize("text", [b'"03:04:05.100"', b'"03:04:06"', b'"03:04:05.0000"', b'"1.000"'])
def test_a_difference_is_a_difference(text: bytes) -> None:
    assert digest(text, 5) == hashlib.sha256(text).hexdigest() != digest(b'"03:04:05"', 5)


def test_the_objects_of_a_view_can_be_left_out() -> None:
    def fixture(*models: str) -> bytes:
        objects = [f'{{\n    "model": "{model}",\n    "pk": 1,\n    "fields": {{}}\n}}' for model in models]
        return ("[\n" + ",\n".join(objects) + "\n]\n").encode()

    def digest(data: bytes, size: int, *without: str) -> str:
        found = FixtureDigest(without)
        for start in range(0, len(data), size):
            found.write(data[start : start + size])
        found.close()
        return found.hexdigest()

    expected = digest(fixture("a.table", "a.other"), 1000, "a.view")
    for models in (
        ("a.table", "a.view", "a.other"),
        ("a.view", "a.table", "a.other"),
        ("a.table", "a.other", "a.view"),
    ):
        for size in (1, 7, 1000):
            assert digest(fixture(*models), size, "a.view") == expected
    assert digest(fixture("a.table", "a.views"), 1000, "a.view") != digest(fixture("a.table"), 1000, "a.view")
    assert digest(fixture("a.table"), 1000, "a.view") != digest(fixture(), 1000, "a.view")
