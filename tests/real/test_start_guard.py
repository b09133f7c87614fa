"""A start that must not be, for real: what the storage refuses, and a broker that can not start anywhere."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from standfast.lab.plan import SHARED
from standfast.lab.processes import await_end
from standfast.member.control_protocol import EventLine, Move
from standfast.member.report import Notice, NoticeKind, StatusReport
from standfast.model.events import EventKind
from standfast.model.records import Phase
from standfast.quorum.signals import Verdict
from standfast.storage import epoch_file
from standfast.storage.directory import LOCK_FILE
from standfast.storage.refusal import LaunchRefusal
from tests.real.running import QM, Running, lasting, planned, processes_in, standfast, started, until

LIMITS = {"port = 4222": "port = 4222\nstart_timeout_s = 4.0\nrestart_limit = 1"}
_HOLD = """
import fcntl, os, struct, sys
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(lock, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("guard"), LIMITS))


@pytest.fixture
async def owner(cluster: Running) -> str:
    """Who runs it since just now: under a fresh epoch nothing counts against it yet."""
    to = cluster.other(await cluster.owner())
    assert await cluster.order(Move(QM, to)) is Verdict.DONE
    await cluster.lab.until_running(QM, on=to)
    return to


def storage(cluster: Running) -> Path:
    return cluster.lab.directory / SHARED / QM


def kill(cluster: Running, member: str) -> None:
    pid = cluster.process(member)
    cluster.lab.nodes[member].kill_process(pid)
    assert await_end([pid], 10)


