"""How a fixture writes one column's values, and what COPY reads for them: a pattern for each kind of field.

The mirror image of `columns`: only for the exact classes of Django's own fields, on the exact column types that Django
makes for them. A pattern admits only text of which PostgreSQL makes the value that Django would send; what Django also
understands, a number in quotes say, matches no pattern and goes through Django. JSON text needs no change on its way to
COPY: CSV with `\\` as escape reads a string of JSON as it is, but for escapes like `\\n`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, Callable, Collection, NamedTuple  # noqa: UP035  Python 3.8

from .columns import KINDS, NotEligibleError, final_field, require_own_class

SPACE = r"[ \t\n\r]*"
STRING = r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"'
"""A string of JSON; what follows a backslash is checked where it matters."""


class Token(NamedTuple):
    """One column's values in JSON, null apart."""

    pattern: str
    """Without groups."""
    convert: Callable[[str], str] | None = None
    """Makes what COPY reads of what the pattern found; None where that is the same."""
    is_text: bool = False
    """Whether any character may occur, so that JSON may have escaped some."""
    has_null: bool = True
    """Whether null is NULL."""


def from_text(found: str) -> str:
    """Given a string of JSON, return the same string for COPY.

    :raises ValueError: it is no string of JSON
    """
    text: str = json.loads(found)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _from_base64(found: str) -> str:
    return "\\x" + b64decode(found[1:-1]).hex()


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
# PostgreSQL knows the 60th second and the 24th hour, Python does not.
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{3}(?:[0-9]{3})?)?"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_INTEGER = Token("(?:-?[1-9][0-9]{0,18}|0)")
_TEXT = Token(STRING, is_text=True)
_FILE = Token(STRING, is_text=True, has_null=False)  # null is "" to a file field
_TOKENS: dict[str, Token] = {
    **dict.fromkeys(
        ("AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "SmallIntegerField",
         "PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField"),
        _INTEGER,
    ),
    **dict.fromkeys(("CharField", "TextField", "SlugField", "EmailField", "URLField", "FilePathField"), _TEXT),
    "FileField": _FILE,
    "ImageField": _FILE,
    "BooleanField": Token("(?:true|false)"),
    "NullBooleanField": Token("(?:true|false)"),
    "DateField": Token(f'"{_DAY}"'),
    "TimeField": Token(f'"{_CLOCK}"'),
    # Some drivers lose the sign of a negative zero.
    "FloatField": Token(
        r"(?!-0(?:\.0+)?(?:[eE]|[^0-9.eE]))-?(?:0|[1-9][0-9]{0,400})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?"
    ),
    "DecimalField": Token(r'"-?[0-9]{1,200}(?:\.[0-9]{1,200})?(?:E[+-]?[0-9]{1,3})?"'),
    "UUIDField": Token('"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"'),
    "BinaryField": Token('"[A-Za-z0-9+/]*={0,2}"', _from_base64),
}  # fmt: skip
KEYS = (_INTEGER, _TEXT, _TOKENS["UUIDField"])
"""What may stand in a list of many-to-many rows: of these, equal values are written equally."""
_TYPES: dict[str, Collection[str]] = {
    "DecimalField": ("numeric",),
    "DateTimeField": ("timestamp with time zone",),
    **{name: types for name, (types, _) in KINDS.items()},
}


def token(field: Any, real_type: str) -> Token:
    """Given a field and the type that its column really has, return how its values are written.

    :raises NotEligibleError: it is not known that PostgreSQL reads them as Django does
    """
    from django.conf import settings

    field = final_field(field)
    name = type(field).__name__
    if name not in _TYPES:
        raise NotEligibleError(f"{field.name} is a {name}")
    require_own_class(field, name)
    if real_type not in _TYPES[name]:
        raise NotEligibleError("the column of {} is of type {}".format(field.name, real_type or "unknown"))
    if name == "DateTimeField":
        return Token('"{}T{}{}"'.format(_DAY, _CLOCK, "Z" if settings.USE_TZ else ""))
    if name == "GenericIPAddressField":
        return Token(
            rf'"(?:{_BYTE}(?:\.{_BYTE}){{3}}|[0-9a-f:.]{{0,40}}:[0-9a-f:.]{{0,40}})"',
            lambda found: str(field.get_prep_value(field.to_python(found[1:-1]))),
        )
    return _TOKENS[name]
