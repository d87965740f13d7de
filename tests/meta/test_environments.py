"""Every program that the engine starts gets a stated environment: ours holds the operator's secrets."""

from __future__ import annotations

import ast

from .source import engine_modules

_STARTERS = ("run", "Popen", "call", "check_call", "check_output")


def _starts(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "subprocess"
        and node.func.attr in _STARTERS
    ]


def test_every_child_process_gets_a_stated_environment() -> None:
    count, bare = 0, []
    for name, path in engine_modules().items():
        tree = ast.parse(path.read_text())
        # The one way to start a program, so that this test sees them all.
        assert not any(isinstance(node, ast.ImportFrom) and node.module == "subprocess" for node in ast.walk(tree)), (
            name
        )
        for call in _starts(tree):
            count += 1
            given = [keyword.value for keyword in call.keywords if keyword.arg == "env"]
            if not given or "os.environ" in ast.unparse(given[0]) or ast.unparse(given[0]) == "None":
                bare.append(f"{name}:{call.lineno}")
    assert count > 8
    assert not bare


def test_nothing_is_started_in_another_way() -> None:
    for name, path in engine_modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert not node.attr.startswith(("system", "popen", "posix_spawn", "spawn")), (name, node.lineno)