@asynccontextmanager
async def lock_awaited_by_another(file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that gets this lock the moment its holder is gone, and keeps it until it is ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _HOLD, str(file)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        await until(lambda: any("->" in line and f":{file.stat().st_ino} " in line for line in _locks()))
        yield process
    finally:
        process.kill()
        await process.wait()


def _locks() -> list[str]:
    """proc_locks(5): who waits is marked with an arrow."""
    return Path("/proc/locks").read_text().splitlines()


def shown(report: StatusReport) -> list[Notice]:
    """What the answering member says about storage and programs."""
    return [notice for notice in report.notices if notice.kind is NoticeKind.STANDBY_UNREADY]


def failures(told: list[EventLine]) -> list[tuple[object, object]]:
    return [(line.fields["owner"], line.fields["code"]) for line in told if line.kind == EventKind.QM_FAILED]


def locally_told(cluster: Running, member: str) -> list[dict[str, Any]]:
    """What this member knows of events, also those that no other one could see."""
    asked = standfast("events", "--json", "--socket", cluster.lab.nodes[member].socket)
    return [json.loads(line) for line in asked.stdout.splitlines()]


async def test_a_storage_that_another_process_holds_is_not_started_on_until_it_lets_go(
    cluster: Running, owner: str
) -> None:
    epoch = (await cluster.queue_manager()).epoch
    async with lock_awaited_by_another(storage(cluster) / LOCK_FILE) as holder:
        daemon = cluster.lab.nodes[owner].pid
        assert daemon is not None
        assert holder.stdout is not None
        async with asyncio.timeout(10):
            with cluster.stopped(daemon):  # so that it can not launch before the other has the lock
                kill(cluster, owner)
                assert await holder.stdout.readline() == b"held\n"
        refused = await cluster.until_told(
            lambda line: (
                line.kind == EventKind.QM_FAILED
                and line.fields.get("code") == LaunchRefusal.LOCKED
                and int(str(line.fields["epoch"])) >= epoch
            )
        )
        assert refused.fields["owner"] == owner
    await cluster.queue_manager()


async def test_a_larger_epoch_in_the_storage_ends_the_owner_is_refused_everywhere_and_is_repaired_by_a_move(
    cluster: Running, owner: str
) -> None:
    stamp = epoch_file.read(storage(cluster))
    assert stamp is not None
    async with cluster.telling() as told:
        epoch_file.write(storage(cluster), stamp._replace(epoch=stamp.epoch + 1000, member="rival"))
        report = await cluster.lab.until(lambda r: any(q.phase is Phase.GIVEN_UP for q in r.queue_managers))
    found = next(q for q in report.queue_managers if q.name == QM)
    assert (set(found.failed_on), found.owner) == ({"a", "b"}, None)
    (contested,) = [line for line in locally_told(cluster, owner) if line["kind"] == EventKind.STORAGE_CONTESTED]
    assert (contested["subject"], contested["fields"]["rival"]) == (QM, "rival")
    assert {code for _, code in failures(told)} == {LaunchRefusal.EPOCH_LARGER}
    released = [line.fields["reason"] for line in told if line.kind == EventKind.QM_RELEASED]
    assert released == [LaunchRefusal.EPOCH_LARGER] * 2

    epoch_file.write(storage(cluster), stamp)
    asked = standfast("move", QM, owner, "--socket", cluster.lab.nodes[owner].socket)
    assert asked.returncode == 0, asked.stderr
    assert (await cluster.lab.until_running(QM, on=owner)).failed_on == ()


async def test_a_broker_that_crashes_in_a_loop_is_restarted_then_moved_then_given_up(
    cluster: Running, owner: str
) -> None:
    data = storage(cluster) / "jetstream"
    aside = data.with_name("aside")
    data.rename(aside)
    data.write_text("not a directory: the broker can not store here, and ends")
    async with cluster.telling() as told:
        kill(cluster, owner)
        await cluster.lab.until(lambda r: any(q.phase is Phase.GIVEN_UP for q in r.queue_managers))
    other = cluster.other(owner)
    assert failures(told) == [(owner, "signal_9"), (owner, "exit_1"), (other, "exit_1"), (other, "exit_1")]

    data.unlink()
    aside.rename(data)
    assert await cluster.order(Move(QM, other)) is Verdict.DONE
    await cluster.lab.until_running(QM, on=other)


@pytest.mark.parametrize("wrong", ["missing", "not_mounted"])
async def test_a_queue_manager_without_its_storage_is_never_placed_and_the_reason_is_shown(
    tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / "lab" / SHARED / ("absent/orders" if wrong == "missing" else "orders")
    edits = {f'path = "{tmp_path}/lab/{SHARED}/{QM}"': f'path = "{path}"'}
    if wrong == "not_mounted":
        path.mkdir(parents=True)
        edits = {next(iter(edits)): f'path = "{path}"\nmount = true'}
    lab = planned(tmp_path / "lab", edits, profile="fast")
    try:
        lab.up()
        await lab.until_whole()
        report = await lab.until(lambda r: bool(r.queue_managers) and shown(r) != [], seen_by=["a", "b"])
        assert {m.name: m.unfit for m in report.members if m.name != "w"} == {"a": (QM,), "b": (QM,)}
        assert (report.queue_managers[0].phase, report.queue_managers[0].epoch) == (Phase.UNPLACED, 0)
        assert [(notice.subject, notice.detail.partition(":")[0]) for notice in shown(report)] == [(QM, wrong)]
        if wrong == "missing":
            path.parent.mkdir()
            await lab.until_running(QM)
            await lab.until(lambda r: shown(r) == [], seen_by=["a", "b"])
    finally:
        lab.down()
    assert processes_in(lab.directory) == {}


async def test_options_that_the_driver_refuses_keep_the_queue_manager_unplaced_and_its_member_alive(
    tmp_path: Path,
) -> None:
    """The file is the same everywhere: a mistake in it about one queue manager must not stop the others."""
    options = "[queue_manager.options]"
    lab = planned(tmp_path / "lab", {options: f"{options}\nsync_interval = '10s'"}, profile="fast")
    try:
        lab.up()
        await lab.until_whole()
        report = await lab.until(lambda r: bool(r.queue_managers) and shown(r) != [], seen_by=["a", "b"])
        assert [(notice.subject, "sync_interval" in notice.detail) for notice in shown(report)] == [(QM, True)]
        assert (report.queue_managers[0].phase, report.queue_managers[0].epoch) == (Phase.UNPLACED, 0)
    finally:
        lab.down()
    assert processes_in(lab.directory) == {}
