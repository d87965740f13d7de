"""setup-backups.yml: what is wrong is told before anything changes; and what it says is proven is so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.operated import Operated


@contextmanager
def variables(operated: Operated, **changes: Any) -> Iterator[None]:
    kept = dict(operated.control.variables)
    operated.control.variables.update({f"checkniner_backups_{name}": value for name, value in changes.items()})
    try:
        yield
    finally:
        operated.control.variables.clear()
        operated.control.variables.update(kept)


def picture(operated: Operated) -> dict[str, tuple[int, int, int]]:
    """Return owner, mode and time of change of every file that belongs to the backups, and the keys in the bucket."""
    control = operated.control
    folders = [control.variables[f"checkniner_backups_{name}_path"] for name in ("state", "config", "log", "install")]
    found = dict.fromkeys(operated.stored(), (0, 0, 0))
    for folder in folders:
        for path in sorted(operated.state_path.parent.joinpath(folder).rglob("*")):
            if "__pycache__" in path.parts or path.name in ("lock", "random_seed", "trustdb.gpg"):
                continue
            status = path.lstat()
            changed = 0 if path.is_dir() else status.st_mtime_ns
            found[str(path)] = (status.st_uid, status.st_mode, changed)
    activate = operated.application.activate.stat()
    return found | {"activate": (activate.st_uid, activate.st_mode, activate.st_mtime_ns)}


def wrong(operated: Operated) -> dict[str, tuple[dict[str, Any], str]]:
    """Return the variables that are wrong, and the words that say so, by name."""
    control = operated.control
    keyring, key = control.keyring, control.key
    expired, signing = keyring.generate_expired(), keyring.generate_signing_only()

    def of(other: Any) -> dict[str, Any]:
        return {"gpg_recipient": other.fingerprint, "gpg_public_key": keyring.export_public(other)}

    return {
        "a private key": ({"gpg_public_key": keyring.export_secret(key)}, "does not belong on a server"),
        "an expired key": (of(expired), "expired"),
        "a key that cannot encrypt": (of(signing), "cannot encrypt"),
        "the owner": ({"owner": "root"}, "root and postgres are refused"),
        "no virtualenv": ({"virtualenv": "/nonexistent"}, "finds no /nonexistent/bin/activate"),
        "a placeholder that means nothing": (
            {"ping_failure_url": "https://example.org/{statsu}"},
            "checkniner_backups_ping_failure_url holds an unknown placeholder {statsu}",
        ),
        "a command that is no list": ({"on_failure_commands": ["mail me"]}, "must be a list of commands"),
        "metrics in no folder": ({"metrics_file": "metrics.prom"}, "must be an absolute path that ends in .prom"),
        "a bucket that does not exist": ({"s3_bucket_name": "no-such-bucket"}, "no such bucket"),
        "an app that does not exist": ({"business_apps": ["checkuots"]}, "the application has no app checkuots"),
    }


# One play each takes its time; what else can be wrong with a key is tried without Ansible in test_gpg_keys.py.
NAMES = ("a private key", "an expired key", "a key that cannot encrypt", "the owner", "no virtualenv",
         "a placeholder that means nothing", "a command that is no list", "metrics in no folder",
         "a bucket that does not exist", "an app that does not exist")  # fmt: skip


@pytest.fixture(scope="module")
def cases(operated: Operated) -> dict[str, tuple[dict[str, Any], str]]:
    return wrong(operated)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_changes_nothing(
    operated: Operated, cases: dict[str, tuple[dict[str, Any], str]], name: str
) -> None:
    changes, words = cases[name]
    # The environment file too: the ticks go on as before.
    before = picture(operated)
    with variables(operated, **changes):
        done = operated.control.play("setup-backups.yml")
    assert done.returncode != 0
    assert words in " ".join(done.stdout.split()), done.stdout[-2000:]
    assert "PRIVATE KEY BLOCK" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert picture(operated) == before


def test_a_second_run_changes_nothing_and_proves_again(operated: Operated) -> None:
    assert "PROVEN: this machine has opened db/" in operated.set_up.stdout
    assert "NOT PROVEN" not in operated.set_up.stdout
    operated.tick()
    before = picture(operated)
    done = operated.control.play("setup-backups.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "changed=0" in done.stdout
    after = picture(operated)
    assert {name for name in before if before[name] != after.get(name)} <= {str(operated.state_path / "state.json")}


def test_who_cannot_open_it_hears_so(operated: Operated, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    done = operated.control.play("setup-backups.yml", environment={"GNUPGHOME": str(home)})
    assert done.returncode != 0
    assert "NOT PROVEN: this machine could not open the archive" in " ".join(done.stdout.split())
    asked = ("--tags", "prove", "-e", "checkniner_backups_require_proof=false")
    other = operated.control.play("setup-backups.yml", *asked, environment={"GNUPGHOME": str(home)})
    assert other.returncode == 0, other.stdout[-3000:]
    assert "NOT PROVEN" in other.stdout
    assert "no private key here decrypts the archive" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", ["state", "log"])
def test_root_does_not_give_away_what_a_link_leads_to(operated: Operated, tmp_path: Path, name: str) -> None:
    """The owner may have put it there, where the owner may write above."""
    link = operated.application.folder / f"{name}-link"
    if name == "log":
        link.mkdir()
        victim = tmp_path / "file"
        victim.touch(mode=0o644)
        (link / "checkniner.log").symlink_to(victim)
    else:
        link.symlink_to(victim := tmp_path)
    before = victim.stat()
    with variables(operated, **{f"{name}_path": str(link)}):
        done = operated.control.play("setup-backups.yml")
    assert done.returncode != 0
    assert "is a symbolic link" in " ".join(done.stdout.split()), done.stdout[-2000:]
    after = victim.stat()
    assert (after.st_uid, after.st_mode, after.st_mtime_ns) == (before.st_uid, before.st_mode, before.st_mtime_ns)
