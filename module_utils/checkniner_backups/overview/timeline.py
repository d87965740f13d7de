"""A server's timeline as inline SVG: archives with their sizes, the longest time without one, drills and rehearsals.

Places along the time are percentages, and heights are pixels: letters and marks keep their size on a telephone and on a
wide screen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

from ..drill.record import BAD, DRILLED, GOOD, REHEARSED_THERE, UNPROVEN
from ..system.text import human_size
from .stored import Stored

_BARS = 60
"""Pixels that the bar of the largest archive is high."""
_SMALLEST = 4
_BINS = 240
"""So many bars at most: archives that are nearer to each other than one is wide are one bar, as high as the largest."""
_DRILLS, _REHEARSALS, _DATES = 84, 110, 134
"""Pixels from above to the middle of a line of marks, or to the feet of the dates."""
_LEAST = timedelta(hours=1)
_DAYS = timedelta(days=3)
_CLASSES = {GOOD: "good", BAD: "bad", UNPROVEN: "doubt"}


def timeline(stored: Stored) -> str:
    """Given what the store holds of a server, return an SVG element; an empty text where there is no archive."""
    if not stored.archives:
        return ""
    end = stored.end or stored.now
    start = min(stored.archives[-1].stamp, end - _LEAST)
    whole = (end - start).total_seconds()

    def place(at: datetime) -> float:
        return 100 * min(max((at - start).total_seconds() / whole, 0), 1)

    parts = []
    if stored.gap:
        left, right = place(stored.gap.start), place(stored.gap.end)
        parts.append(_rect("gap", (left, right - left), (0, _BARS), f"no archive for {stored.gap.sentence()}"))
    largest = max(each.size for each in stored.archives) or 1
    bins: dict[int, list[int]] = {}
    for each in stored.archives:
        bins.setdefault(min(int(place(each.stamp) * _BINS / 100), _BINS - 1), []).append(each.size)
    for number, sizes in sorted(bins.items()):
        height = _SMALLEST + (_BARS - _SMALLEST) * max(sizes) / largest
        title = (
            f"{len(sizes)} archives, the largest {human_size(max(sizes))}" if len(sizes) > 1 else human_size(sizes[0])
        )
        parts.append(_rect("bar", (100 * number / _BINS, 100 / _BINS), (_BARS - height, height), title))
    parts.append(_line(_BARS))
    for kind, y, words in ((DRILLED, _DRILLS, "drills"), (REHEARSED_THERE, _REHEARSALS, "rehearsals")):
        parts += [_line(y), f'<text x="0" y="{y - 8}">{words}</text>']
        for trial in sorted(stored.trials, key=lambda each: each.verdict != GOOD):  # what is bad lies on top
            if trial.kind == kind and start <= trial.at <= end:
                parts.append(mark(trial.verdict, place(trial.at), y, f"{trial.verdict}, {trial.at:%Y-%m-%d %H:%M} UTC"))
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = start + (end - start) * share
        text = f"{at:%d %b %Y}" if end - start > _DAYS else f"{at:%d %b, %H:%M}"
        parts.append(f'<text x="{100 * share:g}%" y="{_DATES}" text-anchor="{anchor}">{text}</text>')
    label = f"{len(stored.archives)} archives from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
    return f'<svg class="timeline" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def mark(verdict: str, x: float, y: float, title: str) -> str:
    """Given a verdict, return its mark, centred on a place (percent, pixels): a filled circle, a cross, or a ring."""
    kind = _CLASSES.get(verdict, "doubt")
    form = (
        '<path class="mark bad" d="M-4-4L4 4M-4 4L4-4"/>' if kind == "bad" else f'<circle class="mark {kind}" r="4"/>'
    )
    return f'<svg x="{x:.3f}%" y="{y:g}" overflow="visible"><title>{escape(title)}</title>{form}</svg>'


def _rect(kind: str, across: tuple[float, float], down: tuple[float, float], title: str) -> str:
    """Given where it begins and how wide it is (percent), and the same downwards (pixels), return a rectangle."""
    (x, width), (y, height) = across, down
    return (
        f'<rect class="{kind}" x="{x:.3f}%" width="{width:.3f}%" y="{y:.1f}" height="{height:.1f}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _line(y: float) -> str:
    return f'<line class="axis" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>'
