"""Telling people how a rehearsal goes: one line per step while it runs, a table at the end, the rest in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

_TAIL = 40


class StepError(Exception):
    """A step did not do what it should; the text says what."""


@dataclass
class Step:
    """One step. Who runs it fills in what happened and how that was proven."""

    name: str
    what: str = ""
    proof: str = ""
    seconds: float = 0.0


@dataclass
class Rehearsal:
    """Steps, one after the other.

    :param log_path: the log file; made anew
    :param shown_as: its path as it is told
    """

    log_path: Path
    shown_as: str
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log_path.parent.mkdir(mode=0o700, exist_ok=True)
        self.log_path.unlink(missing_ok=True)
        self.log_path.touch(mode=0o600)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Given a name, announce the step, time it, and say how it went; what failed shows the end of its log."""
        step = Step(name)
        self._print(f"  {name} ", end="")
        self.note(f"\n=== {name}\n")
        logged, start = self.log_path.stat().st_size, time.monotonic()
        try:
            yield step
        except Exception as error:
            self._print("FAILED")
            with self.log_path.open("rb") as log:
                log.seek(logged)
                lines = log.read().decode(errors="replace").rstrip().splitlines()
            self.note(f"FAILED: {type(error).__name__}: {error}\n")
            self._print("\n".join(f"    | {line}" for line in lines[-_TAIL:]))
            self._print(f"\n{name}: {error}\nThe whole log is {self.shown_as}")
            raise StepError(str(error)) from error
        except BaseException:
            self._print("stopped")
            raise
        step.seconds = time.monotonic() - start
        dots = "." * max(3, 50 - len(name))
        self._print(f"{dots} {step.seconds:5.1f} s")
        self.note(f"{step.what}: {step.proof}\n")
        self.steps.append(step)

    def note(self, text: str) -> None:
        """Write into the log."""
        with self.log() as log:
            log.write(text)

    def log(self) -> TextIO:
        """Open the log, to append."""
        return self.log_path.open("a", encoding="utf-8")

    def show_table(self) -> None:
        """Print what was proven; steps without a proof were preparations."""
        proven = [step for step in self.steps if step.proof]
        rows = [[step.name, step.what, step.proof, f"{step.seconds:.1f}"] for step in proven]
        self._print("\n" + _table(["STEP", "WHAT HAPPENED", "PROVEN BY", "S"], rows))

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, flush=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)
