"""Bringing data back: ours, and the two ways that need nothing of ours."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from checkniner_backups.openpgp.keyring import session_key

from .backups import repetitions
from .meter import Measure, Summary
from .site import Site

log = logging.getLogger(__name__)

OURS_SQL, PSQL, OURS_FIXTURES, LOADDATA = "ours_sql", "psql", "ours_fixtures", "loaddata"
LOADDATA_LIMIT = 10_000
"""Rows up to which `loaddata` is measured: it is slow, and in proportion to the rows."""
_numbers = count()


@dataclass(frozen=True)
class _Restores:
    """The newest archive of a site, once as it is, once decrypted and taken apart."""

    site: Site
    archive: Path
    session_key: str
    plain: Path

    def ours(self, how: str) -> Measure:
        """Create a database, load, prove, swap; the replaced database is dropped afterwards, by us."""
        site, machine = self.site, self.site.machine
        argv: list[str | Path] = [machine.command.with_name("python"), machine.ways / "restore.py"]
        argv += [site.server.environment_file, self.archive, how]
        environment = {"SESSION_KEY": self.session_key, "ADMIN_URL": machine.cluster.admin_url()}
        return self._measured(argv, environment, "swapped")

    def by_script(self, name: str) -> Measure:
        """Run a shell script that makes and fills a database of its own."""
        site, machine = self.site, self.site.machine
        new = f"{site.database}_new_{next(_numbers)}"
        environment = {
            **site.environment,
            **site.application.environment,
            "DATABASE_URL": machine.cluster.url(new, site.environment["PGUSER"], machine.password),
            "ADMIN_PASSWORD": machine.cluster.password,
            "NEW": new,
            "FOLDER": str(self.plain),
            "SQL": f"{site.database}.sql",
        }
        return self._measured([machine.ways / name], environment, "restored")

    def _measured(self, argv: list[str | Path], environment: dict[str, str], word: str) -> Measure:
        site, machine = self.site, self.site.machine
        found = machine.meter.run(argv, machine.owner, environment, site.scratch, lambda output: word in output)
        query = "SELECT datname FROM pg_database WHERE datname LIKE %s"
        for (name,) in machine.cluster.execute(query, (f"{site.database}\\_%",)):
            machine.cluster.drop_database(name)
        return found


def measure(site: Site, without: set[str]) -> dict[str, Summary]:
    """Given a site whose data were just backed up, return what each way to restore them costs."""
    site.server.tick()
    archive = (site.server.state_path / "archives" / "latest.tar.gz.gpg").resolve()
    plain = site.scratch / "plain"
    _unpack(site, archive, plain)
    restores = _Restores(site, archive, session_key(archive, site.machine.keyring.home), plain)
    every: dict[str, Callable[[], Measure]] = {
        OURS_SQL: lambda: restores.ours("sql"),
        PSQL: lambda: restores.by_script("psql.sh"),
        OURS_FIXTURES: lambda: restores.ours("fixtures"),
    }
    if site.rows <= LOADDATA_LIMIT:
        every[LOADDATA] = lambda: restores.by_script("loaddata.sh")
    every = {name: run for name, run in every.items() if name not in without}
    first = {name: _logged(site, name, run) for name, run in every.items()}
    wanted = {name: repetitions(each.wall) for name, each in first.items()}
    runs: dict[str, list[Measure]] = {name: [] for name in every}
    for number in range(max(wanted.values(), default=0)):
        for name, run in every.items():
            if number < wanted[name]:
                runs[name].append(_logged(site, name, run))
    return {name: Summary(tuple(found) or (first[name],)) for name, found in runs.items()}


def _unpack(site: Site, archive: Path, target: Path) -> None:
    """As README.md tells how to do by hand: gpg, then tar."""
    target.mkdir()
    gpg = ["gpg", "--homedir", str(site.machine.keyring.home), "--batch", "--quiet", "--decrypt", str(archive)]
    with subprocess.Popen(gpg, stdout=subprocess.PIPE) as decrypting:
        subprocess.run(["tar", "-xzf", "-", "-C", str(target)], stdin=decrypting.stdout, check=True)
    if decrypting.returncode:
        raise RuntimeError(f"gpg ended with {decrypting.returncode}")
    site.machine.owner.own(target)


def _logged(site: Site, name: str, run: Callable[[], Measure]) -> Measure:
    result = run()
    log.info(
        "%9d rows  restore  %-13s wall %7.2f s  cpu %7.2f s  server %6.2f s  %5.0f MiB",
        site.rows, name, result.wall, result.cpu, result.server_cpu, result.peak_mib,
    )  # fmt: skip
    return result
