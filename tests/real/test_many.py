"""Many queue managers on one member, which dies: the other runs all of them, so many starting at one moment."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from standfast.clusterfile.written import written
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, SHARED, plan
from standfast.member.report import StatusReport
from standfast.model.records import Phase

COUNT = 30
FIRST_PORT = 21_000
ANSWERING = "import socket, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2])))\nwhile True: s.accept()"


@pytest.fixture
async def many(tmp_path: Path) -> AsyncIterator[Lab]:
    directory = tmp_path / "lab"
    start = [sys.executable, "-I", "-S", "-c", ANSWERING, "{address}", "{port}"]
    cluster = plan(directory, kind="command", queue_manager="q00", options={"start": start, "foreground": True})
    first = structs.replace(cluster.queue_managers[0], preferred=("a", "b"), start_timeout_s=60.0)
    specs = tuple(
        structs.replace(
            first,
            name=f"q{n:02}",
            port=FIRST_PORT + n,
            storage=structs.replace(first.storage, path=str(directory / SHARED / f"q{n:02}")),
        )
        for n in range(COUNT)
    )
    policy = structs.replace(cluster.policy, starts_at_once=5)
    text = written(structs.replace(cluster, queue_managers=specs, policy=policy))
    (directory / CLUSTER_FILE).write_text(text.replace('profile = "fast"', 'profile = "normal"'), encoding="utf-8")
    lab = Lab(directory)
    lab.up()
    yield lab
    lab.kill()


async def test_all_are_taken_over_by_the_other(many: Lab) -> None:
    for owner in "ab":

        def all_run(report: StatusReport, owner: str = owner) -> bool:
            found = [(qm.phase, qm.owner) for qm in report.queue_managers]
            return found == [(Phase.RUNNING, owner)] * COUNT

        report = await many.until(all_run, within_s=120.0)
        if owner == "a":
            many.nodes["a"].kill()
    assert [qm.epoch for qm in report.queue_managers] == [2] * COUNT
    assert [qm.failed_on for qm in report.queue_managers] == [()] * COUNT
