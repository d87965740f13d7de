"""Both doors of a restore follow the engine's list of stages."""

from __future__ import annotations

import ast

from checkniner_backups.restore.stages import Stage

from .source import ROOT

FILES = ROOT / "roles" / "checkniner_backups" / "tasks" / "restore" / "stages"
WORKFLOW = ROOT / "module_utils" / "checkniner_backups" / "restore" / "workflow.py"
STAGES = {stage.value for stage in Stage}


def test_the_role_has_a_file_of_each_stage() -> None:
    assert {path.stem for path in FILES.iterdir()} == STAGES


def test_the_command_line_has_a_method_of_each_stage() -> None:
    """But for one: it fills no database elsewhere."""
    tree = ast.parse(WORKFLOW.read_text())
    (run,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "_Run"]
    methods = {node.name for node in run.body if isinstance(node, ast.FunctionDef)}
    assert STAGES - methods == {Stage.FILL.value}
