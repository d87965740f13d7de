"""A hot standby of a throwaway cluster, which follows it by streaming."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .postgres import Cluster, ClusterError


@contextmanager
def standby_of(primary: Cluster, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Given a running cluster, yield a standby of it on a port of its own; it is gone at the end.

    :param settings: lines of postgresql.conf, over those of the primary
    :raises ClusterError: it cannot be copied, or does not start
    """
    made = Cluster()
    made.password = primary.password
    made.folder = primary.folder.with_name(primary.folder.name + "-standby")
    made.folder.mkdir(mode=0o700)
    try:
        made.account.own(made.folder)
        argv = [made.binaries / "pg_basebackup", "-D", made.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"]
        done = made.account.run([*argv, primary.admin_url()], folder=made.folder, check=False)
        if done.returncode:
            raise ClusterError(f"pg_basebackup failed: {done.stderr.strip()}")
        configuration = made.data / "postgresql.conf"
        lines = [f"{name} = '{value}'\n" for name, value in (settings or {}).items()]
        text = configuration.read_text().replace(str(primary.folder), str(made.folder))
        configuration.write_text(text + "".join(lines))
        made.start()
        yield made
    finally:
        made.stop("immediate")
        shutil.rmtree(made.folder)


def wait_for_replay(primary: Cluster, standby: Cluster, patience: float = 30.0) -> None:
    """Return when the standby shows all that the primary has committed until now.

    :raises ClusterError: it does not within `patience` seconds
    """
    ((position,),) = primary.execute("SELECT pg_current_wal_flush_lsn()::text")
    deadline = time.monotonic() + patience
    while not standby.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (position,))[0][0]:
        if time.monotonic() > deadline:
            raise ClusterError(f"the standby does not catch up:\n{standby.log[-3000:]}")
        time.sleep(0.02)
