"""Files of ours that were damaged, or were never ours: what cannot be read is not known, and never a fault of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.settings import from_environment
from checkniner_backups.state import last_backup, last_rehearsal, last_tick
from checkniner_backups.system.environment_file import read_environment_file

DAMAGED = ["", "{", "[]", "null", "5", '{"version": 1}', "[" * 20_000, '{"a":' * 20_000]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:15])
def test_what_is_remembered(text: str) -> None:
    assert last_backup.parse(text, last_backup.LastBackup) is None
    assert last_tick.parse_tick(text) is None
    assert last_rehearsal.parse_rehearsal(text) is None


def test_an_environment_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "shop.env"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(SettingsError, match=r"shop\.env is no text") as caught:
        read_environment_file(path)
    assert "setup-backups.yml" in caught.value.hint


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "1e99", ""])
def test_a_number_that_is_none_is_told_with_its_bounds(value: str) -> None:
    environment = {
        "CHECKNINER_BACKUPS_STATE_PATH": "/state", "CHECKNINER_BACKUPS_NAME": "shop", "S3_BUCKET_NAME": "shop",
        "CHECKNINER_BACKUPS_APPLICATION_PATH": "/shop", "CHECKNINER_BACKUPS_VIRTUALENV": "/venv",
        "CHECKNINER_BACKUPS_ENCRYPTION": "off", "CHECKNINER_BACKUPS_LOCK_TIMEOUT": value,
    }  # fmt: skip
    if not value:
        assert from_environment(environment).lock_timeout == 5
        return
    with pytest.raises(SettingsError, match="LOCK_TIMEOUT is") as caught:
        from_environment(environment)
    assert "from 0 to" in caught.value.hint
