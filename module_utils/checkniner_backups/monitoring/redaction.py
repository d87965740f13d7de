"""What leaves this machine in a ping or in a command's environment holds no secret.

Messages and logs hold none by themselves (see errors.py). This is the second fence, for what other programs say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from ..settings import Settings

HIDDEN = "***"
_SHORTEST = 4
"""Characters: what is shorter stands in every other word, and hiding it would tell where."""
# The password may hold an @ that nobody has encoded: up to the last one before the path.
_USER_INFO = re.compile(r"(?<=://)[^\s/'\"]*:[^\s'\"]*(?=@)")
_DATABASE = re.compile(r"\b(?:postgres(?:ql)?|postgis|pgsql)://[^\s'\"]+", re.IGNORECASE)
_PASSWORD = re.compile(r"(?i)(password|passwd|secret(?:_?(?:access_?)?key)?)(\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|\S+)")


class Redaction:
    """Hides the secrets of one installation in texts."""

    def __init__(self, secrets: Iterable[str], urls: Iterable[str] = ()) -> None:
        """
        :param secrets: texts that are hidden wherever they stand
        :param urls: URLs that are hidden as a whole, and with the parts of them that are secret
        """
        urls = [url for url in urls if url]
        secrets = {*secrets, *urls}
        for url in urls:
            secrets |= _parts(url)
        known = {each for secret in secrets for each in (secret, quote(secret, safe=""), unquote(secret))}
        # The longest first: a whole URL is hidden before what it begins with.
        found = sorted((each for each in known if len(each) >= _SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, found))) if found else None

    @classmethod
    def of(cls, settings: Settings) -> Redaction:
        """Given the settings, return what hides their secrets."""
        store = settings.store
        secrets = (store.access_key, store.secret_key, store.session_token)
        return cls(secrets, (*settings.pings.values(), settings.database_url))

    def __call__(self, text: str) -> str:
        """Given a text, return it with every secret hidden."""
        if self._known:
            text = self._known.sub(HIDDEN, text)
        text = _DATABASE.sub(HIDDEN, text)
        text = _USER_INFO.sub(HIDDEN, text)
        return _PASSWORD.sub(rf"\1\2{HIDDEN}", text)


def _parts(url: str) -> set[str]:
    """Given a URL, return what is secret in it: password, path, and the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {url}
    database = parts.scheme not in ("http", "https")
    found = {parts.password or ""}
    if not database:  # the database's name is in every message, and no secret
        path = parts.path.partition("{")[0].strip("/")
        found |= {path, *(piece for piece in path.split("/") if len(piece) >= 2 * _SHORTEST)}
        found |= {value for pair in parts.query.split("&") if "{" not in (value := pair.partition("=")[2])}
        found = {each for each in found if len(each) >= 2 * _SHORTEST or each == parts.password}
    return {each for each in found if each}
