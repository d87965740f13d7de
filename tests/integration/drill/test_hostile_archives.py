"""A hostile archive gets no more power in a drill than an ordinary role has: it runs no program on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from checkniner_backups.drill import drill
from checkniner_backups.drill import record as drill_record
from checkniner_backups.rehearsal.throwaway import SUPERUSER, throwaway
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.catalog import Archive
from checkniner_backups.storage.s3 import Store
from checkniner_backups.system.accounts import unprivileged

from sandbox.object_store import ObjectStore
from tests.archives import archive, manifest_for
from tests.plugins.object_store import POLICY_BUCKET

END = "\n-- PostgreSQL database dump complete\n"
RUN = "COPY (SELECT 1) TO PROGRAM 'touch {marker}';"
POWERS = [SUPERUSER, "pg_execute_server_program", "pg_write_server_files"]
# The server's error message is what an archive without a manifest is asked for its roles by; this SQL writes one.
ASKED_FOR = """
DO $$ BEGIN
    IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN RAISE EXCEPTION 'role "{role}" does not exist'; END IF;
END $$;
"""


@pytest.fixture
def marker() -> Iterator[Path]:
    """A file that the account of the throwaway server could make."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)  # whoever runs the server may write here
        yield Path(folder) / "marker"


def drilled(s3_server: ObjectStore, body: bytes) -> drill_record.Result:
    key = "db/2026-01-04T00:00:00.tar.gz"
    s3_server.client().put_object(Bucket=POLICY_BUCKET, Key=key, Body=body)
    keys = s3_server.identities["reader"]
    settings = StoreSettings(
        bucket=POLICY_BUCKET, prefix="db/", endpoint_url=s3_server.endpoint_url,
        access_key=keys.access_key, secret_key=keys.secret_key,
    )  # fmt: skip
    stored = Archive(key, datetime(2026, 1, 4, tzinfo=timezone.utc), len(body), encrypted=False)
    return drill.drill(Store(settings), stored, drill.Plan("checkniner"))


def table(name: str, owner: str) -> dict[str, object]:
    return {"schema": "public", "name": name, "owner": owner, "rows": 0, "sha256": "0" * 64, "privileges": []}


@pytest.mark.parametrize("role", POWERS)
def test_an_owner_that_the_manifest_names(s3_server: ObjectStore, marker: Path, role: str) -> None:
    text = f'SET ROLE "{role}";\n{RUN.format(marker=marker)}\nRESET ROLE;{END}'
    content = {"checkniner.sql": text.encode()}
    tables = (table("a", "checkniner"), table("b", "checkniner"), table("c", role))
    result = drilled(s3_server, archive(content, replace(manifest_for(content), tables=tables)))
    assert not marker.exists()
    assert result.verdict == drill_record.BAD
    assert "permission denied to set role" in result.sql, result.sql


@pytest.mark.parametrize("role", POWERS)
def test_an_owner_of_most_tables(s3_server: ObjectStore, marker: Path, role: str) -> None:
    """The role that loads is named by the archive too."""
    content = {"checkniner.sql": (RUN.format(marker=marker) + END).encode()}
    body = archive(content, replace(manifest_for(content), tables=(table("a", role),)))
    result = drilled(s3_server, body)
    assert not marker.exists()
    assert f"'{role}'" in result.sql
    assert "which this server has for itself" in result.sql


@pytest.mark.parametrize("role", POWERS)
def test_a_role_that_an_error_message_names(s3_server: ObjectStore, marker: Path, role: str) -> None:
    text = ASKED_FOR.format(role=role) + f'SET ROLE "{role}";\n{RUN.format(marker=marker)}{END}'
    result = drilled(s3_server, archive({"checkniner.sql": text.encode()}))
    assert not marker.exists()
    assert result.verdict == drill_record.BAD
    assert f'role "{role}" does not exist' in result.sql, result.sql


def test_only_what_was_made_for_a_drill_is_granted_there() -> None:
    with throwaway(unprivileged()) as server:
        assert server.create_role("pilot", "secret")
        assert server.create_role("owner")
        assert not server.create_role("owner")
        assert server.grant("owner", "pilot")
        for role in ("pg_database_owner", "nobody_made_this", *POWERS):
            assert not server.grant(role, "pilot")
