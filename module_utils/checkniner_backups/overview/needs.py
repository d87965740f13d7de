"""What needs a human, the most urgent thing first, each with the commands that mend it.

The commands are ours: a server says what is wrong with it, by a kind that we know, and never what to run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ..drill.record import DRILLED, GOOD
from ..maintenance import problems as kinds
from ..system.timestamps import human_age
from .hosts import NOT_INSTALLED, UNANSWERED, UNREACHABLE, Host
from .stored import Stored

UNASKED, EMPTY, AHEAD, VANISHED, BAD_DRILL = "store-unasked", "empty", "ahead", "vanished", "bad-drill"
_DRILL_DAYS = 90
_KEY = re.compile(r"[A-Za-z0-9!_.*()/-]+/[0-9T:-]{19}\.tar\.gz(?:\.gpg)?\Z")
_FINGERPRINT = re.compile(r"[0-9A-F]{40,64}\Z")
# The most urgent first: nothing is saved; what was saved is in danger; it will be; it is not known to be good.
_ORDER = (
    VANISHED, kinds.LOST, kinds.ALTERED, EMPTY, kinds.NOTHING_SAVED, kinds.PAUSED, kinds.FAILING, kinds.LATE,
    kinds.DISK, NOT_INSTALLED, UNREACHABLE, UNANSWERED, kinds.SHRUNK, kinds.PARTIAL, kinds.KEY, kinds.STORE, UNASKED,
    kinds.REHEARSAL, BAD_DRILL, kinds.UNSIGNED, kinds.CLOCK, AHEAD, kinds.SETTINGS_CHANGED, kinds.UNTOLD, "",
    kinds.DRILL,
)  # fmt: skip


@dataclass(frozen=True)
class Need:
    """One thing that needs a human.

    :ivar urgent: False for what is good to do, where all is well otherwise
    :ivar commands: to be run on the control machine, one after the other
    """

    host: str
    kind: str
    text: str
    commands: tuple[str, ...] = ()
    urgent: bool = True

    def sentence(self) -> str:
        """Return the host and what is wrong."""
        return f"{self.host}: {self.text}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can express it."""
        return {**asdict(self), "commands": list(self.commands)}


@dataclass(frozen=True)
class Commands:
    """How commands are written for this inventory.

    :ivar inventory: what `-i` names
    :ivar playbooks: path or name of each playbook, by a short name
    """

    inventory: Sequence[str]
    playbooks: Mapping[str, str]

    def play(self, name: str, host: str, *more: str) -> str:
        """Given a playbook's short name, a host and more words, return the command line."""
        words = ["ansible-playbook", *self._inventory(), self.playbooks.get(name, f"playbooks/{name}.yml")]
        return shlex.join([*words, "--limit", host, *more])

    def module(self, host: str, name: str, *more: str) -> str:
        """Given a host, a module's name and more words, return the command line that runs it there."""
        return shlex.join(["ansible", host, *self._inventory(), "-m", f"ansible.builtin.{name}", *more])

    def _inventory(self) -> list[str]:
        return [word for source in self.inventory for word in ("-i", source)]

    def mending(self, kind: str, host: str, subject: str = "") -> tuple[str, ...]:
        """Given a kind of problem, a host, and what the problem names, return the commands that mend it."""
        if kind == kinds.SHRUNK and _KEY.match(subject):
            options = ("source=sql", f"archive={subject}", "target_database=before_the_loss")
            return (self.play("restore", host, *(word for each in options for word in ("-e", each))),)
        if kind == kinds.KEY and _FINGERPRINT.match(subject):
            export = f"gpg --armor --export {subject} >backups-public.asc"
            return (f"gpg --quick-set-expire {subject} 2y", export, self.play("setup", host))
        words: Mapping[str, tuple[str, ...]] = {
            kinds.PAUSED: ("pause", "-e", "until=now"),
            kinds.LATE: ("setup", "--tags", "schedule"),
            kinds.DISK: ("clean",),
            kinds.REHEARSAL: ("setup", "--tags", "prove"),
            kinds.LOST: ("backup", "-e", "force=true"),
            VANISHED: ("backup", "-e", "force=true"),
            kinds.ALTERED: ("backup", "-e", "force=true"),
            kinds.DRILL: ("drill",),
            BAD_DRILL: ("drill",),
            UNASKED: ("list",),
            AHEAD: ("list", "-e", "count=100"),
        }
        if kind == UNREACHABLE:
            return (self.module(host, "ping"),)
        if kind == kinds.CLOCK:
            return (self.module(host, "command", "--become", "-a", "timedatectl set-ntp true"),)
        by_backup = (kinds.FAILING, kinds.UNTOLD, kinds.NOTHING_SAVED, kinds.SETTINGS_CHANGED, kinds.PARTIAL, EMPTY)
        name, *more = words.get(kind, ("backup" if kind in by_backup else "setup",))
        return (self.play(name, host, *more),)


def needs(hosts: Sequence[Host], commands: Commands) -> list[Need]:
    """Given the servers, return what needs a human, the most urgent thing first."""
    found = [
        Need(host.name, kind, text, commands.mending(kind, host.name, subject), kind != kinds.DRILL)
        for host in hosts
        for kind, text, subject in _of(host)
    ]
    places = {kind: place for place, kind in enumerate(_ORDER)}
    return sorted(found, key=lambda need: places.get(need.kind, places[""]))


def _of(host: Host) -> Iterator[tuple[str, str, str]]:
    if host.fault:
        yield (*host.fault, "")
    if host.told:
        yield from host.told.problems
    if host.store_fault:
        yield UNASKED, f"the store could not be asked: {host.store_fault}", ""
    if host.stored:
        yield from _of_store(host, host.stored)


def _of_store(host: Host, stored: Stored) -> Iterator[tuple[str, str, str]]:
    if stored.newest and not stored.archives:
        yield EMPTY, "there is no archive in the store", ""
    # What the server remembers is older than this listing: a tick meanwhile may have added one, none takes one away.
    if host.told and host.told.last_key and _missing(host.told.last_key, stored):
        yield VANISHED, f"the store no longer holds {host.told.last_key}, which the server remembers as saved", ""
    if stored.ahead:
        text = f"{stored.ahead[0]} in the store is of the future: look who else writes there, and which clock is wrong"
        yield AHEAD, text, ""
    if stored.archives:
        yield from _of_drills(stored, stored.now)


def _missing(key: str, stored: Stored) -> bool:
    within = stored.newest and (not stored.more or key >= min(each.key for each in stored.archives))
    return within and key not in {each.key for each in stored.archives} and key not in stored.ahead


def _of_drills(stored: Stored, now: datetime) -> Iterator[tuple[str, str, str]]:
    last, good = stored.last(DRILLED), stored.last(DRILLED, GOOD)
    if last and last.verdict != GOOD:
        yield BAD_DRILL, f"the last drill, {human_age((now - last.at).total_seconds())}, was {last.verdict}", ""
    elif good is None:
        yield kinds.DRILL, "no good drill is on record: nobody has proven that these archives can be restored", ""
    elif (now - good.at).days >= _DRILL_DAYS:
        yield kinds.DRILL, f"the last good drill was {human_age((now - good.at).total_seconds())}", ""
