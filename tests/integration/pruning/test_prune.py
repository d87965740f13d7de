"""Old archives leave a real store, with what belongs to them, and everything else stays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from checkniner_backups.errors import SettingsError, StoreError
from checkniner_backups.pruning import report
from checkniner_backups.pruning.policy import AHEAD, NEWEST, Policy
from checkniner_backups.pruning.prune import PROVEN, Intent, Pruned, check_share, intend, prune
from checkniner_backups.storage.removal import Removal, Removed
from checkniner_backups.storage.s3 import Store

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import POLICY_BUCKET, Make
from tests.unit.pruning.test_edges import message

NOON = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
"""Of yesterday, so that no test runs across a midnight that counts."""
POLICY = Policy(1, 3, 0, 0, 0)
HEAD = message(1)


def key(days: float, folder: str = "", ending: str = ".tar.gz.gpg") -> str:
    """Return the key of what is so many days older than NOON."""
    return f"db/{folder}{NOON - timedelta(days=days):%Y-%m-%dT%H:%M:%S}{ending}"


class Bucket:
    """A bucket, and what a prune of it does."""

    def __init__(self, settings: Any, client: Any) -> None:
        self.store, self.removal, self.client = Store(settings), Removal(settings), client

    def put(self, keys: Iterable[str], body: bytes = HEAD) -> None:
        for each in keys:
            self.client.put_object(Bucket=self.store.bucket, Key=each, Body=body)

    def drilled(self, days: float, archive: str, ending: str = ".json") -> str:
        """Record a drill; return the record's key."""
        name = key(days, "drills/", ending)
        self.put([name], json.dumps({"archive": archive, "verdict": "good"}).encode())
        return name

    def stored(self) -> set[str]:
        return {each.key for each in self.store.list("")}

    def intend(self, policy: Policy = POLICY) -> Intent:
        return intend(self.store, policy, self.removal)

    def prune(self, policy: Policy = POLICY) -> Pruned:
        return prune(self.store, self.removal, self.intend(policy))


@pytest.fixture
def bucket(s3_settings: Make, s3_server: ObjectStore) -> Bucket:
    return Bucket(s3_settings(), s3_server.client())


ALL = [key(days / 3) for days in range(30)]
"""Three a day: of four, of noon, and of eight in the evening; the newest first."""
STAY = {ALL[0], ALL[1], ALL[2], ALL[5]}
"""The first three are of the last 24 hours; the first, the third and the sixth are the last of their days."""


def test_what_goes_and_what_stays(bucket: Bucket) -> None:
    others = {
        "db/notes.txt",
        "db/2026-11-22.tar.gz",
        "dbx/2020-01-01T00:00:00.tar.gz.gpg",
        "2020-01-01T00:00:00.tar.gz",
    }
    bucket.put([*ALL, *others])
    proven, ahead = key(7), key(-500)
    good = bucket.drilled(6, proven)
    bad = bucket.drilled(5, key(0), ".bad.json")
    old = [bucket.drilled(days, key(9), ending) for days, ending in ((300, ".json"), (301, ".rehearsal.json"))]
    bucket.put([ahead])
    intent = bucket.intend()
    assert bucket.stored() >= {*ALL, ahead, good, bad, *old, *others}  # nothing has been touched
    done = bucket.prune()
    stays = intent.plan.stays
    reasons = {each.key: reason for each, reason in stays.items()}
    assert reasons[key(0)] == NEWEST
    assert reasons[proven] == PROVEN
    assert reasons[ahead] == AHEAD
    assert {each for each in reasons if each not in (proven, ahead)} == STAY
    assert set(old) == {each.key for each in intent.records}
    assert bucket.stored() == {*reasons, *others, good, bad}
    assert set(done.archives) == {each for each in ALL if each not in reasons}
    assert done.removed.freed == sum(intent.sizes.values())
    again = bucket.intend()
    assert not again.sizes
    assert bucket.prune().removed == Removed()
    assert {each.key: reason for each, reason in again.plan.stays.items()} == reasons


def test_the_newest_good_record_stays_and_so_does_what_it_proved(bucket: Bucket) -> None:
    bucket.put(ALL)
    bucket.put([key(700, "drills/")], b"no JSON")
    bucket.put([key(701, "drills/")], b"[1]")
    bucket.put([key(702, "drills/", ".json")], b"\xff no JSON")
    records = [bucket.drilled(days, ALL[-1]) for days in (800, 801)]
    bucket.drilled(802, "db/2001-01-01T00:00:00.tar.gz.gpg")
    done = bucket.prune()
    assert key(702, "drills/", ".json") in bucket.stored()  # the newest good one by its name
    assert not set(records) & bucket.stored()
    assert ALL[-1] in bucket.stored()
    assert len(done.intent.records) == 3


