"""Build the documentation's site: the Markdown of this tree, and the pages that the programs write about themselves.

The pages on modules and on the command line are made here and kept nowhere. The variables are written into
docs/variables.md by `sandbox/reference.py`, because people read that page in the repository too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from .project import DIST, ROOT, engine_version, files

REQUIREMENTS = ROOT / "requirements" / "docs.txt"
SOURCES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "ansible.cfg", "docs", "roles",
           "examples/checkniner/README.md")  # fmt: skip
# The order in the margin. What is not named here follows in the order of names.
ORDER = ("README", "docs/restore", "docs/restore-by-hand", "docs/variables", "docs/retention", "docs/keys",
         "docs/monitoring", "docs/overview",
         "modules", "command-line", "docs/collection", "docs/glossary")  # fmt: skip
_SETTINGS = """\
project = "checkniner backups"
version = release = "{version}"
author = "The checkniner-backups authors"
extensions = ["myst_parser"]
source_suffix = {{".md": "markdown"}}
myst_heading_anchors = 4
html_theme = "furo"
html_title = "checkniner backups {version}"
nitpicky = True
"""


def pages(folder: Path) -> None:
    """Given an empty folder, write the site's sources into it."""
    for path in files(*SOURCES):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    (folder / "modules.md").write_text(modules())
    (folder / "command-line.md").write_text(command_line())
    found = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.md"))
    contents = [name for name in ORDER if name in found] + [name for name in found if name not in ORDER]
    (folder / "index.md").write_text(
        "# checkniner backups\n\n```{toctree}\n:maxdepth: 2\n\n" + "\n".join(contents) + "\n```\n"
    )
    (folder / "conf.py").write_text(_SETTINGS.format(version=engine_version()))


def modules() -> str:
    """Return the page on the modules, from what `ansible-doc` says of each."""
    names = [path.stem for path in files("library")]
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "-t", "module", "--json", *names],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )  # fmt: skip
    told = json.loads(done.stdout)
    return "# Modules\n\nWhat `ansible-doc` says.\n\n" + "\n".join(_module(name, told[name]) for name in sorted(told))


def _module(name: str, told: dict[str, Any]) -> str:
    documented = told["doc"]
    lines = [f"## {name}\n", f"{_text(documented['short_description'])}\n"]
    lines += [f"{_text(each)}\n" for each in _list(documented["description"])]
    lines += ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    for option, facts in sorted(documented.get("options", {}).items()):
        default = "required" if facts.get("required") else f"`{facts['default']}`" if facts.get("default") else ""
        meaning = " ".join(_text(each) for each in _list(facts["description"]))
        choices = f" One of {', '.join(f'`{each}`' for each in facts['choices'])}." if facts.get("choices") else ""
        lines.append(f"| `{option}` | {facts['type']} | {default} | {_cell(meaning + choices)} |")
    lines += ["", f"```yaml\n{told['examples'].strip()}\n```\n"]
    lines += ["| returned | type | meaning |", "| --- | --- | --- |"]
    for value, facts in (told["return"] or {}).items():
        meaning = " ".join(_text(each) for each in _list(facts["description"]))
        lines.append(f"| `{value}` | {facts['type']} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Ansible's own marks become Markdown's: O(name), V(value), C(code), M(module)."""
    for mark in "OVCMEIB":
        parts = text.split(f"{mark}(")
        # A mark stands at the beginning of a word, and none of ours holds a parenthesis.
        text = parts[0] + "".join(_code(part) for part in parts[1:])
    return text


def _code(rest: str) -> str:
    inside, _, after = rest.partition(")")
    return f"`{inside}`{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def command_line() -> str:
    """Return the page on the command line, from its own `--help`."""
    parts = ["# The command line\n", f"```text\n{_help()}```\n"]
    for command in _commands():
        parts += [f"## {command}\n", f"```text\n{_help(command)}```\n"]
    return "\n".join(parts)


def _help(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "module_utils"), "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
    code = "import sys; sys.argv[0] = 'checkniner-backups'; from checkniner_backups.cli.launch import main; main()"
    return subprocess.run([sys.executable, "-c", code, *command, "--help"], env=environment, capture_output=True,
                          text=True, check=True).stdout  # fmt: skip


def _commands() -> list[str]:
    """The names below the heading `commands:` of the help."""
    listed = _help().partition("\ncommands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^    (\w+) ", listed, re.MULTILINE)


def _sphinx() -> Path:
    """Return the folder of Sphinx's programs, installed below `.cache/` if its requirements have changed."""
    folder = ROOT / ".cache" / "docs"
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if not (folder / "stamp").is_file() or (folder / "stamp").read_text() != stamp:
        venv.create(folder, clear=True, with_pip=True)
        pip = [folder / "bin" / "python", "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        subprocess.run([*pip, "--quiet", "--require-hashes", "--requirement", REQUIREMENTS], check=True)
        (folder / "stamp").write_text(stamp)
    return folder / "bin"


def build(output: Path) -> int:
    """Build the site in `output`; return Sphinx's exit status. A link that leads nowhere is an error."""
    with tempfile.TemporaryDirectory(prefix="cb-site-") as temporary:
        pages(Path(temporary))
        command = [_sphinx() / "sphinx-build", "-q", "-W", "--keep-going", "-b", "html", temporary, output]
        return subprocess.run(command, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False).returncode


def main() -> int:
    """Build it and say where it is."""
    parser = argparse.ArgumentParser(description="Build the documentation's site into dist/site.")
    parser.add_argument("--output", type=Path, default=DIST / "site", help="another folder than dist/site")
    output = parser.parse_args().output
    shutil.rmtree(output, ignore_errors=True)
    status = build(output)
    if status == 0:
        sys.stdout.write(f"{output / 'index.html'}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
