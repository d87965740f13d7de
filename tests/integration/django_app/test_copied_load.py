"""Objects that are copied past Django leave the rows that `loaddata` leaves, and fail with the words of Django."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.errors import ApplicationError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.django_app.test_dump import peak_memory
from tests.loaddata import LABEL, TABLES, both, everything, load, rows, written
from tests.plugins.fixtures_project import KindsProject
from tests.plugins.postgres import Database


def moment(zone: str) -> st.SearchStrategy[str]:
    def text(found: datetime, digits: int) -> str:
        return found.isoformat(timespec={0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]) + zone

    return st.builds(text, st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), DIGITS)


DIGITS = st.sampled_from([0, 3, 6])
_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40) | st.sampled_from(
    ["null", "\\N", "\\.", "\\n", '"', '\\"', "\u2028", "🛩\\", "\r\n", "\n\\.\n", "a\\u0041", "/", "\x7f", " ", ""]
)
_CLOCK = st.builds(
    lambda found, digits: found.isoformat(timespec={0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]),
    st.times(), DIGITS,
)  # fmt: skip


def fields(zone: str) -> st.SearchStrategy[dict[str, Any]]:
    """The fields of one object of `kinds.everything`, in the model's order."""
    number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
    return st.fixed_dictionaries(
        {
            "small": st.none() | st.integers(-(2**15), 2**15 - 1),
            "whole": st.none() | st.integers(-(2**31), 2**31 - 1),
            "big": st.none() | st.integers(-(2**63), 2**63 - 1),
            "positive": st.none() | st.integers(0, 2**31 - 1),
            "yes": st.none() | st.booleans(),
            "name": _TEXT,
            "text": st.none() | _TEXT,
            "slug": _TEXT,
            "email": _TEXT,
            "url": _TEXT,
            "file_path": st.none() | _TEXT,
            "day": st.none() | st.dates().map(str),
            "moment": st.none() | moment(zone),
            "clock": st.none() | _CLOCK,
            "price": st.none() | st.decimals(-(10**16), 10**16, places=3).map(str),
            "fine": st.none() | st.decimals(-(10**13), 10**13, places=7).map(str),
            "number": st.none() | number,
            "identity": st.none() | st.uuids().map(str),
            "address": st.none() | st.ip_addresses().map(str) | st.sampled_from(["::ffff:1.2.3.4", "1:0::2"]),
            "file": _TEXT,
            "picture": _TEXT,
            "blob": st.none() | st.binary(max_size=60).map(lambda found: base64.b64encode(found).decode()),
            "changed": moment(zone),
            "user": st.none() | st.sampled_from([1, 8, 15]),
            "group": st.none() | st.sampled_from([1, 2, 3]),
            "permission": st.none() | st.sampled_from([["add_tag", "kinds", "tag"], ["view_tag", "kinds", "tag"]]),
            "content_type": st.none() | st.sampled_from([["kinds", "tag"], ["auth", "user"]]),
            "parent": st.none() | st.sampled_from([1, 2, 3]),
            "groups": st.lists(st.sampled_from([1, 2, 3]), max_size=4),
            "permissions": st.lists(st.sampled_from([["add_tag", "kinds", "tag"], ["view_tag", "kinds", "tag"]])),
            "friends": st.just([]),
            "tags": st.lists(st.sampled_from(["b", "a", "null", "ż\\", '"']), max_size=4),
        }
    )


@pytest.mark.parametrize("zones", ["1", "0"])
def test_generated_objects(zones: str, kinds: KindsProject, tmp_path: Path) -> None:
    copied: list[int] = []
    empty = f"TRUNCATE {', '.join(TABLES)} CASCADE"
    with both(kinds, tmp_path, PROJECT_USE_TZ=zones) as (process, ours, reference, djangos):

        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        )
        @given(
            st.lists(fields("Z" if zones == "1" else ""), min_size=3, max_size=12),
            st.sampled_from([None, 1, 4]),
            st.booleans(),
            st.booleans(),
            st.sampled_from([7, 1000, 100_000]),
        )
        def check(found: list[dict[str, Any]], indent: int | None, escape: bool, friends: bool, size: int) -> None:
            names = sorted(found[0])  # Hypothesis changes the order
            objects = [{"model": LABEL, "pk": key, "fields": {name: each[name] for name in names}}
                       for key, each in enumerate(found, 1)]  # fmt: skip
            if friends:  # Django makes each of them both ways
                objects[1]["fields"]["friends"], objects[2]["fields"]["friends"] = [3], [2]
            fixture = written(objects, indent, escape)
            ours.execute(empty)
            djangos.execute(empty)
            reference.loaddata(fixture)
            copied.append(load(process, fixture, size).copied.get(LABEL, 0))
            assert rows(ours, *TABLES) == rows(djangos, *TABLES)

        check()
    assert sum(copied) > 80


