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
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DatabaseError, NameNotFoundError
from ..system.accounts import Account, ourselves
from ..system.processes import Listener, answer
from .dsn import Dsn
from .dump_text import loadable
from .extensions import closed_tables
from .preflight import may_become
from .programs import client_program, start
from .session import connect, fetch_one, is_name_not_found, server_major

if TYPE_CHECKING:
    from .session import Connection

# Safe in a database that nobody uses yet: a crash during the load leaves a database that is dropped anyway.
_OPTIONS = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"
_OPTIONS += " -c default_transaction_read_only=off"  # which a role may have on
_KNOWS_TIMEOUT = 17
"""The first major version of PostgreSQL that has the setting `transaction_timeout`."""
# No process, no file that grows, no core dump. The kernel does not count root's processes: root loads nothing.
_POWERLESS = ("prlimit", "--nproc=0:0", "--fsize=0:0", "--core=0:0", "--")

_FORBIDDEN = "42501"
# With VERBOSITY=verbose psql says the SQLSTATE before the message, which may be in any language.
_STATE = re.compile(r"^(.*?\S: +)([0-9A-Z]{5}): ")
_HARMLESS = ("00", "01", "02")
_SIGNATURE = re.compile(r"[\w.]+\([\w ,.\[\]]*\)|(?<=[\"»„«])[\w.]+(?=[\"«“»])")
"""A function in the words about where an error was met."""
_FIELD = re.compile(r"^[^\s:]+:  ", re.MULTILINE)
_LOCKS_FOR_A_TABLE = 6
_LOCKS = """
SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int4
    * (pg_catalog.current_setting('max_connections')::pg_catalog.int4
       + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4)
"""


def fits_one_transaction(connection: Connection, tables: int, large_objects: int) -> bool:
    """Given numbers of a dump, return whether the server can hold the locks of a load in one transaction."""
    needed = tables * _LOCKS_FOR_A_TABLE + large_objects
    return bool(needed < fetch_one(connection, _LOCKS)[0] * 0.75)


def load_sql(
    dsn: Dsn,
    chunks: Iterable[bytes],
    schemas: Collection[str] = (),
    account: Account | None = None,
    *,
    search_path: str = "",
    one_transaction: bool = False,
) -> None:
    """Given a new database, as its owner, and a plain dump piece by piece, load it; stop at the first error.

    :param schemas: names of schemas that an administrator has made already
    :param account: who runs `psql`, if not ourselves
    :param search_path: a search path to load with, instead of the empty one that the dump sets
    :param one_transaction: whether an error is to leave nothing behind
    :raises NameNotFoundError: in one transaction, a name was not found; perhaps it is with another search path
    :raises DatabaseError: a statement failed, or `psql`
    :raises ArchiveError: the dump is not complete
    """
    program = client_program("psql")
    _check_restricts(program)
    with connect(dsn) as connection:
        roles, knows_timeout = may_become(connection), server_major(connection) >= _KNOWS_TIMEOUT
        closed = closed_tables(connection)
    variables = ("-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose")
    command = [*_POWERLESS, str(program), "-X", "-q", "-w", *variables, "-o", "/dev/null"]
    environment = dsn.environment()
    environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} {_OPTIONS}".lstrip()  # of two, the last one counts
    with start(
        command, env=environment, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        **(account or ourselves()).options(),
    ) as psql:  # fmt: skip
        assert psql.stdin  # noqa: S101 - for the type checker: it is a pipe
        said = Listener(psql.stderr)
        try:
            psql.stdin.write(f"\\restrict {secrets.token_hex(32)}\n".encode())
            if one_transaction:
                psql.stdin.write(b"BEGIN;\n")
            for chunk in loadable(
                chunks,
                schemas,
                roles,
                transaction_timeout=knows_timeout,
                search_path=search_path,
                closed=closed,
                one_transaction=one_transaction,
            ):
                psql.stdin.write(chunk)
            if one_transaction:
                psql.stdin.write(b"COMMIT;\n")
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
    if psql.returncode != 0:
        error, state = _failed(dsn, psql.returncode, said.text(), search_path)
        if one_transaction and is_name_not_found(state):
            raise NameNotFoundError(error.message, error.hint)
        raise error


def _failed(dsn: Dsn, status: int, noise: str, search_path: str) -> tuple[DatabaseError, str]:
    """Return the error, and its SQLSTATE."""
    lines = [line for line in noise.splitlines() if line.strip()]
    found = [(match, line) for line in lines if (match := _STATE.match(line)) and match[2][:2] not in _HARMLESS]
    state = found[0][0][2] if found else ""
    errors = [match[1] + line[match.end() :] for match, line in found]
    errors = errors or [line for line in lines if "FATAL" in line or "error:" in line] or lines
    words = "; ".join(errors)[:600] or f"psql ended with {status}"
    hint = "the running database is unchanged; what the new server or role lacks must be there first"
    if is_name_not_found(state):
        hint = (
            "the running database is unchanged; a function names something without its schema, or what it names is not"
            " in the dump; in the application's database, as the function's owner, run: ALTER FUNCTION"
            f" {_function(noise)} SET search_path = {search_path or 'public'}; and save again"
        )
    if state == _FORBIDDEN:
        hint = (
            "the running database is unchanged; the dump asks for what the application's role may not do: give it what"
            " is in the database (ALTER ... OWNER TO) and save again, or restore this archive with source=fixtures"
        )
    if "backslash commands are restricted" in noise or "\\unrestrict" in noise:
        hint = "the SQL holds commands of psql, which pg_dump does not write: the archive may be hostile; take another"
    elif "No space left on device" in noise:
        hint = "the running database is unchanged; free some space on the database server"
    return DatabaseError(f"loading the SQL into {dsn} failed: {words}", hint), state


def _function(noise: str) -> str:
    """Given the words about an error, return the function in which it was met, as far as they tell.

    Where it was met is the last field but one: the last is the place in PostgreSQL's source.
    """
    fields = [field.start() for field in _FIELD.finditer(noise)]
    context = noise[fields[-2] : fields[-1]] if len(fields) > 1 else ""
    return next(iter(_SIGNATURE.findall(context)), "FUNCTION")


def _check_restricts(program: Path) -> None:
    """Make sure that this psql knows `\\restrict`.

    :raises DatabaseError: it is older than August 2025
    """
    if "\\restrict" not in answer([program, "--help=commands"]).stdout:
        raise DatabaseError(
            f"{program} cannot keep an archive from running commands on this machine",
            "bring it up to a release of August 2025 or later: apt-get install --only-upgrade postgresql-client-NN",
        )
