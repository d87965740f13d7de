"""What the meta tests know about the source: its files, and who imports whom."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "module_utils" / "checkniner_backups"


def engine_modules() -> dict[str, Path]:
    """Return the engine's modules by dotted name, relative to the engine (`postgres.dsn`); packages by their own."""
    found = {}
    for path in sorted(ENGINE.rglob("*.py")):
        parts = path.relative_to(ENGINE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def engine_imports() -> dict[str, set[str]]:
    """Return for each of the engine's modules the others that it imports, at its top, in a function, or for types."""
    modules = engine_modules()
    return {name: _imports(name, path, modules) for name, path in modules.items()}


def absolute_imports(path: Path) -> set[str]:
    """Given a file, return the names of the packages that it imports by absolute names, the first part of each."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _imports(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    package = name.split(".") if name else []
    if path.name != "__init__.py":
        package = package[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)] + (node.module.split(".") if node.module else [])
            for each in node.names:
                whole = ".".join([*base, each.name])
                found.add(whole if whole in modules else ".".join(base))
    return found - {name}
