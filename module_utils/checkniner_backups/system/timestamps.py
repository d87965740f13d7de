"""A timestamp as people write it ("2026-11-20 14:35", local time unless it says otherwise), and stamps of the
future."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from ..errors import SettingsError

_HINT = 'write "2026-11-20 14:35" (local time), "2026-11-20T14:35:00Z", "... +02:00" or "... Europe/Berlin"'
_FORM = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ]\s*(?P<time>[0-9]{2}:[0-9]{2})(?P<seconds>:[0-9]{2})?"
    r"\s*(?:(?P<offset>[+-][0-9]{2}(?::?[0-9]{2})?)|(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?\Z"
)
_DAY = "%Y-%m-%d"
ISO = "%Y-%m-%dT%H:%M:%SZ"
"""The form of a time of ours in files and JSON: UTC, whole seconds."""
_ARCHIVE = re.compile(r"(?:.*/)?([0-9T:-]{19})\.tar\.gz(?:\.gpg)?\Z", re.DOTALL)

MOST_AHEAD = timedelta(days=1)
"""A stamp that is further ahead of the clock was not made by a tick of this server: no zone and no drift makes that."""

CLOCKS = timedelta(minutes=1)
"""By so much two clocks may differ."""


def latest_stamp(seen: datetime | None = None) -> datetime:
    """Return the latest stamp (aware, UTC) that an archive of ours can have now; what is later is of somebody else.

    :param seen: a time (aware) that has passed for certain, as by a store's clock: this machine's may be slow
    """
    now = datetime.now(timezone.utc)
    return max(now, seen or now) + MOST_AHEAD


def clock_warning(whose: str, ahead: float) -> str:
    """Given whose clock it is, and the seconds by which it is ahead of this machine's, return what to say of that.

    Empty where the two agree to the minute.
    """
    if abs(ahead) <= CLOCKS.total_seconds():
        return ""
    return (
        f"the clock of {whose} is {human_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's:"
        " one of them is wrong, and archives are named by this machine's"
    )


def is_far_ahead(name: str) -> bool:
    """Given an archive's file name or key, return whether its stamp is later than an archive of ours can have."""
    match = _ARCHIVE.match(name)
    return match is not None and match[1] > f"{latest_stamp():%Y-%m-%dT%H:%M:%S}"


def iso(timestamp: datetime) -> str:
    """Given an aware timestamp in UTC, return it as ISO 8601 in whole seconds."""
    return timestamp.strftime(ISO)


def parse_iso(text: str) -> datetime:
    """Given what `iso` has written, return the aware timestamp.

    :raises ValueError: it is something else
    :raises TypeError: it is no text
    """
    return datetime.strptime(text, ISO).replace(tzinfo=timezone.utc)


def parse_timestamp(text: str, local_zone: tzinfo | None = None) -> datetime:
    """Given a date and a time, return the timestamp (aware, UTC).

    Seconds may be left out. A zone may follow: `Z`, `+02:00`, a name like `Europe/Berlin`. An archive's file name
    stands for its stamp, which is UTC.

    :param local_zone: what a time without a zone means; none for this machine's zone
    :raises SettingsError: another form, no such date or zone, or a time that a clock change made twofold or skipped
    """
    text = text.strip()
    archive = _ARCHIVE.match(text)
    match = _FORM.match(f"{archive[1]}Z" if archive else text)
    if not match:
        raise SettingsError(f"{text!r} is not a timestamp", _HINT)
    try:
        naive = datetime.fromisoformat(f"{match['date']}T{match['time']}{match['seconds'] or ':00'}")
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a timestamp: {error}", _HINT) from None
    if match["offset"]:
        return _in_utc(text, naive, _fixed(text, match["offset"]))
    return _in_utc(text, naive, _named(text, match["zone"]) if match["zone"] else local_zone)


def parse_bound(text: str, *, of_day_end: bool = False) -> datetime | None:
    """Given a time or a day in words, return the timestamp; of a day, its first second or its last one. None where the
    text is empty.

    :raises SettingsError: as `parse_timestamp`
    """
    text = text.strip()
    if not text:
        return None
    try:
        datetime.strptime(text, _DAY)
    except ValueError:
        return parse_timestamp(text)
    start = parse_timestamp(f"{text} 00:00")
    return start + timedelta(days=1, seconds=-1) if of_day_end else start


def _fixed(text: str, offset: str) -> tzinfo:
    digits = offset[1:].replace(":", "").ljust(4, "0")
    try:
        zone = datetime.fromisoformat(f"2000-01-01T00:00:00{offset[0]}{digits[:2]}:{digits[2:]}").tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise SettingsError(f"{text!r} has no usable offset", _HINT)
    return zone


def _named(text: str, name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    if name.upper() in ("Z", "UTC", "GMT"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path that leaves the zones' folder; a folder
        hint = 'use a name like "Europe/Berlin" (package tzdata), or an offset like +02:00'
        raise SettingsError(f"no time zone {name!r} in {text!r}", hint) from None


def _in_utc(text: str, naive: datetime, zone: tzinfo | None) -> datetime:
    """Given a time without a zone and the zone (none: this machine's), return the timestamp, if there is exactly
    one."""
    try:
        first, second = (naive.replace(fold=fold, tzinfo=zone).astimezone(timezone.utc) for fold in (0, 1))
        exists = first.astimezone(zone).replace(tzinfo=None) == naive
    except (OverflowError, OSError):
        raise SettingsError(f"{text!r} is too far away", _HINT) from None
    if first == second and exists:
        return first
    hint = f'give the offset that you mean, for example "{naive:%Y-%m-%d %H:%M}Z" for UTC'
    if exists:
        raise SettingsError(f"{text!r} happened twice: the clock was set back then", hint)
    raise SettingsError(f"{text!r} never happened: the clock was set forward then", hint)


def human_duration(seconds: float) -> str:
    """Given seconds, return a text in the largest unit that fits."""
    for limit, length, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds / 86400:.0f} days"


def human_age(seconds: float | None) -> str:
    """Given seconds or None, return a text: how long ago it was."""
    return "never" if seconds is None else f"{human_duration(seconds)} ago"
