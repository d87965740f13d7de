"""What is known of one server: what it says of itself, as far as it could be asked, and what the store holds of it.

A server's words are the application owner's words: they are limited, and nothing in them is believed to be of a form.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import printable
from .stored import Stored, parse

UNREACHABLE, NOT_INSTALLED, UNANSWERED = "unreachable", "not-installed", "unanswered"
_LONGEST_TEXT = 600
_LONGEST_ANSWER = 1 << 20
_MOST = 50
"""So many problems, notes or keys of a server are kept."""
_BEGINNINGS = ("Task failed: ", "Module failed: ", "Failed to connect to the host via ssh: ")
_LOGGED = re.compile(r"\S+ ERROR (?P<hint>HINT: )?(?P<text>.*)")
_WELL = (0, 18)
"""Exit statuses of `status` with an answer."""


@dataclass(frozen=True)
class Told:
    """What a server's `status --json` says. Ages are in seconds; None is "not known".

    :ivar problems: kind, text and subject of each
    :ivar key_expiry: fingerprint, days left (None: does not expire, or not usable), and whether it is usable
    """

    well: bool
    sentence: str
    problems: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    last_key: str = ""
    last_size: float | None = None
    archive_age: float | None = None
    good_tick_age: float | None = None
    rehearsal: str = ""
    rehearsal_age: float | None = None
    key_expiry: tuple[tuple[str, float | None, bool], ...] = ()
    free: float | None = None
    engine: str = ""


@dataclass(frozen=True)
class Host:
    """One server of the inventory.

    :ivar told: what it says; None where it was not asked, or could not be
    :ivar fault: why it could not be asked: a kind, one of those above, and a text; None where it could, or was not
    :ivar stored: what the store holds; None where the store was not asked, or could not be
    :ivar store_fault: why the store could not be asked; empty where it could, or was not
    """

    name: str
    told: Told | None = None
    fault: tuple[str, str] | None = None
    stored: Stored | None = None
    store_fault: str = ""


def host_of(given: Mapping[str, Any]) -> Host:
    """Given what a playbook has found out of one server, return it in our words.

    `name` is its name in the inventory. Where the server was asked: `unreachable` says why it does not answer;
    `installed` whether the command is there; `status`, `output` and `errors` what came of the command; `failure` why it
    could not even be started. Where the store was asked: `stored` is what it holds, `store_failure` why it could not
    be asked.
    """
    name = _text(given.get("name"))
    told, fault = _asked(given)
    store_fault, stored = _plain(given.get("store_failure")), None
    if given.get("stored"):
        try:
            stored = parse(given["stored"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            store_fault = store_fault or "what the store was found to hold is of no form that is known here"
    return Host(name, told, fault, stored, store_fault)


def _asked(given: Mapping[str, Any]) -> tuple[Told | None, tuple[str, str] | None]:
    if unreachable := _plain(given.get("unreachable")):
        return None, (UNREACHABLE, f"the server does not answer: {unreachable}")
    if failure := _plain(given.get("failure")):
        return None, (UNANSWERED, f"the server could not be asked: {failure}")
    if "installed" not in given:
        return None, None
    if not given["installed"]:
        return None, (NOT_INSTALLED, "no backups are installed on this server")
    told = told_by(str(given.get("output", "")))
    if told and given.get("status") in _WELL:
        return told, None
    return None, (UNANSWERED, f"its status ended with {_text(given.get('status'))}: {_complaint(given.get('errors'))}")


def _complaint(errors: object) -> str:
    """Given what the command has written to its log, return its last error and the hint to it."""
    lines = [line.strip() for line in str(errors or "").splitlines() if line.strip()]
    logged = [match for line in lines if (match := _LOGGED.match(line))]
    told = [match["text"] for match in logged if not match["hint"]] or lines or ["it said nothing"]
    hints = [match["text"] for match in logged if match["hint"]]
    return ". ".join(map(_text, [told[-1], *hints[-1:]]))


def told_by(text: str) -> Told | None:
    """Given what `status --json` has printed, of this release or an earlier one, return what it says. None where that
    is no such text."""
    try:
        data = json.loads(text[:_LONGEST_ANSWER])
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or "last_key" not in data:
        return None
    problems = tuple(
        (_text(each.get("kind")), _text(each.get("text")), _text(each.get("subject")))
        for each in _list(data.get("found"))
        if isinstance(each, dict)
    ) or tuple(("", _text(each), "") for each in _list(data.get("problems")))
    rehearsal, versions = _dict(data.get("last_rehearsal")), _dict(data.get("versions"))
    free = [size for each in _list(data.get("disks")) if (size := _number(_dict(each).get("free"))) is not None]
    key = _text(data.get("last_key"))
    return Told(
        well=not problems, sentence=problems[0][1] if problems else f"the newest archive is {key}", problems=problems,
        notes=tuple(map(_text, _list(data.get("notes")))), last_key=key, last_size=_number(data.get("last_size")),
        archive_age=_number(data.get("last_saved_age")), good_tick_age=_number(data.get("last_good_tick_age")),
        rehearsal=_text(rehearsal.get("verdict")), rehearsal_age=_number(data.get("last_rehearsal_age")),
        key_expiry=tuple(
            (_text(each.get("fingerprint")), _number(each.get("days_left")), each.get("usable") is True)
            for each in map(_dict, _list(data.get("keys")))
        ),
        free=min(free, default=None), engine=_text(versions.get("engine")),
    )  # fmt: skip


def _plain(value: object) -> str:
    """Given Ansible's words on a failure, return them without the beginnings that say nothing."""
    text = _text(value)
    for beginning in _BEGINNINGS:
        text = text.removeprefix(beginning)
    return text


def _text(value: object) -> str:
    if value is None:
        return ""
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) and abs(value) < 1e18 else None
    except OverflowError:
        return None


def _list(value: object) -> Sequence[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
