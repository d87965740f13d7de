"""What a run has to do: small, because every tick makes one, and an idle one needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from ..postgres.dsn import Dsn
from ..settings import Settings
from ..state.folder import State
from ..state.last_backup import LastBackup


@dataclass(frozen=True)
class RunContext:
    """What a run has to do. `saved` is what may be compared with; where it is None, `why_not` says why.

    :param foreign: key of an archive in the store that is newer than ours; empty where there is none
    :param ahead: key of an archive in the store that is of the future; empty where there is none, or nobody looked
    """

    settings: Settings
    state: State
    dsn: Dsn
    environment: dict[str, str]
    saved: LastBackup | None
    why_not: str
    force: bool
    foreign: str = ""
    ahead: str = ""
