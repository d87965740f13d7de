"""Templates of the URLs that are told how a run went: what may stand in them, and the URL that comes of one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from ..errors import SettingsError

PLACEHOLDERS = ("status", "exit", "rid", "ms", "message")
"""Names that may stand in braces in a template."""
LONGEST_MESSAGE = 500
"""Characters: services cut or refuse longer URLs."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_NO_URL = re.compile(r"[\x00-\x20\x7f]")


def check_template(name: str, template: str) -> None:
    """Given a variable's name and its template, return if the template can be used.

    :raises SettingsError: the template is no http or https URL, or holds an unknown placeholder; the message names the
        variable, and shows nothing of the URL but the placeholder
    """
    for found in _BRACES.findall(template):
        if found not in PLACEHOLDERS:
            shown = f"an unknown placeholder {{{found}}}" if found.isidentifier() else "braces around no placeholder"
            raise SettingsError(f"{name} holds {shown}", f"use {_named()}")
    if set("{}") & set(_BRACES.sub("", template)):
        raise SettingsError(f"{name} holds a brace without its other half", f"use {_named()}")
    try:
        parts = urlsplit(template)
        # Where a request goes to stands there in so many words: a message must not decide it.
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and "{" not in parts.netloc
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or _NO_URL.search(template):
        raise SettingsError(
            f"{name} is no http or https URL", "give the whole address, such as https://hc-ping.com/..."
        )


def render(template: str, values: Mapping[str, str]) -> str:
    """Given a checked template and the values of all placeholders, return the URL; each value is URL-encoded."""
    shortened = {**values, "message": values["message"][:LONGEST_MESSAGE]}
    return _BRACES.sub(lambda match: quote(shortened[match[1]], safe=""), template)


def _named() -> str:
    return ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
