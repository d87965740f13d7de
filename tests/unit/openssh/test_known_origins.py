"""The file of known origins: the first key is taken, another one is refused, and ssh-keygen reads the file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from checkniner_backups.errors import DiskError, OriginError
from checkniner_backups.openssh.known_origins import identity, learn, line, read
from checkniner_backups.openssh.signing import PublicKey, parse_public_key

NAME = "checkniner@web1.example.org"


def key(number: int) -> PublicKey:
    """Return one of many keys; nobody knows their private halves."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes([number]) * 32
    return parse_public_key(f"ssh-ed25519 {base64.b64encode(blob).decode()} comment")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known_origins"


def test_the_first_key_is_taken_and_stays(path: Path) -> None:
    learned = learn(path, NAME, key(1))
    assert (learned.before, read(path)) == ("", learned.after)
    assert line(NAME, key(1)) in learned.after
    assert learn(path, NAME, key(1)) == type(learned)(learned.after, learned.after)


def test_others_are_added_after_it_and_what_people_wrote_stays(path: Path) -> None:
    learn(path, NAME, key(1))
    path.write_text(read(path) + "# ours\n\nbilling@web9 ssh-ed25519 " + key(9).base64 + "\n")
    before = read(path)
    learn(path, identity("checkniner", "web2"), key(2))
    assert read(path) == before + line("checkniner@web2", key(2))


def test_another_key_of_the_same_server_is_refused(path: Path) -> None:
    before = learn(path, NAME, key(1)).after
    with pytest.raises(OriginError, match=r"knows it with SHA256:") as caught:
        learn(path, NAME, key(2))
    assert key(1).fingerprint in caught.value.message
    assert key(2).fingerprint in caught.value.message
    assert "new_origin=true" in caught.value.hint
    assert read(path) == before


def test_the_key_of_another_server_is_refused(path: Path) -> None:
    """A virtual machine that was copied, with its state folder."""
    before = learn(path, NAME, key(1)).after
    with pytest.raises(OriginError, match=f"has the signing key of {NAME}"):
        learn(path, "checkniner@web2", key(1))
    assert read(path) == before


def test_somebody_says_that_the_new_key_is_right(path: Path) -> None:
    learn(path, NAME, key(1))
    after = learn(path, NAME, key(2), new_origin=True).after
    assert line(NAME, key(2)) in after
    (old,) = (each for each in after.splitlines() if key(1).base64 in each)
    assert old.startswith(f'{NAME} namespaces="checkniner-backups",valid-before="20')
    assert learn(path, NAME, key(2)).after == after, "known from now on"
    with pytest.raises(OriginError):
        learn(path, NAME, key(1))


def test_check_mode_changes_nothing(path: Path) -> None:
    learned = learn(path, NAME, key(1), dry_run=True)
    assert learned.before != learned.after
    assert not path.exists()


def test_a_name_cannot_be_a_pattern_or_a_list(path: Path) -> None:
    assert identity("checkniner", "web*,!web2 x") == "checkniner@web%2A%2C%21web2%20x"
    assert identity("checkniner", "2001:db8::1") == "checkniner@2001:db8::1"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot write"):
        learn(tmp_path / "nowhere" / "known_origins", NAME, key(1))


@pytest.mark.parametrize("text", ["", "ssh-rsa AAAA", "ssh-ed25519", "ssh-ed25519 ?", "ssh-ed25519 AAAA"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(OriginError, match="no ed25519 key"):
        parse_public_key(text)
