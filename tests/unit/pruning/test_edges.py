"""What the first bytes of archives change in a plan, and how few of them are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkniner_backups.errors import NotFoundError, StoreError
from checkniner_backups.pruning.edges import Heads, examined
from checkniner_backups.pruning.policy import FOREVER, Known, Plan, Policy
from checkniner_backups.storage.catalog import Archive
from hypothesis import given, settings
from hypothesis import strategies as st

from .test_policy import BEGIN, ONLY_DAYS, archive, each_day, histories, policies

LAST_DAY = Policy(0, 1, 0, 0, 0)


def message(key: int) -> bytes:
    """The beginning of a message to a key with this number."""
    return bytes([0xC1, 12, 3]) + key.to_bytes(8, "big") + bytes(3) + b"\xd2rest"


class Store:
    """Archives to key 1, if nothing else is said of one; an error is raised."""

    def __init__(self, heads: Mapping[Archive, bytes | Exception] | None = None) -> None:
        self.heads = {each.key: head for each, head in (heads or {}).items()}
        self.read: list[str] = []

    def read_head(self, key: str, size: int) -> bytes:
        self.read.append(key)
        head = self.heads.get(key, message(1))
        if isinstance(head, Exception):
            raise head
        return head[:size]


def looked(archives: Sequence[Archive], policy: Policy, store: Store) -> Plan:
    return examined(archives, policy, Known(), BEGIN, Heads(store))[0]


def test_the_only_one_of_a_key_stays() -> None:
    archives = each_day(5)
    of_another = archives[:4]
    store = Store(dict.fromkeys(of_another, message(2)))
    found = looked(archives, LAST_DAY, store)
    assert set(found.stays) == {archives[-1], archives[3]}
    assert found.stays[archives[3]] == "the only one seen that key 0000000000000002 opens"
    assert archives[3].key in found.special
    again = looked(list(found.stays), LAST_DAY, store)
    assert not again.goes


@st.composite
def rotated(draw: st.DrawFn) -> tuple[list[Archive], dict[Archive, bytes | Exception]]:
    """Archives whose key was changed now and then, never back to an earlier one; some of them were spoilt."""
    archives = [each for each in draw(histories(st.integers(0, 30))) if each.encrypted]
    key, heads = 1, {}
    for each in archives:
        key += draw(st.integers(0, 5)) == 5
        heads[each] = b"spoilt" if draw(st.integers(0, 9)) == 9 else message(key)
    return archives, heads


@given(rotated(), policies)
@settings(max_examples=200, deadline=None)
def test_no_key_loses_its_last_archive(
    history: tuple[list[Archive], dict[Archive, bytes | Exception]], policy: Policy
) -> None:
    archives, heads = history
    found = looked(archives, policy, Store(heads))
    good = {each: head for each, head in heads.items() if head != b"spoilt"}
    assert {good[each] for each in found.stays if each in good} == set(good.values())
    for gone in found.goes:  # what stands for it can be restored
        if gone in good:
            assert any(each.stamp >= gone.stamp for each in found.stays if each in good)
    # What is known is found out again, and nothing else goes.
    assert looked(list(found.stays), policy, Store(heads)).goes == ()


def test_each_key_of_several_counts() -> None:
    archives = each_day(2)
    both = message(1)[:14] + message(3)
    found = looked(archives, LAST_DAY, Store({archives[0]: both}))
    assert archives[0] in found.stays
    assert "0000000000000003" in found.stays[archives[0]]


def test_one_that_is_not_encrypted_is_of_a_kind_of_its_own() -> None:
    plain = archive(BEGIN, encrypted=False)
    found = looked([plain, *each_day(3)], LAST_DAY, Store({plain: b"\x1f\x8b\x08rest"}))
    assert found.stays[plain] == "the only one seen that is not encrypted"


def test_what_is_no_archive_stands_for_none() -> None:
    archives = each_day(3)
    for head in (b"", b"<html>", NotFoundError("gone")):
        found = looked(archives, ONLY_DAYS, Store({archives[5]: head}))
        assert archives[5] in found.stays  # for somebody to look at
        assert archives[4] in found.stays
        assert found.stays[archives[4]] == "the last of its day"
        assert "nobody could restore it" in found.stays[archives[5]]
    for head in (b"", b"<html>"):
        newest = looked(archives, LAST_DAY, Store({archives[-1]: head})).newest
        assert newest == archives[-2]


def test_what_is_no_archive_hides_no_key() -> None:
    """Both ends of what goes are spoilt, and what lies between is the last that a key opens."""
    archives = each_day(2)
    spoilt: dict[Archive, bytes | Exception] = dict.fromkeys(archives[:-1], b"spoilt")
    found = looked(archives, LAST_DAY, Store({**spoilt, archives[1]: message(2)}))
    assert archives[1] in found.stays


def test_what_is_no_archive_may_go() -> None:
    archives = each_day(3)
    assert archives[4] in looked(archives, ONLY_DAYS, Store({archives[4]: b""})).goes


def test_heads_that_cannot_be_read_are_told_and_change_nothing() -> None:
    archives = each_day(3)
    heads = Heads(Store(dict.fromkeys(archives, StoreError("it lies in the cold"))))
    plan, known = examined(archives, ONLY_DAYS, Known(), BEGIN, heads)
    assert len(plan.goes) == 6
    assert known == Known()
    assert heads.unread == "it lies in the cold"


def test_few_are_read() -> None:
    archives = each_day(700, times=range(24))
    store = Store()
    found = looked(archives, Policy(30, 180, 52, 36, FOREVER), store)
    assert len(found.goes) > 15_000
    assert len(store.read) == len(set(store.read)) < 700
    # The next day's prune, with a day's archives more.
    store.read.clear()
    more = [*found.stays, *each_day(701, times=range(24))[-24:]]
    assert looked(more, Policy(30, 180, 52, 36, FOREVER), store).goes
    assert len(store.read) <= 10
