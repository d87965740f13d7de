"""Code that runs where the engine runs on a server: as the application's owner, in the engine's own interpreter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.owner import Account

_BEGIN = """
import json, sys
from pathlib import Path
from checkniner_backups.errors import BackupsError
given = json.load(sys.stdin)
def settings():
    from checkniner_backups.settings import from_environment
    from checkniner_backups.system.environment_file import read_environment_file
    return from_environment(read_environment_file(Path(given["environment_file"])))
result = None
try:
"""
_END = """
except BackupsError as error:
    result = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
print(json.dumps(result))
"""


def as_engine(owner: Account, command: Path, code: str, **given: Any) -> Any:
    """Given code that uses `given` and sets `result`, run it as the owner; return the result, or the error as a dict.

    :param command: the engine's `checkniner-backups`
    """
    body = "".join(f"    {line}\n" for line in code.strip().splitlines())
    program = f"{_BEGIN}{body}{_END}"
    done = owner.run([command.with_name("python"), "-I", "-c", program], input=json.dumps(given))
    return json.loads(done.stdout.splitlines()[-1])
