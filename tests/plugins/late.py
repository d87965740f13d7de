"""Tests that may be late: what they wait for is another process's business, on a machine that may be busy.

`@pytest.mark.late("why")` lets such a test try once more. The summary of the run names each one that did; a test
without the mark gets no second try.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "late(reason): what it waits for may be late, so it may try once more")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("late"):
            if not (mark.args and isinstance(mark.args[0], str)):
                raise pytest.UsageError(f"{item.nodeid}: say why it may be late")
            item.add_marker(pytest.mark.flaky(reruns=1))
            break
