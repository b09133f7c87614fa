"""What the tests of cuts have in common, and the table of what clients missed, at the end of the run."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.cuts.stage import Measured, Stage

SCENARIO = "scenario"


@pytest.fixture
def keep(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[str, object], None]:
    """For `Stage.scene`: takes what it measured."""
    record_property(SCENARIO, request.node.name.removeprefix("test_").replace("_", " "))
    return record_property


@pytest.fixture
def cluster(cluster: Stage) -> Stage:
    """As everywhere; here it is a Stage."""
    return cluster


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show it; with STANDFAST_OUTAGES append it to that file, a JSON object a line."""
    rows = list(_rows(terminalreporter.stats.get("passed", ())))
    if not rows:
        return
    terminalreporter.section("what clients missed (ms)")
    terminalreporter.line(f"{'cut':>7} {'healed':>7} {'moves':>5} {'acked':>6}  scenario")
    for row in rows:
        terminalreporter.line(
            f"{row['outage_ms']:7.0f} {row['healing_ms']:7.0f} {row['moves']:5} {row['acked']:6}  "
            f"{row['members']} members: {row[SCENARIO]}"
        )
    if file := os.environ.get("STANDFAST_OUTAGES"):
        with Path(file).open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)


def _rows(reports: Any) -> Iterator[dict[str, Any]]:
    for report in reports:
        kept = dict(report.user_properties)
        if report.when == "call" and Measured.__struct_fields__[0] in kept:
            yield kept
