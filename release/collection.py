"""Build the Ansible collection from this tree: the files of the checkout under the names that a collection has.

The repository keeps one copy of everything, under the names that work without a collection. This build moves the files
and rewrites the names: modules, imports, documentation fragments and the role get their fully qualified names, and a
playbook's name becomes an identifier. It walks the tree: a new module, task file or playbook needs no change here.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from . import checks
from .project import DIST, ROOT, engine_version, files, metadata

NAMESPACE, NAME = "checkniner", "backups"
FULL = f"{NAMESPACE}.{NAME}"
ROLE = "checkniner_backups"
IMPORTS = f"ansible_collections.{FULL}.plugins.module_utils"
# Where a folder of the checkout is in a collection.
PLACES = {
    "library": "plugins/modules",
    "module_utils": "plugins/module_utils",
    "doc_fragments": "plugins/doc_fragments",
    "roles": "roles",
    "playbooks": "playbooks",
    "docs": "docs",
    "requirements/server.txt": "requirements/server.txt",
    "pyproject.toml": "pyproject.toml",
    "LICENSE": "LICENSE",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
}
FRONT_PAGE = ROOT / "docs" / "collection.md"


def place(path: Path) -> Path | None:
    """Given a file of the checkout, return its place in the collection, None if it has none."""
    for source, target in PLACES.items():
        if path == Path(source):
            return Path(target)
        if path.is_relative_to(source):
            place = Path(target) / path.relative_to(source)
            break
    else:
        return None
    if path.parts[0] == "playbooks":
        # Ansible finds a collection's playbook by a name that is an identifier. Its ansible.cfg would not count.
        return place.with_name(place.name.replace("-", "_")) if path.suffix == ".yml" else None
    return place


class Names:
    """The names that the build rewrites, as they are found in the tree."""

    def __init__(self, paths: list[Path]) -> None:
        """Given the project's files, learn the names of modules, documentation fragments and playbooks."""
        self.modules = self._stems(paths, "library")
        self.fragments = self._stems(paths, "doc_fragments")
        self.playbooks = self._stems(paths, "playbooks", ".yml")

    @staticmethod
    def _stems(paths: list[Path], folder: str, suffix: str = ".py") -> list[str]:
        return [path.stem for path in paths if path.parent == Path(folder) and path.suffix == suffix]

    def rewrite(self, path: Path, text: str) -> str:
        """Given a file of the checkout and its text, return the text for the collection."""
        if path == Path("pyproject.toml"):
            return text.replace('"module_utils"', '"plugins/module_utils"')
        if path.suffix in (".yml", ".j2", ".py"):
            text = self._modules(text)
        if path.suffix == ".py":
            text = self._imports(text)
            text = re.sub(rf"^( +- )({_any(self.fragments)}(?:\.\w+)?)$", rf"\1{FULL}.\2", text, flags=re.MULTILINE)
        if path.parts[0] in ("roles", "playbooks") and path.suffix in (".yml", ".j2"):
            text = self._role(text)
        return text

    def _modules(self, text: str) -> str:
        """A module is named as a task's key, or in documentation as M(name)."""
        text = re.sub(rf"^( *(?:- )?)({_any(self.modules)}):", rf"\1{FULL}.\2:", text, flags=re.MULTILINE)
        return re.sub(rf"\bM\(({_any(self.modules)})\)", rf"M({FULL}.\1)", text)

    @staticmethod
    def _imports(text: str) -> str:
        text = re.sub(r"\bansible\.module_utils\.(?=checkniner_)", f"{IMPORTS}.", text)
        return re.sub(r"\bfrom ansible\.module_utils import (?=checkniner_)", f"from {IMPORTS} import ", text)

    def _role(self, text: str) -> str:
        text = re.sub(rf"^( +(?:- )?(?:name|role): ){ROLE}$", rf"\1{FULL}.{ROLE}", text, flags=re.MULTILINE)
        text = text.replace("/module_utils/", "/plugins/module_utils/")
        for name in self.playbooks:
            identifier = name.replace("-", "_")
            text = text.replace(f"playbooks/{name}.yml", f"{FULL}.{identifier}")
            text = re.sub(rf"(?<![\w-]){name}\.yml", f"{identifier}.yml", text)
        return text


def _any(names: list[str]) -> str:
    return "(?:" + "|".join(sorted(names, key=len, reverse=True)) + ")"


def write(folder: Path) -> None:
    """Given an empty folder, write the collection's tree into it."""
    paths = files(*PLACES)
    names = Names(paths)
    for path in paths:
        target = place(path)
        if target is None:
            continue
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        source = ROOT / path
        if source.suffix in (".yml", ".j2", ".py", ".toml"):
            (folder / target).write_text(names.rewrite(path, source.read_text()))
        else:
            shutil.copyfile(source, folder / target)
    (folder / "README.md").write_text(front_page())
    (folder / "meta").mkdir()
    oldest = yaml.safe_load((ROOT / "roles" / ROLE / "meta" / "main.yml").read_text())["galaxy_info"]
    _dump(folder / "meta" / "runtime.yml", {"requires_ansible": f">={oldest['min_ansible_version']}.0"})
    _dump(folder / "galaxy.yml", galaxy(oldest["galaxy_tags"]))


def galaxy(tags: list[str]) -> dict[str, object]:
    """Given the role's tags, return what `galaxy.yml` says."""
    told = metadata()
    return {
        "namespace": NAMESPACE,
        "name": NAME,
        "version": engine_version(),
        "readme": "README.md",
        "authors": [author["name"] for author in told["authors"]],
        "description": told["description"],
        "license": [told["license"]["text"]],
        "tags": tags,
        "dependencies": {},
    }


def front_page() -> str:
    """Return the collection's README: the page of the documentation on the collection, with its links set right."""
    text = re.sub(r"\]\((?![a-z]+:|#|\.\./)", "](docs/", FRONT_PAGE.read_text())
    return text.replace("](../", "](")


def _dump(path: Path, value: dict[str, object]) -> None:
    path.write_text("---\n" + yaml.safe_dump(value, sort_keys=False, width=120))


def build(output: Path = DIST) -> Path:
    """Build the collection's archive in `output` and return its path.

    :raises subprocess.CalledProcessError: `ansible-galaxy` refused it, and has said why
    """
    with tempfile.TemporaryDirectory(prefix="cb-collection-") as temporary:
        folder = Path(temporary)
        write(folder)
        output.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("ansible-galaxy")
        subprocess.run(
            [program, "collection", "build", "--force", "--output-path", output, folder],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return output / f"{NAMESPACE}-{NAME}-{engine_version()}.tar.gz"


def main() -> int:
    """Build the archive and, if asked, check it with Ansible's own tools."""
    parser = argparse.ArgumentParser(description="Build the Ansible collection into dist/.")
    parser.add_argument(
        "--check", action="store_true", help="then check it: ansible-lint, yamllint, ansible-test sanity"
    )
    parser.add_argument("--output", type=Path, default=DIST, help="another folder than dist/")
    arguments = parser.parse_args()
    archive = build(arguments.output)
    sys.stdout.write(f"{archive}\n")
    return checks.check(archive, NAMESPACE, NAME) if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
