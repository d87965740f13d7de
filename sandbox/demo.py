"""The whole story on real parts, in about a minute: set up, save, leave alone, lose everything, get it back, twice.

A PostgreSQL cluster, an S3 server, a key pair and the example application are made for it and removed at the end. The
playbooks are those that a server gets. What was lost and came back is counted and hashed here, not by the engine.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass

from psycopg import sql

from . import comparison
from .stage import Stage, perform
from .steps import Step, StepError


@dataclass(frozen=True)
class _Look:
    """What is there at one moment."""

    rows: comparison.Content
    objects: comparison.Content
    exports: dict[str, str]


def tell(stage: Stage) -> str:
    """Tell the story."""
    step_of = stage.rehearsal.step
    with step_of("set-up") as step:
        stage.set_up(step)
    print("\n  A crontab would hold:\n" + "".join(f"    {line}\n" for line in stage.crontab), flush=True)

    with step_of("the restore, rehearsed on the server") as step:
        _rehearse(stage, step)
    with step_of("a pilot passes a checkout; a tick") as step:
        stage.application.manage("change")
        stage.saving_tick(step)
    with step_of("a tick with nothing new") as step:
        _idle_tick(stage, step)
    with step_of("a weight is corrected; a tick") as step:
        stage.sql("UPDATE checkouts_pilotweight SET weight = weight + 1 WHERE id = 7")
        stage.saving_tick(step)

    stage.application.shell("from checkouts import util; util.export_pilotweights()")
    before = _look(stage)
    with step_of("disaster") as step:
        _destroy(stage, step)
    with step_of("restore from SQL") as step:
        stage.play("restore.yml", "-e", "source=sql")
        after = _look(stage)
        _equal(before.rows, after.rows)
        _equal_exports(before, after)
        step.what = f"{len(after.rows.tables)} tables, {after.rows.rows:,} rows are back"
        step.proof = "row count and SHA-256 of every table as before"

    with step_of("disaster again") as step:
        _destroy(stage, step)
    with step_of("restore from fixtures") as step:
        stage.play("restore.yml", "-e", "source=fixtures")
        after = _look(stage)
        _equal(before.objects, after.objects)
        _equal_exports(before, after)
        if behind := comparison.sequences_behind(stage.url):
            raise StepError(f"the next key exists already in {', '.join(behind)}")
        step.what = f"{after.objects.rows:,} objects of {len(after.objects.tables)} kinds are back"
        step.proof = "count and SHA-256 of each kind as before, sequences ahead"
    return "Everything came back."


def _rehearse(stage: Stage, step: Step) -> None:
    """What set-up has done already: a restore in a throwaway PostgreSQL, without any key."""
    said = [line for line in stage.set_up_said if line.startswith("REHEARSED")]
    if len(said) != 1:
        raise StepError("set-up did not say REHEARSED")
    step.what = "SQL and fixtures restored into a throwaway PostgreSQL"
    step.proof = "both as the manifest says, and equal to each other"


def _idle_tick(stage: Stage, step: Step) -> None:
    """A tick that must not even ask the store."""
    before, requests = stage.keys(), stage.requests()
    stage.tick()
    asked = stage.requests() - requests
    if asked or stage.keys() != before:
        raise StepError(f"the store got {asked} requests, and holds {stage.keys()} instead of {before}")
    step.what = "nothing saved, nothing sent"
    step.proof = "exit status 0; the store counted 0 requests"


def _destroy(stage: Stage, step: Step) -> None:
    """Drop all tables, and remove what is made from them."""
    tables = list(comparison.rows(stage.url).tables)
    stage.sql(sql.SQL("DROP TABLE {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, tables))))
    for file in stage.application.exports.iterdir():
        file.unlink()
    if left := comparison.rows(stage.url).tables:
        raise StepError(f"still there: {', '.join(left)}")
    step.what = f"{len(tables)} tables dropped"
    step.proof = "no table is left"


def _look(stage: Stage) -> _Look:
    exports = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in stage.application.exports.iterdir()}
    return _Look(comparison.rows(stage.url), comparison.objects(stage.url), exports)


def _equal(before: comparison.Content, after: comparison.Content) -> None:
    if differences := before.differences(after):
        raise StepError("what came back differs: " + "; ".join(differences))


def _equal_exports(before: _Look, after: _Look) -> None:
    """The files that the post-restore command makes anew."""
    if before.exports != after.exports:
        raise StepError(f"the exported pilot weights are {after.exports} instead of {before.exports}")


if __name__ == "__main__":
    sys.exit(perform("demo", tell))
