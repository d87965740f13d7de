"""A stage for the demos: all parts made, the playbooks at hand, and nothing of it left when the curtain falls."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from checkniner_backups.storage.policy import policy

from . import descendants, guard
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


def perform(name: str, story: Callable[[Stage], str]) -> int:
    """Given a name for the log and a story, tell it on a fresh stage; return the exit status.

    :param story: returns what is said after the table
    :return: 0 when every step was proven, 1 when one was not, 128 and more when a signal stopped it
    """
    os.umask(0o077)
    rehearsal = Rehearsal(ROOT / ".demo" / f"{name}.log", f".demo/{name}.log")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    descendants.adopt_orphans()
    print(f"What the playbooks say goes to {rehearsal.shown_as}\n", flush=True)
    try:
        folder = guard.make_folder("cn-demo")
        try:
            with _furnished(rehearsal, folder) as stage:
                end = story(stage)
        finally:
            descendants.kill(spared=guard.watchers())
            guard.remove_folder(folder)
    except StoppedError as stopped:
        print(f"\nstopped by {stopped}: nothing is left running, and the temporary folders are removed", flush=True)
        return 128 + stopped.number
    except StepError:
        return 1  # the step has told all
    rehearsal.show_table()
    print(f"\n{end} All that the playbooks said is in {rehearsal.shown_as}", flush=True)
    return 0


@dataclass
class Stage:
    """All parts, and what one does with them. `tick` is the crontab's command, once `set_up` has learned it."""

    rehearsal: Rehearsal
    cluster: Cluster
    store: ObjectStore
    application: Application
    control: Control
    crontab: list[str] = field(default_factory=list)
    set_up_said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The superuser's URL of the live database."""
        return self.cluster.admin_url(DATABASE)

    def set_up(self, step: Step) -> None:
        """Run the playbook that sets the backups up, and learn what the crontab would hold."""
        self.set_up_said = said = strings(self.play("setup-backups.yml"))
        self.crontab = [line for line in said if " --environment " in line]
        if len(self.crontab) != 2 or not any(line.startswith("PROVEN") for line in said):
            raise StepError("the play did not say PROVEN, or not what the crontab would hold")
        (key,) = self.keys()
        step.what = f"installed; saved {key}"
        step.proof = "the private key opened it, every member as the manifest says"

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

    def tick(self) -> str:
        """Run the crontab's first command as cron does; return what it wrote into the server's log."""
        command = self.crontab[0].split(maxsplit=5)[5].replace("\\%", "%")  # as cron hands it to the shell
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

    def saving_tick(self, step: Step) -> None:
        """Run a tick that must save."""
        before = self.keys()
        self.tick()
        after = self.keys()
        if len(after) != len(before) + 1 or after[:-1] != before:
            raise StepError(f"the bucket held {before}, and then {after}")
        step.what = f"saved {after[-1]}"
        step.proof = f"exit status 0; the bucket holds {len(after)} archives, one more"

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


def strings(output: str) -> list[str]:
    """Given what `ansible-playbook` printed, return the texts of its `debug` tasks."""
    return [json.loads(text) for text in re.findall(r'^\s+(?:"msg": )?("(?:[^"\\]|\\.)*"),?$', output, re.MULTILINE)]


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # once is enough: what follows is the tidying
    raise StoppedError(number)


@contextmanager
def _furnished(rehearsal: Rehearsal, folder: Path) -> Iterator[Stage]:
    with contextlib.ExitStack() as parts:
        with rehearsal.step("a throwaway PostgreSQL"):
            cluster = parts.enter_context(Cluster())
            cluster.create_role(DATABASE, password := f"-{secrets.token_urlsafe(16)}")
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
            "checkniner_backups_rehearsal": "full",
            "checkniner_backups_drill_application_path": str(application.path),
            "checkniner_backups_drill_virtualenv": str(application.virtualenv),
            "checkniner_backups_s3_access_key": identity.access_key,  # with the rights that we recommend, and no other
            "checkniner_backups_s3_secret_key": identity.secret_key,
        }
        control = Control(folder, application, store, BUCKET, keyring, key, cluster.admin_url(), variables)
        try:
            print(flush=True)
            yield Stage(rehearsal, cluster, store, application, control)
        except BaseException:
            # Whatever still works on these parts ends before they do.
            descendants.kill(spared=[*guard.watchers(), cluster.process_id or 0, store.pid])
            raise
