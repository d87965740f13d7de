"""One ping, against a real listener."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from checkniner_backups.errors import WatchdogError
from checkniner_backups.monitoring import ping as pings
from checkniner_backups.monitoring.ping import ping

from tests.plugins.listening import Heard, Listener


def refused(url: str, timeout: float = 5.0) -> WatchdogError:
    with pytest.raises(WatchdogError) as caught:
        ping(url, timeout, pause=0.01)
    assert "secret" not in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_status == 13
    return caught.value


def test_a_ping_is_a_get_and_one_with_a_body_a_post(listener: Listener) -> None:
    ping(f"{listener.url}/secret?a=b")
    ping(f"{listener.url}/secret", body="größer\n".encode())
    assert listener.heard == [Heard("GET", "/secret?a=b", ""), Heard("POST", "/secret", "größer\n")]


@pytest.mark.parametrize("status", [404, 401, 410])
def test_a_refusal_is_loud_and_not_repeated(listener: Listener, status: int) -> None:
    listener.answer = lambda _heard: status
    assert f"answer {status}" in refused(f"{listener.url}/secret").message
    assert len(listener.heard) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_pass_is_tried_three_times(listener: Listener, status: int) -> None:
    listener.answer = lambda _heard: status
    assert f"answer {status}" in refused(f"{listener.url}/secret").message
    assert len(listener.heard) == pings.ATTEMPTS == 3


def test_the_second_attempt_is_enough(listener: Listener) -> None:
    listener.answer = lambda _heard: 502 if len(listener.heard) == 1 else 204
    ping(f"{listener.url}/secret", body=b"same", pause=0.3)
    assert [each.body for each in listener.heard] == ["same", "same"]
    assert listener.heard[1].at - listener.heard[0].at >= 0.3


def test_an_answer_that_does_not_come_is_asked_for_again(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "_SHARE", 2.0)  # a busy machine answers late
    released = threading.Event()

    def answer(_heard: Heard) -> int:
        if len(listener.heard) == 1:
            released.wait(20)
        return 200

    listener.answer = answer
    start = time.monotonic()
    ping(f"{listener.url}/secret", 20.0, pause=0.01)
    released.set()
    assert len(listener.heard) == 2
    assert 2.0 <= time.monotonic() - start < 15


def test_the_time_is_bounded_over_all_attempts(listener: Listener) -> None:
    released = threading.Event()
    listener.answer = lambda _heard: 200 if released.wait(20) else 500
    start = time.monotonic()
    assert "did not answer within 0.6 s" in (message := refused(f"{listener.url}/secret", 0.6).message) or (
        "no answer in time" in message
    )
    assert time.monotonic() - start < 2
    released.set()


@contextmanager
def dripping() -> Iterator[str]:
    """A server whose headers never end: no time-out of a socket ever strikes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=feed, args=(client,), daemon=True).start()

        def feed(client: socket.socket) -> None:
            with suppress(OSError), client:
                client.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    client.sendall(b"X-Drip: 1\r\n")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_drips_holds_nobody_up() -> None:
    with dripping() as url:
        start = time.monotonic()
        refused(f"{url}/secret", 0.6)
        assert time.monotonic() - start < 2


def test_nobody_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = refused(f"http://127.0.0.1:{held.getsockname()[1]}/secret")
    assert "Connection refused" in error.message


@pytest.mark.parametrize(
    "bad", ["", "ftp://host/secret", "file:///secret", "http:///secret", "http://[secret", "secret"]
)
def test_only_http(bad: str) -> None:
    assert "no http or https URL" in refused(bad).message


def test_what_the_url_holds_is_not_shown(listener: Listener) -> None:
    listener.answer = lambda _heard: 404
    refused(f"{listener.url}/with space/secret")
    refused(listener.url.replace("http://", "http://user:secret@") + "/404")


def test_a_redirect_leads_to_http_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.recv(1000)
                    client.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname#secret\r\n\r\n")
                    client.close()

        threading.Thread(target=answer, daemon=True).start()
        refused(f"http://127.0.0.1:{server.getsockname()[1]}/secret")
