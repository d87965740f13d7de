"""The door for cron and for hands: `checkniner-backups`.

Exit status: 0 for done or nothing to do; every error has its own, listed by `--help` (see errors.py).
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from .. import __version__
from ..errors import BackupsError, DiskError, exit_statuses, printable
from ..settings import Settings, from_environment
from ..system.environment_file import read_environment_file
from . import commands, scheduled, status
from . import restore as commands_restore

log = logging.getLogger(__name__)

Run = Callable[[Settings, argparse.Namespace], int | None]

_LONGEST_RUN = 6 * 3600
"""Seconds after which a scheduled run is stopped, whatever it waits for: the ones after it must not wait for ever."""

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""Numbers of the system's errors that mean a lack of files, memory or processes."""
_STATUSES = {
    0: "saved, or nothing to do",
    2: "the command line is wrong",
    status.NOT_WELL: "status: something is wrong",
    **exit_statuses(),
}


def _listed(statuses: Mapping[int, str]) -> str:
    """Given exit statuses with their meanings, return the end of a help that lists them."""
    lines = [f"  {number:<3} {meaning}" for number, meaning in sorted(statuses.items())]
    return "\n".join(
        ["exit status:", *lines, "  128 and more: stopped by a signal (its number added); nothing half-done stays"]
    )


class Stopped(KeyboardInterrupt):
    """A signal asked us to stop. A kind of KeyboardInterrupt: psycopg and boto3 then cancel what they are at."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(argv: Sequence[str] | None = None) -> int:
    """Given the command line's words, do what they ask and return the exit status."""
    arguments = _parser().parse_args(argv)
    _log(arguments.verbose, arguments.log)
    _heed_signals()
    try:
        if arguments.run is scheduled.run:
            signal.alarm(_LONGEST_RUN)
        return arguments.run(_settings(arguments.environment), arguments) or 0
    except BackupsError as error:
        log.error("%s", error.message)
        if error.hint:
            log.error("HINT: %s", error.hint)
        return error.exit_status
    except Stopped as stopped:
        log.error("stopped by %s: nothing half-done stays", signal.Signals(stopped.number).name)
        return 128 + stopped.number
    except BrokenPipeError:
        return 141
    except Exception as error:  # users see no traceback, unless they ask for it
        log.debug("traceback", exc_info=True)
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in _SCARCE:
        log.error("this machine has run out of something: %s", error.strerror)
        log.error("HINT: look at its memory, its processes, and the limits of this user (ulimit -a)")
        return DiskError.exit_status
    if isinstance(error, OSError) and error.errno in DiskError.NUMBERS:
        log.error("cannot write %s: %s", error.filename or "to the disk", error.strerror)
        log.error("HINT: look at the free space of the state folder's disk and of the temporary folder")
        return DiskError.exit_status
    log.error("a fault of ours: %s: %s", type(error).__name__, error)
    log.error("HINT: run it again with -v for a traceback, and report it")
    return 1


def _settings(file: Path | None) -> Settings:
    return from_environment({**os.environ, **(read_environment_file(file) if file else {})})


