"""A rehearsal of restores, on archives that are made for it: see `docs/restore.md` for what a drill is."""

from __future__ import annotations

import json
import sys

from .stage import BUCKET, Stage, perform, strings
from .steps import StepError


def tell(stage: Stage) -> str:
    """Make three archives, drill one, drill all, and look at what the store remembers."""
    step_of = stage.rehearsal.step
    with step_of("set-up") as step:
        stage.set_up(step)
    for number in ("second", "third"):
        with step_of(f"a change; a tick: the {number} archive") as step:
            stage.application.manage("change")
            stage.saving_tick(step)
    count = len(stage.keys())
    with step_of("a drill of the newest archive") as step:
        _show(stage.play("drill.yml"))
        step.what, step.proof = "restored from SQL and from fixtures", "equal to the manifest, and to each other"
    with step_of(f"a drill of {count} archives") as step:
        _show(stage.play("drill.yml", "-e", f"count={count}"))
        records = _records(stage)
        if len(records) < 2:
            raise StepError(f"the store holds {len(records)} records of drills")
        step.what = f"{count} archives restored, both ways"
        step.proof = f"the playbook's status 0; {len(records)} records in the store"
    return "Every archive can be restored."


def _show(output: str) -> None:
    """Print the table of a drill."""
    lines = [line for line in strings(output) if line.strip()]
    print("\n" + "".join(f"    {line}\n" for line in lines), end="", flush=True)


def _records(stage: Stage) -> list[str]:
    found = stage.store.client().list_objects_v2(Bucket=BUCKET, Prefix="db/drills/").get("Contents", ())
    for entry in found:
        json.loads(stage.store.client().get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read())
    return [entry["Key"] for entry in found]


if __name__ == "__main__":
    sys.exit(perform("drill", tell))
