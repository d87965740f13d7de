"""A real browser for tests of pages: Chromium, the system's or Debian's package.

The package is unpacked below `.cache/` with the libraries that this machine lacks, not installed. So no root is needed,
but for `apt-get update` where a new machine knows no packages yet.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .virtualenv import ROOT

_CACHE = ROOT / ".cache" / "chromium"
_PROGRAM = Path("usr/lib/chromium/chromium")


class NoChromiumError(Exception):
    """Chromium is not there, and cannot be fetched."""


def chromium() -> tuple[list[str], dict[str, str]]:
    """Return the beginning of Chromium's command line and its environment; the package is fetched once.

    :raises NoChromiumError: it is not installed, and this is no Debian with a way to its packages
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    if found := shutil.which("chromium"):
        return [found, *options], environment
    if not (_CACHE / _PROGRAM).exists():
        _fetch()
    libraries = sorted({str(path.parent) for path in (_CACHE / "usr" / "lib").rglob("*.so*")})
    return [str(_CACHE / _PROGRAM), *options], {**environment, "LD_LIBRARY_PATH": ":".join(libraries)}


class Browser:
    """A running Chromium with one page, told what to do over a pipe.

    :ivar requests: the URLs that the page asked for, its own among them
    :ivar said: what the browser complained about
    """

    def __init__(self, writing: IO[bytes], reading: IO[bytes]) -> None:
        self._writing, self._reading, self._count, self._session = writing, reading, 0, ""
        self.requests: list[str] = []
        self.said: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, path: Path, width: int = 1000, height: int = 800, *, dark: bool = False) -> None:
        """Given a file, show it in a window so many pixels wide, to a reader who likes it light or dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        self.requests.clear()
        self.said.clear()
        self._ask("Page.navigate", url=path.resolve().as_uri())
        self._wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Given an expression of JavaScript, return its value."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture (PNG) of the whole page, or of what the window shows."""
        answer = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        self._writing.write(json.dumps(message).encode() + b"\0")
        self._writing.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _wait_for(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._reading.read(1)) != b"\0":
            if not byte:
                raise NoChromiumError("chromium has ended")
            read += byte
        message = dict(json.loads(read))
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.said.append(message["params"]["entry"]["text"])
        return message


@contextmanager
def browser(seconds: float = 120) -> Iterator[Browser]:
    """Start Chromium, for so many seconds at most, and end it.

    :raises NoChromiumError: it cannot be had, or has ended
    """
    argv, environment = chromium()
    theirs, writing = os.pipe()
    reading, ours = os.pipe()
    with tempfile.TemporaryDirectory(prefix="cn-chromium-", ignore_cleanup_errors=True) as folder:
        # It reads from descriptor 3 and writes to 4.
        redirected = ["bash", "-c", f'exec "$0" "$@" 3<&{theirs} 4>&{ours}', *argv, "--remote-debugging-pipe"]
        process = subprocess.Popen(
            [*redirected, f"--user-data-dir={folder}", "about:blank"], env={**environment, "HOME": folder},
            pass_fds=(theirs, ours), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        os.close(theirs)
        os.close(ours)
        try:
            with os.fdopen(writing, "wb") as to, os.fdopen(reading, "rb") as back:
                yield Browser(to, back)
        finally:
            timer.cancel()
            process.terminate()
            process.wait(timeout=20)


def _fetch() -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoChromiumError("chromium is missing: install it")
    _CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt fetches as a user of its own
        wanted = _missing(folder)
        if not wanted and os.geteuid() == 0:
            _run(["apt-get", "-q", "update"], folder)
            wanted = _missing(folder)
        done = _run(["apt-get", "-q", "download", *wanted], folder)
        packages = sorted(folder.glob("*.deb"))
        if done.returncode or not any(path.name.startswith("chromium_") for path in packages):
            raise NoChromiumError(f"chromium cannot be fetched: {done.stderr.strip()[-500:]}")
        unpacked = folder / "unpacked"
        for package in packages:
            done = _run(["dpkg-deb", "-x", str(package), str(unpacked)], folder)
            if done.returncode:
                raise NoChromiumError(f"{package.name} cannot be unpacked: {done.stderr.strip()[-500:]}")
        shutil.rmtree(_CACHE, ignore_errors=True)
        unpacked.rename(_CACHE)


def _missing(folder: Path) -> list[str]:
    """Return chromium and the packages that it needs and this machine lacks."""
    done = _run(["apt-get", "-q", "--simulate", "--no-install-recommends", "install", "chromium"], folder)
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]


def _run(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})  # fmt: skip
