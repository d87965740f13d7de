"""Who is let in to the pages over old data: one browser, on this machine, by the address that the play tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from checkniner_backups.django_app.worker.visit import Gate


@pytest.fixture
def ask() -> Callable[..., tuple[str, dict[str, list[str]]]]:
    def application(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [b"old data"]

    gate = Gate(application, "right", 8000, "/admin/", "signed")

    def asked(path: str, cookie: str = "", host: str = "127.0.0.1:8000", method: str = "GET") -> Any:
        heard: list[Any] = []
        environ = {"PATH_INFO": path, "HTTP_HOST": host, "REQUEST_METHOD": method, "HTTP_COOKIE": cookie}
        list(gate(environ, lambda *words: heard.extend(words)))
        headers: dict[str, list[str]] = {}
        for name, value in heard[1]:
            headers.setdefault(name, []).append(value)
        return heard[0][:3], headers

    return asked


def test_the_token_works_once_and_the_cookie_from_then_on(ask: Callable[..., Any]) -> None:
    assert ask("/admin/")[0] == "403"
    assert ask("/peek/wrong")[0] == "403"
    assert ask("/peek/right", method="POST")[0] == "403"
    status, headers = ask("/peek/right")
    assert (status, headers["Location"]) == ("302", ["/admin/"])
    visitor, session = (each.partition(";")[0] for each in headers["Set-Cookie"])
    assert session == "peek_session=signed"
    assert all("HttpOnly" in each and "SameSite" in each for each in headers["Set-Cookie"])
    assert ask("/admin/", visitor)[0] == "200"
    assert ask("/peek/right")[0] == "403"
    assert ask("/peek/")[0] == "403"  # a token that is used up is no empty one


@pytest.mark.parametrize("cookie", ["peek_visitor=", "peek_visitor=guess", "peek_session=signed", "\x00=;", "é=ü"])
def test_other_cookies_open_nothing(ask: Callable[..., Any], cookie: str) -> None:
    ask("/peek/right")
    assert ask("/admin/", cookie)[0] == "403"


def test_another_name_that_leads_here_opens_nothing(ask: Callable[..., Any]) -> None:
    """A page of another site could let a browser ask for it, by a name that leads to 127.0.0.1 (DNS rebinding)."""
    assert ask("/peek/right", host="evil.example:8000")[0] == "403"
    assert ask("/peek/right")[0] == "302"