def soft(key: Any, name: Any = "name", **more: Any) -> dict[str, Any]:
    return {"model": "kinds.soft", "pk": key, "fields": {"name": name, "deleted": False, **more}}


SOFTS = [soft(key, f"name {key}") for key in range(1, 6)]
VARIANTS = [
    "its_setattr", "its_init", "its_metaclass", "its_pre_init", "its_post_init", "its_save_base", "its_attribute",
    "a_field_of_its_own", "its_to_python", "its_get_prep_value", "its_get_db_prep_value", "its_get_db_prep_save",
    "a_backend_of_its_own",
]  # fmt: skip


@pytest.mark.parametrize("variant", ["", *VARIANTS])
def test_what_the_application_does_to_its_objects_is_done(variant: str, kinds: KindsProject, tmp_path: Path) -> None:
    with both(kinds, tmp_path, PROJECT_VARIANT=variant) as (process, ours, reference, djangos):
        reference.loaddata(written(SOFTS))
        report = load(process, written(SOFTS))
        assert rows(ours, "kinds_soft") == rows(djangos, "kinds_soft")
    assert report.objects == {"kinds.soft": 5}
    assert report.copied == ({} if variant else {"kinds.soft": 4})


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE audit (name text); CREATE RULE r AS ON INSERT TO kinds_soft DO ALSO INSERT INTO audit VALUES"
        " (new.name)",
        "ALTER TABLE kinds_soft ALTER deleted DROP DEFAULT, ALTER deleted TYPE text",
    ],
    ids=["a rule", "a column of another type"],
)  # fmt: skip
def test_tables_that_take_a_copy_otherwise(sql: str, kinds: KindsProject, tmp_path: Path) -> None:
    with both(kinds, tmp_path, f"{sql}; CREATE TABLE IF NOT EXISTS audit (name text)") as (
        process, ours, reference, djangos,
    ):  # fmt: skip
        failed = []
        for loaded in (lambda: reference.loaddata(written(SOFTS)), lambda: load(process, written(SOFTS))):
            try:
                failed.append(bool(getattr(loaded(), "copied", None)))
            except (ApplicationError, AssertionError):
                failed.append(None)
        assert failed in ([False, False], [None, None])
        for table in ("kinds_soft", "audit"):
            assert rows(ours, table) == rows(djangos, table)


def test_shapes_that_are_left_to_django(kinds: KindsProject, tmp_path: Path) -> None:
    fixture = [
        *SOFTS[:2],
        {"model": "kinds.soft", "pk": 11, "fields": {"name": "no other field"}},
        {"model": "kinds.soft", "pk": 12, "fields": {"name": "no other field"}},
        {"model": "kinds.soft", "fields": {"name": "no key", "deleted": True}},
        {"model": "kinds.soft", "fields": {"name": "no key", "deleted": True}},
        soft(13, deleted="True"), soft(14, deleted=1), soft("15"), soft(None), soft(1, "the second of this key"),
        *({"pk": key, "model": "kinds.soft", "fields": {"name": "in this order"}} for key in (16, 17)),
        *({"model": "kinds.place", "pk": key, "fields": {"name": "place"}} for key in (1, 2)),
        *({"model": "kinds.restaurant", "pk": key, "fields": {"stars": 5}} for key in (1, 2)),
        *({"model": "kinds.book", "pk": key, "fields": {"title": f"{key}", "sequel": 4}} for key in (4, 5, 6)),
        *({"model": "kinds.custom", "pk": key, "fields": {"word": "word"}} for key in (1, 2)),
        *({"model": "kinds.odd", "pk": key,
           "fields": {"lasts": "1 00:00:00", "json": None, "tiny": "1E-9"}} for key in (1, 2)),
        *({"model": "kinds.keyed", "pk": f"0000000000000000000000000000000{key}",
           "fields": {"tag": "b", "quoted": key, "others": []}} for key in (1, 2)),
        *({"model": "kinds.coded", "pk": key, "fields": {"code": key + 0.5}} for key in (101, 102)),
    ]  # fmt: skip
    tables = [f"kinds_{name}" for name in ("soft", "place", "restaurant", "book", "custom", "odd", "keyed")]
    for order in (fixture, fixture[::-1]):
        with both(kinds, tmp_path, "ALTER TABLE kinds_soft ALTER deleted SET DEFAULT true") as (
            process,
            ours,
            reference,
            djangos,
        ):
            reference.loaddata(written(order))
            report = load(process, written(order))
            assert rows(ours, *tables, '"a Strange table"') == rows(djangos, *tables, '"a Strange table"')
        assert set(report.copied) <= {"kinds.soft", "kinds.place"}


