"""A fixture's objects come out as they went in, however its text is laid out and cut."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from checkniner_backups.django_app.worker.jsonstream import FixtureError, objects
from hypothesis import given
from hypothesis import strategies as st

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_LISTS = st.lists(st.dictionaries(st.text(), _VALUES, max_size=4), max_size=5)


def cut(text: bytes, size: int) -> Iterator[bytes]:
    yield from (text[start : start + size] for start in range(0, len(text), size))


@given(_LISTS, st.sampled_from([None, 0, 1, 4, 40]), st.booleans(), st.integers(1, 50), st.sampled_from(["", "\ufeff"]))
def test_any_layout_in_any_pieces(found: list, indent: int | None, escaped: bool, size: int, mark: str) -> None:
    text = mark + json.dumps(found, indent=indent, ensure_ascii=escaped) + "\n"
    assert list(objects(cut(text.encode("utf-8", "surrogatepass"), size))) == found


def test_a_long_object_in_small_pieces() -> None:
    found = [{"a": "x" * 1_000_000, "b": [1] * 10_000}, {"c": 1}]
    assert list(objects(cut(json.dumps(found).encode(), 1000))) == found


def test_memory_is_flat() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"["
        for _ in range(500):
            yield b",".join([b'{"model": "a.b", "fields": {"name": "x"}}'] * 1000) + b","
        yield b"{}]"

    tracemalloc.start()
    try:
        assert sum(1 for _ in objects(chunks())) == 500_001
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{}", b"null", b"[", b"[{}", b"[{},", b"[{}, ]", b"[{} {}]", b"[1]", b"[[]]", b"[{}]x", b"[{}] {}",
        b'[{"a": tru}]', b'[{"a": 1,}]', b'[{"a" 1}]', b'[{"a": "\xff"}]', b'[{"a": "b]', b'[{"a": ' + b"[" * 200_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 1000])
def test_anything_else_is_refused(text: bytes, size: int) -> None:
    with pytest.raises(FixtureError):
        list(objects(cut(text, size if len(text) < 1000 else 1000)))


def test_nonsense_is_refused_before_everything_is_read() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'[{"a": 1 "b": 2}' + b", {}" * 100
        pytest.fail("it read on")

    with pytest.raises(FixtureError, match="not valid JSON"):
        list(objects(chunks()))


@pytest.mark.parametrize("start", [b'[{"a": "', b'[{"a": ["", '])
def test_an_object_without_an_end_is_refused_before_it_fills_the_memory(start: bytes) -> None:
    """A few megabytes of gzip make gigabytes of it."""
    piece = b'"", ' if start.endswith(b", ") else b"1"
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        yield start
        for _ in range(1000):
            taken += 1
            yield piece * 2500

    with pytest.raises(FixtureError, match="an object is longer than 100,000 characters"):
        list(objects(chunks(), longest=100_000))
    assert taken < 100


def test_an_object_of_the_longest_length() -> None:
    found = [{"a": "x" * 90_000}, {"b": "y" * 90_000}]
    assert list(objects(cut(json.dumps(found).encode(), 1000), longest=100_000)) == found


def test_a_number_of_many_digits_is_refused() -> None:
    with pytest.raises(FixtureError, match="a number is too long"):
        list(objects([b'[{"a": ' + b"1" * 10_000 + b"}]"]))


_NUMBER = re.compile(r'\{"a": ([0-9]+)\} *(?:, *(?=\{)|(?=\]))')


@given(st.lists(st.integers(0, 99) | st.text(max_size=3), max_size=30), st.integers(1, 40), st.booleans())
def test_what_is_taken_from_the_text_is_not_yielded(values: list[Any], size: int, interested: bool) -> None:
    came: list[Any] = []

    def take(text: str, position: int) -> int | None:
        while found := _NUMBER.match(text, position):
            came.append(int(found[1]))
            position = found.end()
        return position if interested else None

    for found in objects(cut(json.dumps([{"a": value} for value in values]).encode(), size), bulk=take):
        if interested or not isinstance(found["a"], int):
            came.append(found["a"])
    if interested:
        assert came == values


@pytest.mark.parametrize("text", ['[{"a": 1}, ]', '[{"a": 1},', '[{"a": 1}', '[{"a": 1}] 2', '[{"a": 1}, 2]'])
def test_what_follows_objects_that_were_taken_is_checked(text: str) -> None:
    def take(text: str, position: int) -> int:
        found = _NUMBER.match(text, position)
        return found.end() if found else position

    with pytest.raises(FixtureError):
        list(objects(cut(text.encode(), 3), bulk=take))
