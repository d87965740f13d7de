"""What leaves the machine holds no secret."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from checkniner_backups.monitoring.log_tail import LogTail
from checkniner_backups.monitoring.redaction import Redaction
from checkniner_backups.monitoring.run import last_bytes
from checkniner_backups.settings import Settings, StoreSettings

SETTINGS = Settings(
    name="checkniner", application_path=Path("/app"), virtualenv=Path("/venv"), state_path=Path("/state"),
    store=StoreSettings("bucket", access_key="AKIASECRET", secret_key="se/cret+key", session_token="token-secret"),
    database_url="postgres://reader:p%40ss-secret@db.example.org/checkniner",
    pings={"success": "https://hc-ping.com/secret-of-success/{exit}?key=querysecret&rid={rid}"},
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "key AKIASECRET was refused",
        "signed with se/cret+key",
        "GET /?k=se%2Fcret%2Bkey",
        "token-secret expired",
        "cannot connect to postgres://reader:p%40ss-secret@db.example.org/checkniner",
        "the password is p@ss-secret indeed",
        "postgresql://other:secret@host/db?sslmode=require failed",
        "cannot open postgres://db.example.org/checkniner?sslkey=/secret.key",
        "fetch http://user:se@cret@host/path",
        "asked https://hc-ping.com/secret-of-success/0",
        "path secret-of-success",
        "?key=querysecret",
        'connection "host=db password=secret user=me"',
        "PGPASSWORD='secret word' psql",
        "password: secret",
        "aws_secret_access_key = secret",
    ],
)
def test_no_secret_stays(text: str) -> None:
    told = Redaction.of(SETTINGS)(text)
    assert "***" in told
    assert "secret" not in told.replace("aws_secret_access_key", "")
    assert "cret" not in told.replace("aws_secret_access_key", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-25T12:00:00+0000 INFO unchanged (snapshot check): nothing that is visible has changed",
        "saved db/2026-11-22T19:35:00.tar.gz.gpg (12 MB) to bucket of checkniner",
        "the watchdog at https://hc-ping.com was not reached: Connection refused",
        "HINT: look at https://example.org/page:2 and mail admin@example.org",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction.of(SETTINGS)(text) == text


def test_nothing_is_hidden_where_there_is_no_secret() -> None:
    assert Redaction(["", "abc"])("an abc of nothing") == "an abc of nothing"


def test_the_end_of_the_log_is_kept() -> None:
    log, tail = logging.getLogger("test_redaction"), LogTail(100)
    log.setLevel(logging.DEBUG)
    log.addHandler(tail)
    for number in range(1000):
        log.info("line %d ü", number)
        log.debug("not this")
    log.removeHandler(tail)
    lines = tail.text().splitlines()
    assert [line.partition("INFO ")[2] for line in lines] == [f"line {997 + each} ü" for each in range(3)]
    assert len(last_bytes(tail.text(), 100)) <= 100


def test_the_end_of_a_text_begins_with_a_whole_character() -> None:
    assert last_bytes("aüü", 3) == "ü".encode()
    assert last_bytes("aüü", 4) == "üü".encode()
    assert last_bytes("short", 100) == b"short"
