"""The whole story on real parts, in about a minute: set up, save, leave alone, lose everything, get it back, twice.

A PostgreSQL cluster, an S3 server, a key pair and the example application are made for it and removed at the end. The
playbooks are those that a server gets. What was lost and came back is counted and hashed here, not by the engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from checkniner_backups.store_policy import policy
from psycopg import sql

from . import comparison, descendants, guard
from .application import Application
from .control import Control
from .keys import Keyring
from .object_store import ObjectStore
from .postgres import Cluster
from .steps import Rehearsal, Step, StepError
from .virtualenv import ROOT, find_interpreter

BUCKET = "checkniner.backups"  # the dot is on purpose: such names must work
CHECKOUTS = 3000
DATABASE = "checkniner"
_REQUESTS = re.compile(r"^SeaweedFS_s3_request_total\{.*\} (\S+)$", re.MULTILINE)


class StoppedError(BaseException):
    """A signal asks us to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def main() -> int:
    """Run the demo; return 0 when every step was proven, 1 when one was not, 128 and more when it was stopped."""
    os.umask(0o077)
    rehearsal = Rehearsal(ROOT / ".demo" / "demo.log", ".demo/demo.log")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    descendants.adopt_orphans()
    try:
        folder = guard.make_folder("cn-demo")
        try:
            _run(rehearsal, folder)
        finally:
            descendants.kill(spared=guard.watchers())
            guard.remove_folder(folder)
    except StoppedError as stopped:
        print(f"\nstopped by {stopped}: nothing is left running, and the temporary folders are removed", flush=True)
        return 128 + stopped.number
    except StepError:
        return 1  # the step has told all
    rehearsal.show_table()
    print(f"\nEverything came back. All that the playbooks said is in {rehearsal.shown_as}", flush=True)
    return 0


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # once is enough: what follows is the tidying
    raise StoppedError(number)


def _run(rehearsal: Rehearsal, folder: Path) -> None:
    print(f"The demo. What the playbooks say goes to {rehearsal.shown_as}\n", flush=True)
    with contextlib.ExitStack() as parts:
        with rehearsal.step("a throwaway PostgreSQL"):
            cluster = parts.enter_context(Cluster())
            cluster.create_role(DATABASE, password := secrets.token_urlsafe(16))
            cluster.create_database(DATABASE, DATABASE)
        with rehearsal.step("a throwaway S3 server, with a versioned bucket"):
            policies = {"backups": policy(BUCKET)}
            store = parts.enter_context(ObjectStore(guard.make_folder("cn-s3"), policies=policies))
            store.create_bucket(BUCKET)
            store.client().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        with rehearsal.step("a GPG key pair"):
            keyring = parts.enter_context(Keyring())
            key = keyring.generate("Demo Operator")
        with rehearsal.step(f"the example application, {CHECKOUTS:,} checkouts"):
            application = parts.enter_context(Application(cluster.url(DATABASE, DATABASE, password)))
            application.fill(CHECKOUTS)
        identity, python = store.identities["backups"], str(find_interpreter(application.owner))
        variables = {
            "ansible_python_interpreter": python,
            "checkniner_backups_python": python,
            "checkniner_backups_s3_access_key": identity.access_key,  # with the rights that we recommend, and no other
            "checkniner_backups_s3_secret_key": identity.secret_key,
        }
        control = Control(folder, application, store, BUCKET, keyring, key, cluster.admin_url(), variables)
        try:
            _Story(rehearsal, cluster, store, application, control).tell()
        except BaseException:
            # Whatever still works on these parts ends before they do.
            descendants.kill(spared=[*guard.watchers(), cluster.process_id or 0, store.pid])
            raise


