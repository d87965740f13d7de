"""The application's own pages on 127.0.0.1, over data that cannot be written: the owner looks at an old archive.

Nobody else on the machine is let in: the first request needs a token, which works once, each later one a cookie that
only the first one gets. Logging in would write, so the visitor's session is made here and lies in a signed cookie.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from threading import Lock, Thread
from typing import Any, Callable, Iterable  # noqa: UP035  Python 3.8

from .channel import Channel
from .registry import ALIAS

_ADDRESS = "127.0.0.1"
_VISITOR, _SESSION, _CSRF = "peek_visitor", "peek_session", "peek_csrf"
"""Cookies. Those of 127.0.0.1 are shared by all ports: the names must not be those of another server there."""
_READ_ONLY = ("25006", "42501")
"""SQLSTATE: read_only_sql_transaction, insufficient_privilege."""
_SENTENCE = "These are old data, and read-only: nothing was changed.\n"
_BACKEND = "django.contrib.auth.backends.ModelBackend"
_USERS = 50
"""So many superusers are looked at for one that may enter the admin."""


def visit(channel: Channel, command: dict[str, Any]) -> None:
    """Given a command with the token of the first request, serve from threads and send where: `port`, `user`, `admin`.

    `user` is the name of the superuser that the visitor is logged in as, `admin` the path of the admin's first page;
    both are empty where there is none.
    """
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    _set_up()
    application = StaticFilesHandler(get_wsgi_application())
    admin = _admin()
    user = _superuser() if admin else None
    server = ThreadedWSGIServer((_ADDRESS, 0), WSGIRequestHandler)
    session = _session_of(user) if user else ""
    gate = Gate(application, command["token"], server.server_port, admin if user else "/", session)
    server.set_app(gate)
    Thread(target=server.serve_forever, name="pages", daemon=True).start()
    channel.send("visit", port=server.server_port, user=user.get_username() if user else "", admin=admin)


class Gate:
    """Lets in who shows the token, once, and from then on who shows the cookie that was given for it.

    :param application: WSGI
    :param start: the path to which the first request is led
    :param session: the value of the cookie that logs the visitor in; empty for nobody
    """

    def __init__(self, application: Callable[..., Any], token: str, port: int, start: str, session: str) -> None:
        self._application = application
        self._token = token
        self._host = f"{_ADDRESS}:{port}"
        self._start = start
        self._session = session
        self._visitor = secrets.token_urlsafe(32)
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("HTTP_HOST") != self._host:  # another name that leads here: another site's page in a browser
            return _said(start_response, "403 Forbidden", "use the address that the play has told\n")
        if self._enters(environ):
            cookies = {_VISITOR: self._visitor, _SESSION: self._session}
            headers = [
                ("Set-Cookie", f"{name}={value}; Path=/; HttpOnly; SameSite=Lax")
                for name, value in cookies.items()
                if value
            ]
            return _said(start_response, "302 Found", "", [("Location", self._start), *headers])
        if not self._is_known(environ):
            return _said(start_response, "403 Forbidden", "the address of the play works once, in one browser\n")
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer

    def _enters(self, environ: dict[str, Any]) -> bool:
        path = str(environ.get("PATH_INFO", ""))
        with self._lock:
            right = environ["REQUEST_METHOD"] == "GET" and bool(self._token) and _same(path, f"/peek/{self._token}")
            if right:
                self._token = ""
            return right

    def _is_known(self, environ: dict[str, Any]) -> bool:
        try:
            found = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(_VISITOR)
        except CookieError:
            return False
        return found is not None and _same(found.value, self._visitor)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _said(
    start_response: Callable[..., Any], status: str, text: str, headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    plain = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    start_response(status, [*plain, ("Referrer-Policy", "no-referrer"), *headers])
    return [text.encode()]


class ReadOnly:
    """Middleware: a page that would write is told to be read-only, instead of an error of the server."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Go on."""
        return self._get_response(request)

    def process_exception(self, request: Any, error: BaseException) -> Any:  # noqa: ARG002  Django's signature
        """Given an error of a page, answer it where PostgreSQL has refused to write."""
        from django.http import HttpResponse

        cause = error.__cause__
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        return HttpResponse(_SENTENCE, status=403, content_type="text/plain") if state in _READ_ONLY else None


def _set_up() -> None:
    """Change the settings that lead elsewhere, need TLS, or write."""
    from django.conf import settings
    from django.db import connections

    changes: dict[str, Any] = {
        "ALLOWED_HOSTS": [_ADDRESS],
        "AUTHENTICATION_BACKENDS": [_BACKEND],
        "CSRF_COOKIE_DOMAIN": None,
        "CSRF_COOKIE_NAME": _CSRF,
        "CSRF_COOKIE_SECURE": False,
        "DEBUG": False,  # its pages show settings, and it keeps every statement
        "FORCE_SCRIPT_NAME": None,
        "MIDDLEWARE": [*settings.MIDDLEWARE, f"{__name__}.{ReadOnly.__name__}"],
        "SECRET_KEY": secrets.token_urlsafe(48),
        "SECRET_KEY_FALLBACKS": [],
        "SECURE_HSTS_SECONDS": 0,
        "SECURE_SSL_REDIRECT": False,
        "SESSION_COOKIE_DOMAIN": None,
        "SESSION_COOKIE_NAME": _SESSION,
        "SESSION_COOKIE_PATH": "/",
        "SESSION_COOKIE_SECURE": False,
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    }
    # Nobody has run collectstatic for these data: files come from the apps, under their own names.
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    if hasattr(settings, "STORAGES"):
        changes["STORAGES"] = {**settings.STORAGES, "staticfiles": {"BACKEND": plain}}
    else:
        changes["STATICFILES_STORAGE"] = plain
    if not settings.STATIC_URL:
        changes["STATIC_URL"] = "/static/"
    for name, value in changes.items():
        setattr(settings, name, value)
    connections.databases[ALIAS]["CONN_MAX_AGE"] = 0  # each request is a thread of its own


def _admin() -> str:
    """Return the path of the admin's first page; empty where the application has none, or no sessions."""
    from django.conf import settings
    from django.urls import NoReverseMatch, reverse

    if not any(name.endswith("SessionMiddleware") for name in settings.MIDDLEWARE):
        return ""
    try:
        return str(reverse("admin:index"))
    except NoReverseMatch:
        return ""


def _superuser() -> Any:
    """Return a superuser of the old data who may enter the admin; None where there is none."""
    from django.contrib.auth import get_user_model
    from django.core.exceptions import FieldError

    try:
        found = get_user_model()._default_manager.filter(is_superuser=True).order_by("pk")[:_USERS]
        return next((user for user in found if user.is_active and getattr(user, "is_staff", False)), None)
    except FieldError:  # a model of the application's own, without superusers
        return None


def _session_of(user: Any) -> str:
    """Given a user, return a signed session of theirs. No signal is sent, as `login` does: receivers write."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = user._meta.pk.value_to_string(user)
    session[BACKEND_SESSION_KEY] = _BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)
