"""Loading a plain dump into a new database, as its owner, through `psql`.

Whatever the dump says is stopped by privilege: `psql` runs as the application's system user, over a connection that is
authenticated as the application's role. `SET ROLE` from a superuser would be no boundary: one `RESET ROLE` undoes it.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterable

from ..errors import DatabaseError
from .dsn import Dsn, client_program

# Safe in a database that nobody uses yet: a crash during the load leaves a database that is dropped anyway.
_OPTIONS = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"

# An extension that an administrator made belongs to the administrator, and so do its comments.
_NOT_OURS = re.compile(rb"^COMMENT ON EXTENSION .*;\n", re.MULTILINE)


def load_sql(dsn: Dsn, chunks: Iterable[bytes]) -> None:
    """Given a new database, as its owner, and a plain dump piece by piece, load it; stop at the first error.

    :raises DatabaseError: a statement failed, or `psql`
    """
    command = [str(client_program("psql")), "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]
    environment = {**dsn.environment(), "PGOPTIONS": _OPTIONS, "PGAPPNAME": "checkniner-backups"}
    noise: list[bytes] = []
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as psql:
        assert psql.stdin  # noqa: S101 - for the type checker: they are pipes
        assert psql.stderr  # noqa: S101
        stderr = psql.stderr
        listener = threading.Thread(target=lambda: noise.extend(iter(lambda: stderr.read1(4096), b"")))  # type: ignore[attr-defined]
        listener.start()
        try:
            for chunk in without_foreign_comments(chunks):
                psql.stdin.write(chunk)
            psql.stdin.close()
        except BrokenPipeError:
            pass  # psql stopped at an error: its own words tell more
        except BaseException:
            psql.kill()
            raise
        psql.wait()
        listener.join()
    lines = [line for line in b"".join(noise).decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "error:" in line] or lines
    if psql.returncode != 0:
        raise DatabaseError(
            f"loading the SQL into {dsn} failed: {'; '.join(errors)[:600] or f'psql ended with {psql.returncode}'}",
            "the running database is unchanged; what the new server or role lacks must be there first",
        )


def without_foreign_comments(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """Given a dump piece by piece, leave out the comments on extensions: they stand before the first COPY.

    Behind it lies data, which is never looked at.
    """
    head = b""
    pieces = iter(chunks)
    for chunk in pieces:
        head += chunk
        if b"\nCOPY " in head or len(head) > 1 << 24:
            break
    start, copy, data = head.partition(b"\nCOPY ")
    yield _NOT_OURS.sub(b"", start + b"\n")[:-1] if copy else _NOT_OURS.sub(b"", start)
    yield copy + data
    yield from pieces
