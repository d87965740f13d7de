"""Templates of URLs: what is refused before anything is changed, and what comes of one."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.monitoring.events import new_id
from checkniner_backups.monitoring.templates import LONGEST_MESSAGE, check_template, render

VALUES = {"status": "failure", "exit": "7", "rid": "f00", "ms": "1234", "message": "a & b/ü?\n{exit}"}


@pytest.mark.parametrize(
    "template",
    [
        "https://hc-ping.com/secret/{exit}?rid={rid}",
        "http://kuma.example.org:3001/api/push/secret?status=down&msg={message}&ping={ms}",
        "https://user:secret@[::1]/{status}",
    ],
)
def test_what_can_be_used(template: str) -> None:
    check_template("checkniner_backups_ping_success_url", template)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("https://host/secret/{statsu}", "holds an unknown placeholder {statsu}"),
        ("https://host/secret/{}", "holds braces around no placeholder"),
        ("https://host/secret/{exit!r:>secret}", "holds braces around no placeholder"),
        ("https://host/secret/{exit", "holds a brace without its other half"),
        ("https://host/secret/exit}", "holds a brace without its other half"),
        ("https://{message}/secret", "is no http or https URL"),
        ("https://host:{exit}/secret", "is no http or https URL"),
        ("https://host:secret/", "is no http or https URL"),
        ("ftp://host/secret", "is no http or https URL"),
        ("https://host/secret with space", "is no http or https URL"),
        ("https://host/secret\nHeader: x", "is no http or https URL"),
        ("https://[secret", "is no http or https URL"),
        ("secret", "is no http or https URL"),
    ],
)
def test_what_cannot_is_named_and_not_shown(template: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_template("checkniner_backups_ping_success_url", template)
    assert caught.value.message == f"checkniner_backups_ping_success_url {words}"
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_values_are_encoded_and_filled_in_once() -> None:
    template = "https://host/secret/{exit}?m={message}&status={status}&ms={ms}&rid={rid}"
    parts = urlsplit(render(template, VALUES))
    assert parts.path == "/secret/7"
    assert {name: values for name, (values,) in parse_qs(parts.query).items()} == {
        "m": VALUES["message"], "status": "failure", "ms": "1234", "rid": "f00",
    }  # fmt: skip
    assert parts.query.startswith("m=a%20%26%20b%2F%C3%BC%3F%0A%7Bexit%7D&")


def test_a_long_message_is_cut() -> None:
    message = "x" * (LONGEST_MESSAGE + 1)
    assert render("https://host/{message}", {**VALUES, "message": message}) == f"https://host/{message[:-1]}"


def test_a_run_has_an_id_that_healthchecks_takes() -> None:
    import uuid

    found = {new_id() for _ in range(100)}
    assert len(found) == 100
    for each in found:
        assert str(uuid.UUID(each)) == each
        assert uuid.UUID(each).version == 4
