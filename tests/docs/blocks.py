"""The fenced blocks of our Markdown files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
ON_THE_SERVER = "# on the server, as the application's owner"


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, its text."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"

    @property
    def on_the_server(self) -> bool:
        """Whether its first line says that it is for the server's shell, as the application's owner."""
        return self.text.startswith(ON_THE_SERVER)


def documents() -> list[Path]:
    """Return every Markdown file that users read."""
    patterns = ["*.md", "docs/*.md", "roles/*/*.md", "examples/*/*.md", "molecule/*.md", "bench/*.md"]
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def blocks(file: Path) -> list[Block]:
    """Given a Markdown file, return its fenced blocks in order."""
    text = file.read_text()
    return [
        Block(file, text.count("\n", 0, match.start()) + 1, match[2], re.sub(f"(?m)^{match[1]}", "", match[3]))
        for match in _FENCE.finditer(text)
    ]
