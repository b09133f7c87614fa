"""Many queue managers on one member, which dies: the other runs all that it can, so many starting at one moment."""

import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from standfast.clusterfile.written import written
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, SHARED, plan
from standfast.member.report import NoticeKind, StatusReport
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


def running(report: StatusReport, owner: str, missing: frozenset[str] = frozenset()) -> bool:
    """Whether that member runs all of them but these."""
    placed = {qm.name for qm in report.queue_managers if (qm.phase, qm.owner) == (Phase.RUNNING, owner)}
    return placed == {f"q{n:02}" for n in range(COUNT)} - missing


async def test_all_are_taken_over_by_the_other_but_one_that_it_could_not_run(many: Lab) -> None:
    """Something else listens on the port of the last one: the standby says so, and gets it when the port is free."""
    last, standby = f"q{COUNT - 1:02}", many.cluster.member("b")
    with socket.create_server((standby.clients, FIRST_PORT + COUNT - 1)):
        await many.until(lambda report: running(report, "a"), within_s=120.0)
        report = await many.until(_unready, seen_by=["b"])
        assert {notice.subject for notice in report.notices if notice.kind is NoticeKind.STANDBY_UNREADY} == {last}
        assert await many.until(lambda r: any(m.name == "b" and m.unfit == (last,) for m in r.members), seen_by=["w"])
        many.nodes["a"].kill()
        report = await many.until(lambda r: running(r, "b", frozenset({last})), within_s=120.0)
        assert (report.queue_managers[-1].name, report.queue_managers[-1].owner) in {(last, None), (last, "a")}
    report = await many.until(lambda report: running(report, "b"), within_s=120.0)
    assert [qm.epoch for qm in report.queue_managers] == [2] * COUNT
    assert [qm.failed_on for qm in report.queue_managers] == [()] * COUNT


def _unready(report: StatusReport) -> bool:
    return any(notice.kind is NoticeKind.STANDBY_UNREADY for notice in report.notices)
