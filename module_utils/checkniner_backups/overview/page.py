"""The page: one HTML document that needs nothing else. No script, no request to anywhere, and every text escaped.

Names, keys and messages come from servers and buckets. A policy in the document forbids the browser whatever is not
this page's own style, should a text become markup all the same.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from html import escape

from ..drill.record import BAD, DRILLED, GOOD, REHEARSED_THERE, UNPROVEN
from ..system.text import human_size
from ..system.timestamps import human_age
from .hosts import Host, Told
from .needs import Need
from .stored import Stored
from .style import STYLE
from .tables import NOT_ASKED, WELL, key_of, sentence, state_of
from .timeline import mark, timeline

_SHOWN = 100
"""So many archives of a server are listed."""


def page(hosts: Sequence[Host], found: Sequence[Need], now: datetime) -> str:
    """Given the servers, what needs a human, and the time (aware, UTC), return the document."""
    first = sentence(hosts, found)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    others = found[1:] if found and found[0].urgent else found
    sections = [
        _first(first, found),
        f"<section><h2>What else is to be done</h2><ol>{''.join(map(_need, others))}</ol></section>" if others else "",
        *(_host(host, found) for host in hosts),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(first)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><h1>Backups</h1><p class="muted">as of {now:%Y-%m-%d %H:%M} UTC</p></header>
{"".join(sections)}
</main>
</body>
</html>
"""


def _first(first: str, found: Sequence[Need]) -> str:
    if found and found[0].urgent:
        commands = _commands(found[0].commands)
        return f'<section class="first bad"><p>{escape(first)}</p>{commands}</section>'
    return f'<section class="first"><p>{escape(first)}</p></section>'


def _need(need: Need) -> str:
    return f"<li>{escape(need.sentence())}{_commands(need.commands)}</li>"


def _commands(commands: Sequence[str]) -> str:
    """A word of a command goes whole to the next line where it does not fit: a browser would cut it at its dashes."""
    lines = [" ".join(f"<span>{escape(word)}</span>" for word in command.split(" ")) for command in commands]
    return f"<pre>{chr(10).join(lines)}</pre>" if lines else ""


def _host(host: Host, found: Sequence[Need]) -> str:
    state = state_of(host, found)
    words = {
        WELL: '<span class="word good">well</span>',
        NOT_ASKED: '<span class="muted">the store alone was asked</span>',
    }
    word = words.get(state, '<span class="word bad">not well</span>')
    text = "" if state in words else f"<p>{escape(state)}</p>"
    return (
        f'<section><div class="name"><h2>{escape(host.name)}</h2>{word}</div>{text}'
        f"{_facts(host)}{_notes(host.told)}{_stored(host.stored)}</section>"
    )


def _facts(host: Host) -> str:
    facts = []
    if told := host.told:
        rehearsal = f"{told.rehearsal}, {human_age(told.rehearsal_age)}" if told.rehearsal else "none known"
        facts += [
            ("Newest data", human_age(told.archive_age)),
            ("Last good tick", human_age(told.good_tick_age)),
            ("Last rehearsal", rehearsal),
            ("Encryption key", key_of(told)),
            ("Free disk", "not known" if told.free is None else human_size(told.free)),
            ("Engine", told.engine or "not known"),
        ]
    if stored := host.stored:
        drill = stored.last(DRILLED)
        newest = stored.archives[0] if stored.archives else None
        age = human_age((stored.now - newest.stamp).total_seconds()) if newest else "none"
        facts += [
            ("Newest in the store" if stored.newest else "Newest of that time", age),
            ("Its size", human_size(newest.size) if newest else "none"),
            ("Last drill", f"{drill.verdict}, {_age(drill.at, stored)}" if drill else "none on record"),
        ]
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f"<dl>{rows}</dl>" if rows else ""


def _notes(told: Told | None) -> str:
    notes = told.notes if told else ()
    return "".join(f'<p class="muted">Note: {escape(each)}</p>' for each in notes)


def _stored(stored: Stored | None) -> str:
    if stored is None or not stored.archives:
        return ""
    gap = f"<p>Longest time without an archive, of these: {escape(stored.gap.sentence())}</p>" if stored.gap else ""
    count = f"{len(stored.archives)} archives{', and older ones' if stored.more else ''}"
    largest = human_size(max(each.size for each in stored.archives))
    return (
        f'<figure><figcaption class="muted">{count}; the largest has {largest}</figcaption>'
        f'<div class="chart">{timeline(stored)}</div>{_legend(stored)}</figure>{gap}{_archives(stored)}'
    )


def _legend(stored: Stored) -> str:
    verdicts = {each.verdict for each in stored.trials if each.kind in (DRILLED, REHEARSED_THERE)}
    known = [each for each in (GOOD, UNPROVEN, BAD) if each in verdicts]
    marks = [f"<span><svg>{mark(each, 50, 7, each)}</svg> {each}</span>" for each in known]
    bars = [
        '<span><i class="bar"></i> archive, by size</span>',
        '<span><i class="gap"></i> longest time without</span>',
    ]
    return f'<div class="legend muted">{"".join([*bars, *marks])}</div>'


def _archives(stored: Stored) -> str:
    rows = "".join(
        f"<tr><td>{each.stamp:%Y-%m-%d %H:%M:%S}</td><td>{escape(_age(each.stamp, stored))}</td>"
        f'<td class="size">{escape(human_size(each.size))}</td></tr>'
        for each in stored.archives[:_SHOWN]
    )
    head = '<tr><th>UTC</th><th>Age</th><th class="size">Size</th></tr>'
    shown = min(len(stored.archives), _SHOWN)
    summary = f"The newest {shown} archives"
    return f"<details><summary>{summary}</summary><table>{head}{rows}</table></details>"


def _age(at: datetime, stored: Stored) -> str:
    return human_age((stored.now - at).total_seconds())