@dataclass
class _Story:
    rehearsal: Rehearsal
    cluster: Cluster
    store: ObjectStore
    application: Application
    control: Control

    def tell(self) -> None:
        print(flush=True)
        with self.rehearsal.step("set-up") as step:
            said = self.play("setup-backups.yml")
            lines = [line for line in _strings(said) if " --environment " in line]
            proof = next((line for line in _strings(said) if line.startswith("PROVEN")), "")
            if not proof or len(lines) != 2:
                raise StepError("the play did not say PROVEN, or not what the crontab would hold")
            (key,) = self.keys()
            step.what = f"installed; saved {key}"
            step.proof = "the private key opened it, every member as the manifest says"
        print("\n  A crontab would hold:\n" + "".join(f"    {line}\n" for line in lines), flush=True)
        tick = _command(lines[0])

        with self.rehearsal.step("a pilot passes a checkout; a tick") as step:
            self.application.manage("change")
            self.saves(step, tick)
        with self.rehearsal.step("a tick with nothing new") as step:
            self.sends_nothing(step, tick)
        with self.rehearsal.step("a weight is corrected; a tick") as step:
            self.sql("UPDATE checkouts_pilotweight SET weight = weight + 1 WHERE id = 7")
            self.saves(step, tick)

        self.application.shell("from checkouts import util; util.export_pilotweights()")
        before = self.look()
        with self.rehearsal.step("disaster") as step:
            self.destroy(step)
        with self.rehearsal.step("restore from SQL") as step:
            self.play("restore.yml", "-e", "source=sql")
            after = self.look()
            _equal(before.rows, after.rows)
            _equal_exports(before, after)
            count = len(after.rows.tables)
            step.what = f"{count} tables, {after.rows.rows:,} rows are back"
            step.proof = "row count and SHA-256 of every table as before"

        with self.rehearsal.step("disaster again") as step:
            self.destroy(step)
        with self.rehearsal.step("restore from fixtures") as step:
            self.play("restore.yml", "-e", "source=fixtures")
            after = self.look()
            _equal(before.objects, after.objects)
            _equal_exports(before, after)
            if behind := comparison.sequences_behind(self.url):
                raise StepError(f"the next key exists already in {', '.join(behind)}")
            count = len(after.objects.tables)
            step.what = f"{after.objects.rows:,} objects of {count} kinds are back"
            step.proof = "count and SHA-256 of each kind as before, sequences ahead"

    @property
    def url(self) -> str:
        return self.cluster.admin_url(DATABASE)

    def play(self, playbook: str, *options: str) -> str:
        """Run a playbook; return what it printed, which also goes to the log."""
        log = self.rehearsal.log_path
        start = log.stat().st_size
        with log.open("ab") as output:
            # What Ansible is killed over must not stay: this folder goes with the application's.
            temporary = {"TMPDIR": str(self.application.folder / "ansible")}
            invocation = self.control.invocation(playbook, *options, environment=temporary)
            status = subprocess.run(
                **invocation, stdout=output, stderr=output, start_new_session=True, timeout=900, check=False
            ).returncode
        if status:
            raise StepError(f"ansible-playbook {playbook} ended with status {status}")
        with log.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def tick(self, command: str) -> str:
        """Run a crontab's command as cron does; return what it wrote into the server's log."""
        log = Path(self.control.variables["checkniner_backups_log_path"]) / "checkniner.log"
        start = log.stat().st_size
        owner = self.application.owner
        bare = {
            "HOME": str(self.application.folder),
            "LOGNAME": owner.name,
            "SHELL": "/bin/sh",
            "PATH": "/usr/bin:/bin",
        }
        self.rehearsal.note(f"$ {command}\n")
        status = owner.run(
            ["/bin/sh", "-c", command], environment=bare, folder=self.application.folder, check=False
        ).returncode
        said = log.read_bytes()[start:].decode(errors="replace")
        self.rehearsal.note(said)
        if status:
            raise StepError(f"the tick ended with status {status}")
        return said

    def saves(self, step: Step, command: str) -> None:
        """Run a tick that must save."""
        before = self.keys()
        self.tick(command)
        after = self.keys()
        if len(after) != len(before) + 1 or after[:-1] != before:
            raise StepError(f"the bucket held {before}, and then {after}")
        step.what = f"saved {after[-1]}"
        step.proof = f"exit status 0; the bucket holds {len(after)} archives, one more"

    def sends_nothing(self, step: Step, command: str) -> None:
        """Run a tick that must not even ask the store."""
        before, requests = self.keys(), self.requests()
        self.tick(command)
        asked = self.requests() - requests
        if asked or self.keys() != before:
            raise StepError(f"the store got {asked} requests, and holds {self.keys()} instead of {before}")
        step.what = "nothing saved, nothing sent"
        step.proof = "exit status 0; the store counted 0 requests"

    def destroy(self, step: Step) -> None:
        """Drop all tables, and remove what is made from them."""
        tables = list(comparison.rows(self.url).tables)
        self.sql(sql.SQL("DROP TABLE {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, tables))))
        for file in self.application.exports.iterdir():
            file.unlink()
        if left := comparison.rows(self.url).tables:
            raise StepError(f"still there: {', '.join(left)}")
        step.what = f"{len(tables)} tables dropped"
        step.proof = "no table is left"

    def look(self) -> _Look:
        """Return what is there now."""
        return _Look(comparison.rows(self.url), comparison.objects(self.url), self.exports())

    def exports(self) -> dict[str, str]:
        """The digests of the files that are made from the data."""
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in self.application.exports.iterdir()}

    def sql(self, statement: Any) -> None:
        """Run a statement in the application's database."""
        self.cluster.execute(statement, database=DATABASE)

    def keys(self) -> list[str]:
        """The keys in the bucket, sorted."""
        found = self.store.client().list_objects_v2(Bucket=BUCKET, Prefix="db/2")
        return sorted(entry["Key"] for entry in found.get("Contents", ()))

    def requests(self) -> int:
        """How many requests the store has got so far, of every kind."""
        with urllib.request.urlopen(self.store.metrics_url, timeout=30) as answer:
            return sum(int(float(count)) for count in _REQUESTS.findall(answer.read().decode()))


@dataclass(frozen=True)
class _Look:
    rows: comparison.Content
    objects: comparison.Content
    exports: dict[str, str]


def _equal(before: comparison.Content, after: comparison.Content) -> None:
    if differences := before.differences(after):
        raise StepError("what came back differs: " + "; ".join(differences))


def _equal_exports(before: _Look, after: _Look) -> None:
    """The files that the post-restore command makes anew."""
    if before.exports != after.exports:
        raise StepError(f"the exported pilot weights are {after.exports} instead of {before.exports}")


def _strings(output: str) -> list[str]:
    """Given what `ansible-playbook` printed, return the texts of its `debug` tasks."""
    return [json.loads(text) for text in re.findall(r'^\s+(?:"msg": )?("(?:[^"\\]|\\.)*"),?$', output, re.MULTILINE)]


def _command(line: str) -> str:
    """Given a crontab's line, return what cron hands to the shell."""
    return line.split(maxsplit=5)[5].replace("\\%", "%")


if __name__ == "__main__":
    sys.exit(main())
