"""Our loads beside what Django's `loaddata` makes of the same fixture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from checkniner_backups.django_app.process import FixturesProcess, LoadReport

from tests.plugins.fixtures_project import KindsProject, Reference
from tests.plugins.postgres import Database

LABEL = "kinds.everything"


@contextmanager
def both(
    kinds: KindsProject, folder: Path, sql: str = "", **more: str
) -> Iterator[tuple[FixturesProcess, Database, Reference, Database]]:
    """Ours and Django's own process, each on a database of its own.

    :param sql: run on both by their owner
    :param more: environment of both
    """
    with ExitStack() as stack:
        ours, djangos = (stack.enter_context(kinds.database("filled")) for _ in range(2))
        for database in (ours, djangos):
            for statement in ("TRUNCATE kinds_soft CASCADE", *filter(None, sql.split(";"))):
                database.execute(statement)
        process = stack.enter_context(kinds.start(ours.url, folder, **more))
        yield process, ours, stack.enter_context(kinds.reference(djangos.url, folder, **more)), djangos


def load(process: FixturesProcess, fixture: bytes, size: int = 100_000, empty: bool = False) -> LoadReport:
    return process.load(
        ["kinds"], [("kinds", [fixture[at : at + size] for at in range(0, len(fixture), size)])], empty=empty
    )


def rows(database: Database, *tables: str) -> list[Any]:
    """The rows of tables as text; those of many-to-many tables without their own numbers."""
    every = []
    for table in tables:
        text = "(to_jsonb(t) - 'id')::text" if table.startswith(f"{EVERYTHING}_") else "t::text"
        every.append(database.execute(f"SELECT {text} FROM {table} t ORDER BY 1"))
    return every


EVERYTHING = "kinds_everything"
TABLES = (EVERYTHING, *(f"{EVERYTHING}_{name}" for name in ("groups", "permissions", "friends", "tags")))


def written(objects: list[dict[str, Any]], indent: int | None = 4, escape: bool = False) -> bytes:
    return json.dumps(objects, indent=indent, ensure_ascii=escape).encode()


def everything(key: int, **more: Any) -> dict[str, Any]:
    found = {"small": 1, "whole": 1, "big": 1, "positive": 1, "yes": True, "name": "", "text": "", "slug": "",
             "email": "", "url": "", "file_path": "", "day": None, "moment": None, "clock": None, "price": None,
             "fine": None, "number": None, "identity": None, "address": None, "file": "", "picture": "", "blob": None,
             "changed": "2026-01-01T00:00:00Z", "user": None, "group": None, "permission": None, "content_type": None,
             "parent": None, "groups": [], "permissions": [], "friends": [], "tags": []}  # fmt: skip
    return {"model": LABEL, "pk": key, "fields": {**found, **more}}
