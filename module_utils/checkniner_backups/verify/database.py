"""Proving a restored database against the manifest: row counts, digests, owners, privileges, sequences, extensions.

Every difference is named. Nothing is called proven that was not compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..archive.manifest import Manifest
from ..errors import VerificationError
from ..postgres import large_objects
from ..postgres.digest import columns_of, digest_table
from ..postgres.dsn import Dsn
from ..postgres.extensions import configuration_tables, has_our_note
from ..postgres.locales import locale_difference
from ..postgres.metadata import database_metadata, ownership, sequence_metadata
from ..postgres.privileges import granted, listed
from ..postgres.snapshot import plain_reader

if TYPE_CHECKING:
    from ..postgres.session import Connection
    from ..postgres.snapshot import Table

_SHOWN = 20
_LETTERS = re.compile(r"=[a-zA-Z*]*/")


@dataclass(frozen=True)
class Verification:
    """What was compared. `proven` is False where something differs, or there was nothing to compare with."""

    proven: bool
    tables: int = 0
    rows: int = 0
    differences: tuple[str, ...] = ()
    summary: str = ""

    @property
    def failed(self) -> bool:
        """Whether something differs."""
        return bool(self.differences)


NOT_PROVEN = Verification(
    False, summary="no manifest, not proven: this archive was made before archives said what they hold"
)


def verify_sql(dsn: Dsn, manifest: Manifest, *, skip_settings: bool = False) -> Verification:
    """Given a database that was loaded from SQL and the archive's manifest, compare everything that the manifest tells.

    The database's own owner is not compared: while it is new it belongs to who loads it; the swap changes that.
    """
    with plain_reader(dsn) as (connection, tables):
        expected = {(each["schema"], each["name"]): each for each in manifest.tables}
        found = {(table.schema, table.name): table for table in tables if table.has_rows}
        differences = [f"table {'.'.join(key)} is missing" for key in expected.keys() - found.keys()]
        differences += [f"table {'.'.join(key)} is not in the archive" for key in found.keys() - expected.keys()]
        common = {key: table for key, table in found.items() if key in expected}
        rows = 0
        for table, difference, count in _compare_tables(connection, common, expected):
            rows += count
            if difference:
                differences.append(f"table {table.quoted}: {difference}")
        differences += _compare_what_is_in_no_table(connection, manifest)
        differences += _compare_sequences(manifest.sequences, sequence_metadata(connection))
        found_facts = database_metadata(connection)
        if has_our_note(connection):  # restored beside the live one: its own comment has no place there
            found_facts["comment"] = manifest.database.get("comment")
        differences += _compare_database(manifest.database, found_facts, skip_settings)
    return _verification(len(common), rows, differences)


def verify_rows(dsn: Dsn, manifest: Manifest, only: Collection[str] = ()) -> Verification:
    """Given a database and a manifest, compare only row counts and digests: has anybody written since?

    :param only: tables to compare, as Django names them; none for all
    """
    wanted = {name.rpartition('"."')[2].strip('"') for name in only}
    with plain_reader(dsn) as (connection, tables):
        others = [] if wanted else _compare_what_is_in_no_table(connection, manifest)
        expected = {(each["schema"], each["name"]): each for each in manifest.tables}
        found = {(table.schema, table.name): table for table in tables if table.has_rows}
        if wanted:
            expected = {key: each for key, each in expected.items() if key[1] in wanted}
            found = {key: table for key, table in found.items() if key[1] in wanted}
        names = {".".join(key) for key in expected.keys() ^ found.keys()}
        common = {key: table for key, table in found.items() if key in expected}
        rows = 0
        for table, difference, count in _compare_tables(connection, common, expected):
            rows += count
            if difference:
                names.add(table.quoted)
    return _verification(len(common), rows, [*(f"table {name} differs" for name in names), *others])


def _compare_tables(
    connection: Connection,
    tables: Mapping[tuple[str, str], Table],
    expected: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Sequence[tuple[Table, str, int]]:
    columns = columns_of(connection, tables.values())
    owners = ownership(connection, [table.oid for table in tables.values()])
    result = []
    for key, table in tables.items():
        wanted = expected[key]
        digest = digest_table(connection, table, columns[table.oid])
        owner, privileges = owners[table.oid]
        difference = ""
        if digest.rows != wanted["rows"]:
            difference = f"{digest.rows} rows, the manifest says {wanted['rows']}"
        elif digest.sha256 != wanted["sha256"]:
            difference = f"{digest.rows} rows as in the manifest, but with other content"
        elif owner != wanted["owner"]:
            difference = f"belongs to {owner}, the manifest says {wanted['owner']}"
        elif _common(privileges) != _common(wanted["privileges"]):
            difference = f"privileges are {privileges}, the manifest says {wanted['privileges']}"
        result.append((table, difference, digest.rows))
    return result


def _compare_what_is_in_no_table(connection: Connection, manifest: Manifest) -> list[str]:
    """Compare large objects, and the rows of extensions' configuration tables, where the manifest tells of them."""
    differences = []
    if manifest.large_objects:
        found = large_objects.for_manifest(large_objects.digest_large_objects(connection))
        if found["count"] != manifest.large_objects["count"]:
            differences.append(f"{found['count']} large objects, the manifest says {manifest.large_objects['count']}")
        elif found != manifest.large_objects:
            differences.append(f"{found['count']} large objects as in the manifest, but with other numbers or content")
    if manifest.extension_tables:
        tables = {(table.schema, table.name): table for table in configuration_tables(connection)}
        columns = columns_of(connection, tables.values())
        for each in manifest.extension_tables:
            name = f"table {each['schema']}.{each['name']} of the extension {each['extension']}"
            table = tables.get((each["schema"], each["name"]))
            if not table:
                differences.append(f"{name} is missing")
                continue
            digest = digest_table(connection, table, columns[table.oid])
            if digest.rows != each["rows"]:
                differences.append(f"{name}: {digest.rows} rows of its own, the manifest says {each['rows']}")
            elif digest.sha256 != each["sha256"]:
                differences.append(f"{name}: {digest.rows} rows as in the manifest, but with other content")
    return differences