def _heed_signals() -> None:
    """Turn signals that end a process into an exception, so that children are stopped and work folders removed."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in heeded:  # a second one must not break the tidying up
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    heeded = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants it ignored
        heeded.append(signal.SIGHUP)
    for each in heeded:
        signal.signal(each, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="checkniner-backups",
        description="Backups of a Django application on PostgreSQL: made when the data changed, encrypted, in S3.",
        epilog=_listed(_STATUSES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--environment",
        type=Path,
        metavar="FILE",
        help="file of settings that setup-backups.yml wrote (/etc/checkniner-backups/NAME.env); without it, the"
        " environment itself counts",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="append what is logged to this file too; systemd has it in its journal"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log what is done, with tracebacks of our faults")
    sub = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[Settings, argparse.Namespace], int | None], text: str
    ) -> argparse.ArgumentParser:
        made = sub.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.set_defaults(run=run)
        return made

    def json_option(made: argparse.ArgumentParser) -> None:
        made.add_argument("--json", action="store_true", help="write JSON to standard output")

    made = command("run", scheduled.run, "one tick: save an archive if the data changed, then tell how it went")
    made.add_argument(
        "--in-unit",
        action="store_true",
        help="in a unit of systemd, which ends all processes with it: leave rehearsals and commands to other units",
    )
    json_option(made)
    made = command("tell", scheduled.tell, "run the commands of a failure or a recovery that `run --in-unit` has left")
    made.add_argument("--killed", action="store_true", help="tell instead that a tick was killed, if it was")
    made = command("backup", commands.backup, "the same by hand, telling nobody")
    made.add_argument("--force", action="store_true", help="save an archive even if nothing changed")
    json_option(made)
    made = command("pause", commands.pause, "let ticks do nothing for a time, and wait for one that is at work")
    for each in (_pause_options(made), command("resume", commands.resume, "end a pause")):
        json_option(each)
    made = command("list", commands.list_archives, "the archives in the store, newest first")
    made.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20; 0: all)")
    json_option(made)
    made = command("fetch", commands.fetch, "download an archive as it is, encrypted")
    _which(made)
    made.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where to put it (default: here)")
    json_option(made)
    made = command(
        "restore", commands_restore.restore, "bring data back, into a new database that takes the live one's place"
    )
    which = _which(made)
    which.add_argument("--file", type=Path, metavar="PATH", help="an archive on this machine")
    commands_restore.add_options(made)
    made = command("clean", commands.clean, "remove old local archives, all but the newest; the store is not touched")
    made.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    json_option(made)
    made = command("status", status.status, "what is known: the last archive, the keys, what is wrong")
    made.add_argument(
        "--store", action="store_true", help="ask the store, too, whether it holds the last archive, and its clock"
    )
    made.add_argument("--drill", action="store_true", help="ask the store, too, when the last good drill was")
    json_option(made)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.epilog = _listed(status.EXIT_STATUSES)
    made = command("check", commands.check, "try everything that a tick needs, and change nothing")
    json_option(made)
    made = command(
        "rehearse", commands.rehearse, "try a restore in a throwaway PostgreSQL on this machine, from new data"
    )
    which = made.add_mutually_exclusive_group()
    which.add_argument("--kept", action="store_true", help="from what a tick has kept for it, if it has")
    which.add_argument("--if-due", action="store_true", help="only where the last one is old or failed")
    json_option(made)
    made = command("exec", commands.execute, "run a command in the application's environment, as a web server would")
    made.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- ARGV", help="the command and its arguments")
    return parser


def _pause_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    end = "the end, at most 30 days ahead: '2026-12-01 06:00', local time or with a zone"
    parser.add_argument("--until", metavar="TIME", required=True, help=end)
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why: `status` and the log show it")
    return parser


def _which(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--archive", metavar="KEY", help="this one (default: the newest)")
    which.add_argument(
        "--at", metavar="TIME", help="the newest at or before: '2026-11-20 14:35', local time or with a zone"
    )
    return which


class _Formatter(logging.Formatter):
    """Writes out what could steer a terminal: servers and archives are quoted in messages."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


def _log(verbose: bool, file: Path | None) -> None:
    """Log to standard error, and to a file where one is named; one that cannot be written stops nothing."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    unwritable = ""
    if file:
        logging.raiseExceptions = False  # on a full disk, logging would print a traceback
        try:
            handlers.append(logging.FileHandler(file, encoding="utf-8", errors="backslashreplace"))
        except OSError as error:
            unwritable = f"the log {file} cannot be written: {error.strerror}"
    for handler in handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    logging.basicConfig(handlers=handlers, level=logging.DEBUG if verbose else logging.INFO)
    if unwritable:
        log.warning("%s", unwritable)
    # Not even when asked: boto3 logs requests with their signatures, gnupg what it feeds to gpg.
    for name in ("boto3", "botocore", "s3transfer", "urllib3", "gnupg", "psycopg"):
        logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
