"""The form of a history file: what is written is read again, and nothing else is believed."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from checkniner_backups.errors import ArchiveError
from checkniner_backups.history.entries import LIMIT, Content, History, Saved, parse, split, stamp_of, table_of

DAY = datetime(2026, 11, 28, tzinfo=timezone.utc)


def content(**rows: int) -> Content:
    """Return tables of these numbers of rows; each number has a digest of its own."""
    tables = {f"public.{name}": table_of(number, f"{number:064x}"[::-1]) for name, number in rows.items()}
    return Content(tables, tuple(sorted(tables)), {"shop.order": "shop_order"})


def history(*contents: Content, day: datetime = DAY, origin: str = "SHA256:x", application: str = "shop") -> History:
    """Return the history of archives of these contents, one an hour."""
    held, entries = Content(), []
    for hour, each in enumerate(contents):
        created = day.replace(hour=hour)
        entry = held.next_entry(Saved(f"{created:%Y-%m-%dT%H:%M:%S}.tar.gz.gpg", created, each))
        held.add(entry)
        entries.append(entry)
    return History(application, "bucket/db/", origin, tuple(entries))


def test_what_is_written_is_read_again_and_only_differences_are_written() -> None:
    wanted = history(content(shop_order=5, auth_user=1), content(shop_order=4, auth_user=1), content(shop_order=4))
    found = parse(wanted.to_bytes())
    assert found == wanted
    assert [sorted(each.tables) for each in found.entries] == [
        ["public.auth_user", "public.shop_order"], ["public.shop_order"], [],
    ]  # fmt: skip
    assert [each.gone for each in found.entries] == [(), (), ("public.auth_user",)]
    assert found.content() == content(shop_order=4)
    assert stamp_of(found.first) == "2026-11-28T00:00:00"


def test_the_signature_is_below_the_lines() -> None:
    lines = history(content(a=1)).to_bytes()
    signature = b"-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n"
    assert split(lines) == (lines, b"")
    assert split(lines + signature) == (lines, signature)
    # A name cannot end the lines: JSON has no line break in a text.
    odd = history(Content({"public.a\n-----BEGIN SSH SIGNATURE-----\n": table_of(1, "0" * 64)})).to_bytes()
    assert split(odd + signature) == (odd, signature)


def changed(**fields: Any) -> bytes:
    """Return the lines of a history with fields of its only entry changed; None leaves one out."""
    head, entry = map(json.loads, history(content(a=1)).to_bytes().splitlines())
    entry = {name: value for name, value in {**entry, **fields}.items() if value is not None}
    return b"\n".join(json.dumps(each).encode() for each in (head, entry))


HOSTILE = {
    "nothing": b"",
    "no JSON": b"x",
    "a list": b"[1]\n[2]",
    "deep": b"[" * 200_000,
    "a manifest": b'{"format": 2, "application": "shop"}\n',
    "no entries": history(content(a=1)).to_bytes().splitlines()[0],
    "another format": history(content(a=1)).to_bytes().replace(b'"format": 1', b'"format": 2', 1),
    "no name": changed(archive="../x"),
    "no archive": changed(archive=None),
    "no time": changed(created="yesterday"),
    "no such time": changed(created="2026-02-31T00:00:00Z"),
    "fewer than no rows": changed(tables={"a": [-1, "0" * 16]}),
    "too many rows": changed(tables={"a": [2**63, "0" * 16]}),
    "rows that are none": changed(tables={"a": [True, "0" * 16]}),
    "infinite rows": changed(tables={"a": [float("inf"), "0" * 16]}),
    "no digest": changed(tables={"a": [1, "x" * 16]}),
    "a digest too long": changed(tables={"a": [1, "0" * 17]}),
    "tables that are none": changed(tables=[1]),
    "a long name": changed(tables={"a" * 301: [1, "0" * 16]}),
    "half a character": changed(gone=["\ud800"]),
    "gone as a text": changed(gone="abc"),
    "models that are none": changed(models=["a"]),
    "an order that falls": changed() + b"\n" + changed().splitlines()[1],
    "no UTF-8": b"\xff" + changed(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_of_that_form_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="no history"):
        parse(HOSTILE[name])


def test_a_long_one_is_not_even_looked_at() -> None:
    with pytest.raises(ArchiveError, match=f"{LIMIT + 1:,} bytes or more"):
        parse(b"x" * (LIMIT + 1))


def test_it_is_json_that_people_can_read() -> None:
    assert parse(changed()).application == "shop"
    lines = history(content(shop_order=5)).to_bytes().decode().splitlines()
    assert json.loads(lines[1])["tables"] == {"public.shop_order": [5, "5000000000000000"]}
