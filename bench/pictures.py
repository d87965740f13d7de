"""Plain SVG, readable on light and dark pages: lines for ticks by size, bars for the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .backups import CHANGED, IDLE, NOISE, OLD, OURS

_WIDTH, _GREY = 720, "#888"
_COLOURS = ("#0a7d50", "#3b82c4", "#8a5bc7", "#c0392b", "#d58512", "#607d8b")
_OURS, _OTHERS = _COLOURS[0], _COLOURS[5]


def draw(measured: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Given the measures by size and the names of ways, return for each picture's name its title and its SVG."""
    sizes = sorted(map(int, measured))
    series = [
        (f"{labels[way]}, {word}", [(size, measured[str(size)][scenario][way]["cpu"]["median"]) for size in sizes])
        for way, scenario, word in (
            (OURS, IDLE, "nothing changed"),
            (OURS, NOISE, "session changed"),
            (OURS, CHANGED, "data changed"),
            (OLD, IDLE, "nothing changed"),
        )
        if all(way in measured[str(size)][scenario] for size in sizes)
    ]
    title = "CPU seconds of one tick, by rows (both scales logarithmic)"
    found = {"ticks": (title, _lines(title, series))} if len(sizes) > 1 else {}
    largest = max((size for size in sizes if size <= 1_000_000), default=sizes[-1])
    for name, scenario, what in (("changed", CHANGED, "A changed tick"), ("restores", "restore", "A restore")):
        title = f"{what}, {largest:,} rows: wall seconds"
        values = [(labels[way], each["wall"]["median"]) for way, each in measured[str(largest)][scenario].items()]
        found[name] = (title, _bars(title, values))
    return found


def _bars(title: str, values: Sequence[tuple[str, float]]) -> str:
    left, height, top = 230, 24, 40
    longest = max(value for _, value in values)
    parts = []
    for number, (label, value) in enumerate(sorted(values, key=lambda each: each[1])):
        y = top + number * (height + 8)
        width = max(1.0, value / longest * (_WIDTH - left - 90))
        colour = _OURS if label.startswith("ours") else _OTHERS
        parts += [
            _text(left - 8, y + 17, label, "end"),
            f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>',
            _text(left + width + 6, y + 17, f"{value:.2f}", "start"),
        ]
    return _svg(title, top + len(values) * (height + 8) + 6, parts)


def _lines(title: str, series: Sequence[tuple[str, Sequence[tuple[int, float]]]]) -> str:
    left, right, top, bottom, height = 60, 490, 40, 310, 350
    points = [point for _, line in series for point in line]
    x_low, x_high = (math.log10(edge(size for size, _ in points)) for edge in (min, max))
    y_low = math.floor(math.log10(min(value for _, value in points)))
    y_high = math.ceil(math.log10(max(value for _, value in points)))

    def x_of(size: float) -> float:
        return left + (math.log10(size) - x_low) / (x_high - x_low) * (right - left)

    def y_of(value: float) -> float:
        return bottom - (math.log10(value) - y_low) / (y_high - y_low) * (bottom - top)

    parts = []
    for power in range(y_low, y_high + 1):
        y = y_of(10**power)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{_GREY}" stroke-width="0.5"/>')
        parts.append(_text(left - 8, y + 4, f"{10**power:g} s", "end"))
    for size in sorted({size for size, _ in points}):
        parts.append(_text(x_of(size), bottom + 20, f"{size:,}", "middle"))
    for colour, (label, line) in zip(_COLOURS, series, strict=False):
        path = " ".join(f"{x_of(size):.1f},{y_of(value):.1f}" for size, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x_of(a):.1f}" cy="{y_of(b):.1f}" r="4" fill="{colour}"/>' for a, b in line]
        size, value = line[-1]
        parts.append(_text(x_of(size) + 10, y_of(value) + 4, f"{label}: {value:.2g} s", "start"))
    return _svg(title, height, parts)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_GREY}">{escape(words)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" font-size="13"'
        f' viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif" role="img" aria-label="{escape(title)}">'
    )
    heading = f'<text x="10" y="22" font-size="15" fill="{_GREY}" font-weight="bold">{escape(title)}</text>'
    return "\n".join([head, heading, *parts, "</svg>", ""])
