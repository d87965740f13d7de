"""Write the pictures of the page that docs/overview.md shows: `python -m tests.overview_pictures`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sandbox.virtualenv import ROOT

sys.path.insert(0, str(ROOT / "module_utils"))

from checkniner_backups.overview.page import page

from sandbox.chromium import browser
from tests.overview_world import NOW, fleet, of_fleet

PICTURES = {"wide": (960, 1150, False), "telephone": (360, 1180, True)}
"""Name: width and height in pixels, and whether it is dark."""


def main() -> int:
    """Write them."""
    with tempfile.TemporaryDirectory() as folder, browser() as chrome:
        path = Path(folder) / "page.html"
        path.write_text(page(fleet(), of_fleet(), NOW))
        for name, (width, height, dark) in PICTURES.items():
            chrome.open(path, width, height, dark=dark)
            if width < 600:
                chrome.evaluate("document.querySelectorAll('main > section')[1].remove()")  # so that a timeline is seen
            chrome.screenshot(ROOT / "docs" / "overview" / f"{name}.png", whole=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
