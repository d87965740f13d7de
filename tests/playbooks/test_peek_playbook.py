"""playbooks/peek.yml: the owner looks at old data in the application's own admin, and cannot change them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar

import pytest

from sandbox.control import Control
from sandbox.server import Server
from tests.integration.drill.test_drill import folders, nothing_is_left_since
from tests.plugins.application import RunningApplication

pytestmark = pytest.mark.late("a play in the background is waited for, and killed")

URL = re.compile(r"http://127\.0\.0\.1:\d+/peek/[\w-]+")
LOOK = "/admin/checkouts/airstrip/"


@contextmanager
def playing(control: Control) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A play that goes on until it is ended, and the address that it tells."""
    invocation = control.invocation("peek.yml", "-e", "minutes=5")
    play = subprocess.Popen(**invocation, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert play.stdout
    said = ""
    try:
        for line in play.stdout:
            said += line
            if found := URL.search(line):
                yield play, found[0]
                return
        pytest.fail(said)
    finally:
        play.kill()
        play.wait()


def page(browser: urllib.request.OpenerDirector, url: str, **form: str) -> tuple[int, str]:
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with browser.open(url, data, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_admin_shows_old_data_and_a_killed_play_leaves_nothing(
    server: Server, control: Control, application: RunningApplication
) -> None:
    before = folders()
    application.shell(
        "from django.contrib.auth.models import User\n"
        "User.objects.filter(is_superuser=True).update(is_superuser=False)\n"
        "User.objects.create_superuser('chief', password='of-yesterday')\n"
        "from checkouts.models import Airstrip\n"
        "Airstrip.objects.create(ident='OLD1', name='Of yesterday', is_base=False)\n"
    )
    key = server.tick()["key"]
    control.variables |= {
        "ansible_connection": "ssh",
        "ansible_host": "192.0.2.1",  # no server is needed
        "checkniner_backups_drill_application_path": str(server.application.path),
        "checkniner_backups_drill_virtualenv": str(server.application.virtualenv),
    }
    with playing(control) as (play, url):
        site = url.partition("/peek/")[0]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        stranger = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        assert page(stranger, site + LOOK)[0] == 403
        status, shown = page(browser, url)
        assert (status, "<strong>chief</strong>" in shown.lower()) == (200, True), shown
        assert page(stranger, url)[0] == 403  # it works once
        listed = page(browser, site + LOOK)[1]
        assert "Of yesterday" in listed
        assert page(browser, site + "/static/admin/css/base.css")[0] == 200
        row = re.search(rf'href="({LOOK}\d+/change/)[^"]*">[^<]*OLD1', listed)
        assert row, listed
        form = page(browser, site + row[1])[1]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert token
        changed = page(
            browser, site + row[1], csrfmiddlewaretoken=token[1], ident="OLD1", name="Of today", _save="Save"
        )
        assert changed == (403, "These are old data, and read-only: nothing was changed.\n")
        assert "Of yesterday" in page(browser, site + row[1])[1]
        os.kill(play.pid, signal.SIGKILL)
        play.wait()
        nothing_is_left_since(before)
        with pytest.raises(OSError, match="refused"):
            browser.open(site, timeout=5)

    # Without a terminal and without minutes, the play ends by itself.
    done = control.play("peek.yml", "-e", f"archive={key}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{key}: proven" in done.stdout
    nothing_is_left_since(before)
