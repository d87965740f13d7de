"""The file of settings that the role writes: lines of `export NAME='value'`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ..errors import SettingsError

_EXPORT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)


def read_environment_file(path: Path) -> dict[str, str]:
    """Given a file of `export NAME='value'` lines, return the names and values.

    The text is parsed with the shell's quoting rules; nothing in it is executed.

    :raises SettingsError: the file is missing, unreadable, or holds a line of another form
    """
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        hint = "run setup-backups.yml to write the file anew"
        raise SettingsError(f"the environment file {path} is no text", hint) from None
    except OSError as error:
        raise SettingsError(
            f"cannot read the environment file {path}: {error.strerror}",
            "run as the application's owner, or run the playbook setup-backups.yml first",
        ) from None
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            hint = "run setup-backups.yml to write the file anew"
            raise SettingsError(f"{path}, line {number}: {error}", hint) from None
        if words and words[0] == "export":
            words = words[1:]
        for word in words:
            match = _EXPORT.match(word)
            if not match:
                raise SettingsError(f"{path}, line {number}: not of the form export NAME='value'")
            values[match[1]] = match[2]
    return values
