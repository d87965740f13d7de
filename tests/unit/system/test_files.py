"""A file has its name when it is whole, and not before; what fails is told with what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from checkniner_backups.errors import DiskError, StoreError
from checkniner_backups.system.files import disk_errors, new_file, whole_file, write_durably


def test_it_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"now")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"now"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def _fail_half_way(path: Path, error: BaseException) -> None:
    with whole_file(path) as file:
        file.write(b"a part")
        raise error


@pytest.mark.parametrize("error", [StoreError("the store hangs"), KeyboardInterrupt()], ids=["an error", "a signal"])
def test_what_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        _fail_half_way(tmp_path / "archive", error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [lambda path: whole_file(path).__enter__(), lambda path: write_durably(path, b"")])
def test_no_folder_is_told(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with pytest.raises(DiskError, match=r"cannot write .*No such file"):
        write(tmp_path / "nowhere" / "archive")


def test_a_new_file_follows_no_link_and_is_its_owners_alone(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"kept")
    path.symlink_to(other)
    with new_file(path) as file:
        file.write(b"new")
    assert other.read_bytes() == b"kept"
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "owner and mode"),
    ],
)
def test_what_to_do_goes_by_the_error(number: int, hint: str) -> None:
    with pytest.raises(DiskError) as caught, disk_errors(Path("/x")):
        raise OSError(number, "as the system says")
    assert hint in caught.value.hint
    assert caught.value.message == "cannot write /x: as the system says"
