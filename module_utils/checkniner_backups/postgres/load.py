"""Loading a plain dump into a new database, as its owner, through `psql`.

Whatever the dump says is stopped by privilege, in three layers:

* `psql` runs as the application's system user, over a connection that is authenticated as the application's role.
  `SET ROLE` from a superuser would be no boundary: one `RESET ROLE` undoes it.
* `\\restrict` with a key that nobody knows turns off psql's own commands: no `\\connect` to the live database, no
  `\\!`, no `\\copy` of this machine's files. The dump's own pair of these lines is left out: they do not nest.
* That is not enough: psql still runs what stands between backquotes behind `\\unrestrict`. So the kernel lets this
  psql start no process and write no file.

What is left is what the application's role may do by SQL in the new database, and with itself and the databases that
it owns: `ALTER ROLE ... PASSWORD`, `DROP DATABASE`.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import subprocess
import threading
from collections.abc import Collection, Iterable
from pathlib import Path

from ..errors import DatabaseError
from ..system.accounts import Account, ourselves
from .dsn import Dsn, client_program
from .dump_text import loadable
from .fitness import may_become
from .session import connect, server_major

# Safe in a database that nobody uses yet: a crash during the load leaves a database that is dropped anyway.
_OPTIONS = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"
_KNOWS_TIMEOUT = 17
"""The first major version of PostgreSQL that has the setting `transaction_timeout`."""
# No process, no file that grows, no core dump. The kernel does not count root's processes: root loads nothing.
_POWERLESS = ("prlimit", "--nproc=0:0", "--fsize=0:0", "--core=0:0", "--")

_FORBIDDEN = re.compile(r"ERROR: +(must |permission denied)")


def load_sql(dsn: Dsn, chunks: Iterable[bytes], schemas: Collection[str] = (), account: Account | None = None) -> None:
    """Given a new database, as its owner, and a plain dump piece by piece, load it; stop at the first error.

    :param schemas: names of schemas that an administrator has made already
    :param account: who runs `psql`, if not ourselves
    :raises DatabaseError: a statement failed, or `psql`
    :raises ArchiveError: the dump is not complete
    """
    program = client_program("psql")
    _check_restricts(program)
    with connect(dsn) as connection:
        roles, knows_timeout = may_become(connection), server_major(connection) >= _KNOWS_TIMEOUT
    command = [*_POWERLESS, str(program), "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]
    environment = dsn.environment()
    environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} {_OPTIONS}".lstrip()  # of two, the last one counts
    noise: list[bytes] = []
    with subprocess.Popen(
        command, env=environment, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        **(account or ourselves()).options(),
    ) as psql:  # fmt: skip
        assert psql.stdin  # noqa: S101 - for the type checker: they are pipes
        assert psql.stderr  # noqa: S101
        stderr = psql.stderr
        listener = threading.Thread(target=lambda: noise.extend(iter(lambda: stderr.read1(4096), b"")))  # type: ignore[attr-defined]
        listener.start()
        try:
            psql.stdin.write(f"\\restrict {secrets.token_hex(32)}\n".encode())
            for chunk in loadable(chunks, schemas, roles, transaction_timeout=knows_timeout):
                psql.stdin.write(chunk)
            psql.stdin.close()
        except BrokenPipeError:
            # psql stopped at an error: its own words tell more.
            with contextlib.suppress(BrokenPipeError):
                psql.stdin.close()
        except BaseException:
            psql.kill()
            with contextlib.suppress(BrokenPipeError):
                psql.stdin.close()
            raise
        psql.wait()
        listener.join()
    if psql.returncode != 0:
        raise _failed(dsn, psql.returncode, b"".join(noise).decode(errors="replace"))


def _failed(dsn: Dsn, status: int, noise: str) -> DatabaseError:
    lines = [line for line in noise.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "error:" in line] or lines
    words = "; ".join(errors)[:600] or f"psql ended with {status}"
    hint = "the running database is unchanged; what the new server or role lacks must be there first"
    if _FORBIDDEN.search(noise):
        hint = (
            "the running database is unchanged; the dump asks for what the application's role may not do: give it what"
            " is in the database (ALTER ... OWNER TO) and save again, or restore this archive with source=fixtures"
        )
    if "backslash commands are restricted" in noise or "\\unrestrict" in noise:
        hint = "the SQL holds commands of psql, which pg_dump does not write: the archive may be hostile; take another"
    elif "No space left on device" in noise:
        hint = "the running database is unchanged; free some space on the database server"
    return DatabaseError(f"loading the SQL into {dsn} failed: {words}", hint)


def _check_restricts(program: Path) -> None:
    """Make sure that this psql knows `\\restrict`.

    :raises DatabaseError: it is older than August 2025
    """
    done = subprocess.run([program, "--help=commands"], capture_output=True, text=True, check=False)
    if "\\restrict" not in done.stdout:
        raise DatabaseError(
            f"{program} cannot keep an archive from running commands on this machine",
            "bring it up to a release of August 2025 or later: apt-get install --only-upgrade postgresql-client-NN",
        )
