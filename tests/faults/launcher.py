"""Runs the engine's command line with one fault built in. It is read by the engine's own interpreter, as the owner.

`launcher.py PLAN ARGUMENT...`, where PLAN is a JSON object:

* `point`: "before FILE:FUNCTION", or "after" it; or "before NAME #N", the Nth call of a function of the system
  (`rename`, `fsync`, ...)
* `signal`: the number of the signal that this process sends itself there
* `trace`: a file that gets the name of each function that was called, instead
* `programs`: a folder with programs that are found before the real ones
* `limits`: resources of this process and its children, such as `RLIMIT_FSIZE`, and how much there is
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

PLAN = json.loads(sys.argv[1])
sys.argv = ["checkniner-backups", *sys.argv[2:]]
_MARK = "checkniner_backups/"
_counts: dict[str, int] = {}
_seen: dict[str, None] = {}


def _name(frame: FrameType) -> str:
    code = frame.f_code
    _, found, path = code.co_filename.rpartition(_MARK)
    return f"{path.removesuffix('.py')}:{code.co_qualname}" if found else ""  # type: ignore[attr-defined] # 3.11


def _reached(point: str) -> None:
    if "trace" in PLAN:
        _seen.setdefault(point)
    elif point == PLAN["point"]:
        PLAN["point"] = ""  # once
        Path(__file__).with_name("reached").touch()
        os.kill(os.getpid(), PLAN["signal"])


def _profile(frame: FrameType, event: str, argument: Any) -> None:
    if event in {"call", "return"}:
        if name := _name(frame):
            _reached(f"{'before' if event == 'call' else 'after'} {name}")
    elif event == "c_call" and argument.__module__ == "posix" and _name(frame):
        name = argument.__name__
        _counts[name] = _counts.get(name, 0) + 1
        _reached(f"before {name} #{_counts[name]}")


def main() -> None:
    """Run the command line."""
    for name, most in PLAN.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (most, most))
    if programs := PLAN.get("programs"):
        os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
        from checkniner_backups.postgres import programs as installed

        installed._BINARIES = Path(programs) / "postgresql"
    from checkniner_backups.cli.main import main as run

    if "point" in PLAN or "trace" in PLAN:
        threading.setprofile(_profile)
        sys.setprofile(_profile)
    try:
        status = run()
    finally:
        sys.setprofile(None)
        if "trace" in PLAN:
            Path(PLAN["trace"]).write_text("\n".join(_seen))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


main()