def test_the_history_goes_with_the_archives_that_it_tells_of(bucket: Bucket, s3_settings: Make) -> None:
    history = [key(days, ending=".json.gpg").replace("db/", "db-history/") for days in range(20)]
    ahead, other = history[0].replace("20", "90", 1), "db-history/notes.txt"
    bucket.client.put_bucket_versioning(Bucket=bucket.store.bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        bucket.put([*ALL, *history, ahead, other])
    done = bucket.prune()
    # Of the third day before NOON, at eight in the evening, is the oldest archive that stays.
    assert history[2] < key(2 - 1 / 3).replace("db/", "db-history/")
    left = {each for page in bucket.store.pages("db-history/") for each in [one.key for one in page.objects]}
    assert left == {*history[:3], ahead, other}
    versions = bucket.client.list_object_versions(Bucket=bucket.store.bucket, Prefix="db-history/")
    assert {each["Key"] for each in versions["Versions"]} == left
    assert "of the history's files 17" in " ".join(report.done(done))

    old = s3_settings("old-pruner", bucket=POLICY_BUCKET)
    assert "the history stays: " in intend(Store(old), POLICY, Removal(old)).notes[-1]


def test_safety_backups_have_a_month_and_the_newest_has_for_ever(bucket: Bucket) -> None:
    newest, young, old, older = (key(days, "before-restore/") for days in (20, 29, 31, 400))
    bucket.put([*ALL, newest, young, old, older, key(-600, "before-restore/")])
    bucket.prune()
    assert {each for each in bucket.stored() if "before" in each} == {newest, young, key(-600, "before-restore/")}
    bucket.put([key(-600, "before-restore/")])
    for each in (newest, young):
        bucket.client.delete_object(Bucket=bucket.store.bucket, Key=each)
    bucket.put([old])
    bucket.prune()
    assert old in bucket.stored()


def test_nothing_goes_where_nothing_is_sure(bucket: Bucket) -> None:
    assert bucket.prune().removed == Removed()
    bucket.put([key(-500), key(-501)])
    bucket.put([key(400, "before-restore/"), key(401, "before-restore/")])
    bucket.drilled(800, "x")
    assert not bucket.intend().sizes


def test_archives_that_are_none_push_no_other_out(bucket: Bucket) -> None:
    bucket.put(ALL)
    bucket.put([ALL[5]], b"<html>")
    stays = {each.key: reason for each, reason in bucket.intend().plan.stays.items()}
    assert "nobody could restore it" in stays[ALL[5]]
    assert stays[ALL[6]] == "the last of its day"


def test_a_larger_share_wants_a_word(bucket: Bucket) -> None:
    bucket.put(ALL)
    intent = bucket.intend()
    with pytest.raises(SettingsError, match=r"of 30 archives would go, which is more than 50 percent") as caught:
        check_share(intent, POLICY, agreed=False)
    assert "-e yes=true" in caught.value.hint
    check_share(intent, POLICY, agreed=True)
    check_share(intent, Policy(1, 3, 0, 0, 0, most_percent=90), agreed=False)
    assert "more than 50 percent" in " ".join(report.intended(intent, POLICY))


def test_what_the_store_keeps_is_no_failure(bucket: Bucket, s3_settings: Make, s3_server: ObjectStore) -> None:
    name = s3_server.create_bucket(f"kept-{datetime.now():%H%M%S%f}", ObjectLockEnabledForBucket=True)
    locked = Bucket(s3_settings(bucket=name), s3_server.client())
    locked.put(ALL)
    locked.client.put_object_legal_hold(Bucket=name, Key=ALL[-1], LegalHold={"Status": "ON"})
    intent = locked.intend()
    assert "kept by a legal hold" in intent.plan.stays.values()
    # Between the plan and the removal, another one is held.
    locked.client.put_object_legal_hold(Bucket=name, Key=ALL[-2], LegalHold={"Status": "ON"})
    done = prune(locked.store, locked.removal, intent)
    assert done.removed.kept == {ALL[-2]: "AccessDenied"}
    assert {ALL[-1], ALL[-2]} <= locked.stored()
    assert ALL[-2] not in done.archives
    said = "\n".join(report.done(done))
    assert f"{ALL[-1]}: kept by a legal hold" in said
    assert "the store keeps 1 of what was to go" in said


def test_keys_that_may_not_remove_fail_and_say_so(bucket: Bucket, s3_settings: Make, s3_server: ObjectStore) -> None:
    bucket.put(ALL)
    with pytest.raises(StoreError, match="refused to remove each") as caught:
        Bucket(s3_settings("server"), s3_server.client()).prune()
    assert "scripts/policy --prune" in caught.value.hint
    assert bucket.stored() == set(ALL)


def test_what_cannot_be_removed_is_a_failure(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(ALL)
    monkeypatch.setattr(bucket.removal, "remove", lambda sizes: Removed(gone=list(sizes)))
    with pytest.raises(StoreError, match="the store still lists it"):
        bucket.prune()
    monkeypatch.setattr(bucket.removal, "remove", lambda sizes: Removed(failed=dict.fromkeys(sizes, "InternalError")))
    with pytest.raises(StoreError, match=r"26 of 26 objects could not be removed .* InternalError; 0 were removed"):
        bucket.prune()


def test_what_is_said(bucket: Bucket) -> None:
    bucket.put(ALL)
    bucket.drilled(3, ALL[20])
    bucket.put([key(300, "before-restore/"), key(301, "before-restore/")])
    would = report.intended(bucket.intend(), POLICY)
    done = bucket.prune()
    said = report.done(done)
    count, size = len(done.archives), done.removed.freed
    assert said[0].startswith(f"removed {count} of 30 archives ({size} B); {30 - count} stay, the oldest of ")
    assert would[0] == said[0].replace("removed", "would remove")
    assert said[1].startswith("they stay as the newest: 1, ")
    assert said[2] == f"besides these stays {ALL[20]}: {PROVEN}"
    others = "of the safety backups 1, of the records below drills/ 0, of the history's files 0"
    assert said[3] == f"removed besides: {others}"
    listing = report.listing(done.intent)
    gone = set(listing["before"].splitlines()) - set(listing["after"].splitlines())
    assert gone == {*done.archives, key(301, "before-restore/")}
    assert f"{ALL[20]} ({PROVEN})" in listing["after"]
