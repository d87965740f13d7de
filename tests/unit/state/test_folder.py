"""What a run that was killed leaves in the state folder, and what the next one does about it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest
from checkniner_backups.errors import BusyError, DiskError
from checkniner_backups.state.folder import State

TEMPORARY = [".pending.ab12", ".safety-manifest.json.ab12", ".scratch-ab12"]


def old(path: Path, seconds: float = 3600) -> Path:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    return path


def test_whoever_gets_the_lock_removes_the_work_of_a_dead_run(tmp_path: Path) -> None:
    state = State(tmp_path)
    (tmp_path / "work" / "dataset").mkdir(parents=True)
    (tmp_path / "work" / "dataset" / "checkniner.sql.gz").write_bytes(b"plaintext")
    with state.lock():
        assert not (tmp_path / "work").exists()


def test_whoever_does_not_get_the_lock_leaves_the_work_alone(tmp_path: Path) -> None:
    with State(tmp_path).lock(), State(tmp_path).work_folder() as folder:
        with pytest.raises(BusyError), State(tmp_path).lock():
            pass
        assert folder.is_dir()


@pytest.mark.parametrize("name", TEMPORARY)
def test_half_written_files_go_when_they_are_old_and_nobody_writes_them(tmp_path: Path, name: str) -> None:
    state, path = State(tmp_path), tmp_path / name
    path.write_bytes(b"half")
    state.sweep()
    assert path.exists()  # it may be written at this moment
    old(path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        state.sweep()
        assert path.exists()
    state.sweep()
    assert not path.exists()


def test_nothing_else_is_swept(tmp_path: Path) -> None:
    names = ["pending", "state.json", ".profile", "safety-manifest.json"]
    for name in names:
        old_file = tmp_path / name
        old_file.write_text("x")
        old(old_file)
    State(tmp_path).sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_the_dataset_of_a_playbook_that_was_killed_goes_after_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "checkniner.sql.gz").write_bytes(b"plaintext")
    State(tmp_path).sweep()
    assert folder.exists()
    old(folder, 2 * 86400)
    State(tmp_path).sweep()
    assert not folder.exists()


def test_a_folder_that_became_read_only_is_a_fault_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    words = r"(?s)Read-only file system.*HINT: the file system is read-only"
    with pytest.raises(DiskError, match=words), State(tmp_path).lock():
        pass