@pytest.mark.parametrize(
    "odd",
    [
        {"number": -0.0}, {"number": float("inf")}, {"number": "1.5"}, {"whole": "12"}, {"whole": True}, {"yes": "1"},
        {"yes": "t"}, {"file": None}, {"picture": None}, {"moment": "2026-01-01"}, {"moment": "2026-01-01T00:00:00"},
        {"moment": "2026-01-01T00:00:00+02:00"}, {"price": 1.25}, {"price": "1E+3"}, {"price": 7},
        {"identity": "{12345678123456781234567812345678}"}, {"address": ""}, {"address": "::FFFF:1.2.3.4"},
        {"day": "2026-1-2"}, {"clock": "01:02"}, {"blob": ""}, {"file_path": 5}, {"name": 5}, {"name": " " * 190},
        {"slug": "x" * 50 + " "}, {"number": 10**400 // 10**100}, {"groups": [1, 1, 2]}, {"tags": ["b", "b"]},
    ],
    ids=str,
)  # fmt: skip
def test_values_that_django_takes_as_well(odd: dict[str, Any], kinds: KindsProject, tmp_path: Path) -> None:
    fixture = written([everything(201), everything(202), everything(203, **odd), everything(204)])
    with both(kinds, tmp_path) as (process, ours, reference, djangos):
        reference.loaddata(fixture)
        report = load(process, fixture)
        assert rows(ours, *TABLES) == rows(djangos, *TABLES)
    assert report.copied[LABEL] >= 2 or odd.keys() <= {"name", "slug"}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"BAD"', rb'"a\u0000b"'), (b'"BAD"', b'"' + b"x" * 201 + b'"'), (b'"BAD"', rb'"\ud800"'),
        (b'"BAD"', rb'"\x"'), (b'"BAD"', b'"a\nb"'), (b'"BAD"', b'"\xff"'), (b'"BAD"', b"null"),
        (b'"whole": 5', b'"whole": 2147483648'), (b'"whole": 5', b'"whole": 99999999999999999999999'),
        (b'"whole": 5', b'"whole": 05'), (b'"positive": 5', b'"positive": -5'),
        (b'"number": 5.5', b'"number": 1e9x'),
        (b'"2026-01-02"', b'"2026-02-30"'), (b'"2026-01-02"', b'"infinity"'), (b'"01:02:03"', b'"24:00:00"'),
        (b'"price": "5.50"', b'"price": "1234567890123456789012.00"'),
        (b'"1.2.3.4"', b'"1:2:3::4::5"'), (b'"1.2.3.4"', b'"1.2.3.400"'), (b'"AAAA"', b'"AAAAA"'),
        (b'"auth"', b'"nonsense"'), (b'"parent": null', b'"parent": 999999'), (b'"groups": []', b'"groups": [999999]'),
        (b'"tags": []', b'"tags": [null]'), (b'"tags": []', b'"tags": 5'),
    ],
)  # fmt: skip
def test_errors_are_those_of_an_object_that_is_not_copied(
    good: bytes, bad: bytes, kinds: KindsProject, filled: Database, tmp_path: Path
) -> None:
    """The first object goes through Django always: what is wrong there is said as it was before there were copies."""
    wrong = everything(302, name="BAD", whole=5, positive=5, number=5.5, day="2026-01-02", clock="01:02:03",
                       price="5.50", address="1.2.3.4", blob="AAAA", content_type=["auth", "user"])  # fmt: skip
    said = []
    for before in ([], [everything(300), everything(301)]):
        text = [written([found], None)[1:-1] for found in (*before, wrong, everything(303))]
        assert good in text[len(before)]
        text[len(before)] = text[len(before)].replace(good, bad)
        with kinds.start(filled.url, tmp_path) as process, pytest.raises(ApplicationError) as caught:
            load(process, b"[" + b",".join(text) + b"]")
        said.append(caught.value.message)
    assert said[0] == said[1]


def test_the_first_error_is_told(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    """PostgreSQL may still be taking objects when those behind them turn out to be wrong."""
    fixture = written([everything(300), everything(301, whole=2**31)] + [everything(key) for key in range(302, 400)])
    with kinds.start(filled.url, tmp_path) as process, pytest.raises(ApplicationError, match=r"\(pk=301\): "):
        load(process, fixture[:-300])


def test_memory_is_flat(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    def chunks(count: int) -> Iterator[bytes]:
        yield b"["
        for start in range(1000, 1000 + count, 1000):
            objects = [soft(key, "name \u2028 \n") for key in range(start, start + 1000)]
            yield (b"" if start == 1000 else b",") + written(objects)[1:-1]
        yield b"]"

    with kinds.start(filled.url, tmp_path) as process:
        process.load(["kinds"], [("kinds", chunks(20_000))], empty=False)
        started = peak_memory(process)
        report = process.load(["kinds"], [("kinds", chunks(300_000))], empty=True)
        assert peak_memory(process) - started < 20_000
    assert report.copied == {"kinds.soft": 299_999}