def _common(privileges: Sequence[str]) -> list[str]:
    """Given ACL entries (`role=arwdDxtm/grantor`), return what servers before and after PostgreSQL 17 have in common.

    17 added MAINTAIN (`m`), which an owner has there without a GRANT, and which `GRANT ALL` includes.
    """
    return sorted(_LETTERS.sub(lambda match: match[0].replace("m*", "").replace("m", ""), each) for each in privileges)


def _compare_sequences(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[str]:
    values = {(each["schema"], each["name"]): each["last_value"] for each in found}
    differences = []
    for each in expected:
        key = (each["schema"], each["name"])
        if key not in values:
            differences.append(f"sequence {'.'.join(key)} is missing")
        # Sequences are not transactional: the dumped one may be ahead of what was read before it, never behind.
        elif each["last_value"] is not None and (values[key] is None or values[key] < each["last_value"]):
            differences.append(
                f"sequence {'.'.join(key)} is at {values[key]}, behind {each['last_value']} in the manifest"
            )
    return differences


def _compare_database(expected: Mapping[str, Any], found: Mapping[str, Any], skip_settings: bool) -> list[str]:
    keys = ["encoding", "lc_collate", "lc_ctype", "connection_limit", *([] if skip_settings else ["settings"])]
    differences = [
        f"the database's {key} is {found[key]!r}, the manifest says {expected[key]!r}"
        for key in keys
        if key in expected and found[key] != expected[key]
    ]
    if "locale" in expected and (difference := locale_difference(found, expected)):
        differences.append(difference)
    # Both owners are left out on both sides: while it is new it belongs to who loads it, and what that role is granted
    # beside cannot be seen. When it changes hands, before the swap, all are compared.
    owners = {found["owner"], expected.get("owner", "")}
    ours, wanted = (granted(facts.get("privileges", ()), owners) for facts in (found, expected))
    if "privileges" in expected and ours != wanted:
        differences.append(f"privileges on the database are {listed(ours)}; the manifest says {listed(wanted)}")
    if "comment" in expected and found["comment"] != expected["comment"]:
        differences.append(f"the database's comment is {found['comment']!r}, the manifest says {expected['comment']!r}")
    for name, comment in found["extension_comments"].items():
        wanted_comment = expected.get("extension_comments", {}).get(name, comment)
        if comment != wanted_comment:
            differences.append(f"the comment on extension {name} is {comment!r}, the manifest says {wanted_comment!r}")
    extensions = {each["name"] for each in found["extensions"]}
    missing = [each["name"] for each in expected.get("extensions", ()) if each["name"] not in extensions]
    return differences + [f"extension {name} is missing" for name in missing]


def _verification(tables: int, rows: int, differences: Sequence[str]) -> Verification:
    shown = tuple(sorted(differences)[:_SHOWN])
    if len(differences) > _SHOWN:
        shown = (*shown, f"and {len(differences) - _SHOWN} more differences")
    summary = f"NOT equal to the manifest: {'; '.join(shown)}" if shown else f"proven: {tables} tables, {rows} rows"
    return Verification(not differences, tables, rows, shown, summary)


def checked(verification: Verification) -> Verification:
    """Given a verification, return it.

    :raises VerificationError: something differs
    """
    if verification.failed:
        raise VerificationError(
            f"what was restored is {verification.summary}",
            "the running database is unchanged; take another archive, or report this",
        )
    return verification
