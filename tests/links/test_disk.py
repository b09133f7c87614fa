"""The shared-disk link on real loop devices and files, with real stalls. Needs root."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from standfast.disposable import Disposable
from standfast.errors import KeyFileError, MachineError, StateError
from standfast.links.disk import OPEN_S, DiskLink
from standfast.links.disk_io import MOST_LEFT, TROUBLES, DiskState
from standfast.links.disk_slots import SlotState
from standfast.links.disk_volume import Outcome
from standfast.model.timing import Timing

from .disks import (
    KEY,
    TIMING,
    Member,
    Stall,
    cluster,
    formatted,
    frozen,
    heartbeat,
    loop_device,
    mounted,
    other_process,
    process_state,
    until,
)

ABC = cluster("a", "b", "c")
UNIT = 4096


@pytest.fixture(params=[("--sector-size", "512"), ("--sector-size", "4096")], ids=["512", "4096"])
def any_device(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    with loop_device(tmp_path / "image", options=request.param) as path:
        yield path


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    with loop_device(tmp_path / "image") as path:
        yield path


@contextlib.asynccontextmanager
async def pair(path: Path | str, **options) -> AsyncIterator[tuple[Member, Member]]:
    """Two members that hear each other and go on beating."""
    await formatted(path, ABC)
    a, b = Member(path, ABC, "a", **options), Member(path, ABC, "b")
    try:
        for member in (a, b):
            (await member.start()).beat()
        await a.hears("b")
        await b.hears("a")
        yield a, b
    finally:
        a.stop()
        b.stop()


def content(path: str, offset: int) -> bytes:
    return Path(path).read_bytes()[offset : offset + UNIT]


def overwrite(path: str, offset: int, content: bytes) -> None:
    with Path(path).open("r+b") as file:
        file.seek(offset)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# ---------------------------------------------------------------- life


async def test_members_hear_each_other_over_a_device(any_device: str):
    async with pair(any_device) as (a, b):
        a.quiet()
        await b.hears("a", a.say())
        assert all(h.sender != "b" for h in b.heard)
        status = a.link.status()
        assert (status.reading.state, status.writing.state) == (DiskState.OK, DiskState.OK)
        assert [slot.state for slot in status.slots[1:]] == [SlotState.LIVE, SlotState.BLANK]
        assert a.link.counters.damaged == a.link.counters.replayed == 0


async def test_members_hear_each_other_over_a_plain_file(tmp_path: Path):
    async with pair(tmp_path / "file") as (a, b):
        a.quiet()
        await b.hears("a", a.say())


async def test_a_member_in_another_process_is_heard_until_it_dies_or_freezes_and_again_when_it_is_back(device: str):
    await formatted(device, ABC)
    a = (await Member(device, ABC, "a").start()).beat()
    with other_process(device, "b", "a", "b", "c") as b:
        await a.hears("b")
        b.send_signal(signal.SIGSTOP)
        await until(lambda: a.link.slot("b").state is SlotState.SILENT)
        assert a.link.slot("b").silent_ns > TIMING.in_doubt_ns
        b.send_signal(signal.SIGCONT)
        await a.hears("b")
        assert a.link.slot("b").state is SlotState.LIVE
    await until(lambda: a.link.slot("b").state is SlotState.SILENT)
    with other_process(device, "b", "a", "b", "c"):
        await a.hears("b")
    a.stop()


async def test_of_many_heartbeats_only_the_newest_is_written(device: str):
    async with pair(device) as (a, b):
        a.quiet()
        await b.hears("a", a.seq)
        before = a.link.counters.superseded
        last = [a.say() for _ in range(50)][-1]
        await b.hears("a", last)
        assert not [h for h in b.heard if last - 49 <= h.seq < last]
        assert a.link.counters.superseded == before + 49


async def test_a_heartbeat_too_large_is_counted_and_the_next_one_goes_out(device: str):
    async with pair(device) as (a, b):
        a.quiet()
        await asyncio.sleep(0)
        a.link.send(heartbeat("a", a.seq + 1, unfit=tuple(f"queue-manager-{n}" for n in range(500))))
        await until(lambda: a.link.counters.oversized == 1)
        await b.hears("a", a.say())


# ---------------------------------------------------------------- damage


async def test_a_torn_or_foreign_write_is_counted_never_delivered_and_mended_by_the_next_record(device: str):
    async with pair(device) as (a, b):
        b.quiet()
        await until(lambda: a.link.slot("b").state is SlotState.SILENT)
        for spoiled in (b"\xff" * 100, os.urandom(UNIT - 60), bytes(40)):
            before, heard = a.link.counters.damaged, len(a.heard)
            overwrite(device, 2 * UNIT + 60, spoiled)
            await until(lambda before=before: a.link.counters.damaged == before + 1)
            assert a.link.slot("b").state is SlotState.DAMAGED
            assert len(a.heard) == heard
            await a.hears("b", b.say())
            assert a.link.slot("b").state is SlotState.LIVE


async def test_a_slot_set_back_to_an_older_record_is_no_life(device: str):
    async with pair(device) as (a, b):
        older = content(device, 2 * UNIT)
        await a.hears("b", b.seq + 2)
        b.quiet()
        await until(lambda: a.link.slot("b").state is SlotState.SILENT)
        heard = len(a.heard)
        overwrite(device, 2 * UNIT, older)
        await until(lambda: a.link.counters.replayed == 1)
        assert (a.link.slot("b").state, len(a.heard)) == (SlotState.WENT_BACK, heard)


async def test_a_header_that_is_no_longer_ours_stops_the_writing_until_it_is(device: str):
    async with pair(device) as (a, b):
        b.stop()
        header = content(device, 0)
        overwrite(device, 0, b"somebody else's file system".ljust(UNIT, b"."))
        await until(lambda: a.link.status().writing.state is DiskState.UNFORMATTED)
        written = a.link.counters.sent
        await asyncio.sleep(5 * TIMING.interval_ms / 1000)
        assert a.link.counters.sent <= written + 1, "one was under way"
        assert a.link.status().writing.state is DiskState.UNFORMATTED
        written = a.link.counters.sent
        overwrite(device, 0, header)
        await until(lambda: a.link.counters.sent > written)
        assert a.link.status().reading.state is DiskState.OK


async def test_a_disk_formatted_anew_is_taken_up_by_running_members(device: str):
    async with pair(device) as (a, b):
        await formatted(device, ABC, force=True)
        await until(lambda: a.link.status().reading.state is not DiskState.OK)
        for member, other in ((a, "b"), (b, "a")):
            await member.hears(other)


async def test_a_new_member_gets_a_slot_while_the_others_go_on(device: str):
    async with pair(device) as (a, _):
        heard = len(a.heard)
        more = cluster("a", "b", "d", "e", "f")
        assert (await formatted(device, more)).outcome is Outcome.UPDATED
        f = (await Member(device, more, "f").start()).beat()
        await a.hears("f")
        await f.hears("a")
        f.stop()
        assert a.link.slot("c") is None
        assert {h.sender for h in a.heard[heard:]} == {"b", "f"}
        assert a.link.status().reading.state is DiskState.OK


# ---------------------------------------------------------------- stalls


async def test_a_stalled_disk_is_reported_blocks_nobody_and_when_it_is_back_the_newest_is_written(device: str):
    async with pair(device) as (a, b):
        with Stall(device) as stall:
            status = a.link.status()
            stall.hit(status.reading.pid, status.writing.pid)
            await until(lambda: a.link.status().reading.state is a.link.status().writing.state is DiskState.STALLED)
            assert process_state(status.writing.pid) == "D"
            assert a.link.slot("b").state is SlotState.UNKNOWN
            await until(lambda: b.link.slot("a").state is SlotState.SILENT)
            since = a.link.status().writing.since_ns
            hung, superseded = a.seq, a.link.counters.superseded
            await until(lambda: a.seq > hung + 10)
            assert a.link.status().writing.since_ns == since
            assert a.link.counters.superseded >= superseded + 9
            assert process_state(status.writing.pid) == "D", "the loop went on without it"
            stall.lift()
            await b.hears("a", hung + 10)
            await a.hears("b", b.seq)
            between = [h.seq for h in b.heard if h.sender == "a" and hung < h.seq < hung + 10]
            assert between == [], "none of the heartbeats of then"
            assert a.link.status().writing.pid == status.writing.pid, "the helper that hung goes on"


async def test_a_helper_that_hangs_too_long_is_left_behind_and_what_it_writes_later_is_refused(
    device: str, monkeypatch: pytest.MonkeyPatch
):
    waited_for: list[int] = []
    monkeypatch.setattr(Disposable, "close", lambda child: (waited_for.append(child.pid), child.abandon()))
    async with pair(device, patience_s=0.5) as (a, b):
        with Stall(device) as stall:
            stuck = a.link.status().writing.pid
            stall.hit(stuck)
            await until(lambda: a.link.status().left_behind)
            assert process_state(stuck) == "D", "killed, and still there"
            assert stuck not in waited_for
            await b.hears("a", a.seq)
            a.quiet()
            await until(lambda: b.link.slot("a").state is SlotState.SILENT)
            heard = len([h for h in b.heard if h.sender == "a"])
            stall.lift()
            await until(lambda: b.link.slot("a").state is SlotState.WENT_BACK)
            assert len([h for h in b.heard if h.sender == "a"]) == heard
            await until(lambda: not a.link.status().left_behind)
            await b.hears("a", a.say())


async def test_a_disk_that_hangs_only_in_writing_is_still_read(tmp_path: Path):
    with loop_device(tmp_path / "image", size=4 << 20) as device, mounted(device, tmp_path / "fs") as folder:
        async with pair(folder / "file") as (a, b):
            with frozen(folder):
                await until(lambda: a.link.status().writing.state is DiskState.STALLED)
                assert a.link.status().reading.state is DiskState.OK
                await until(lambda: a.link.slot("b").state is SlotState.SILENT)
            await a.hears("b", b.seq)


async def test_in_a_hurry_news_are_found_soon_and_at_once(device: str):
    slow = Timing(interval_ms=1000, in_doubt_after=5, evict_after=15, graceful_ms=100, kill_ms=50)
    async with pair(device) as (a, b):
        b.quiet()
        a.link.retime(slow)
        await asyncio.sleep(2 * TIMING.interval_ms / 1000)  # a look ends, and the long pause begins
        a.link.hurry(on=True)
        for _ in range(5):
            async with asyncio.timeout(0.5):
                await a.hears("b", b.say())


async def test_a_disk_that_hangs_at_the_start_keeps_nobody_waiting(device: str, monkeypatch: pytest.MonkeyPatch):
    await formatted(device, ABC)
    monkeypatch.setattr("standfast.links.disk.OPEN_S", 0.3)
    with Stall(device) as stall:
        stall.hit(os.getpid())  # every helper is born into it
        with pytest.raises(MachineError):
            await Member(device, ABC, "a").start()
        patient = await Member(device, ABC, "a").start(strict=False)
        await until(lambda: patient.link.status().reading.state is DiskState.STALLED)
        stall.lift()
        await until(lambda: patient.link.status().reading.state is DiskState.OK)
        patient.stop()


async def test_helpers_left_behind_are_bounded(device: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("standfast.links.disk.RETRY_S", 0.01)
    async with pair(device, patience_s=0.4) as (a, _):
        with Stall(device) as stall:
            stall.hit(os.getpid(), a.link.status().reading.pid, a.link.status().writing.pid)
            await until(lambda: a.link.status().left_behind >= MOST_LEFT)
            for _ in range(60):  # several times as long as a helper's patience
                await asyncio.sleep(0.02)
                assert a.link.status().left_behind <= MOST_LEFT + 1, "the other side's helper was under way"
            assert a.link.status().reading.state is DiskState.STALLED
            stall.lift()
            await until(lambda: not a.link.status().left_behind)
        await a.hears("b")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("kind", ["file", "device"])
async def test_an_error_of_the_disk_is_a_state_that_ends_when_the_error_does(tmp_path: Path, kind: str):
    """A sparse file on a file system that is full (ENOSPC), and a device over such a file (EIO)."""
    with (
        loop_device(tmp_path / "image") as outer,
        mounted(outer, tmp_path / "fs") as folder,
        contextlib.ExitStack() as on,
    ):
        await formatted(tmp_path / "whole", ABC)
        sparse = folder / "sparse"
        sparse.write_bytes((tmp_path / "whole").read_bytes()[:UNIT])
        os.truncate(sparse, 1 << 18)
        os.sync()
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(512))
        a = Member(on.enter_context(loop_device(sparse)) if kind == "device" else sparse, ABC, "a")
        on.callback(a.stop)
        (await a.start()).beat()
        await until(lambda: a.link.status().writing.state is DiskState.IO_ERROR)
        assert a.link.counters.send_errors
        assert a.link.status().reading.state is DiskState.OK
        (folder / "filler").unlink()
        await until(lambda: a.link.slot("a").state is SlotState.LIVE)
        assert a.link.status().writing.state is DiskState.OK


async def test_a_helper_that_is_killed_is_replaced(device: str):
    async with pair(device) as (a, b):
        os.kill(a.link.status().reading.pid, signal.SIGKILL)
        await until(lambda: a.link.status().reading.state is DiskState.HELPER_LOST)
        await a.hears("b", b.seq + 1)


async def refused(path: Path | str, *, of=ABC, me: str = "a", key: bytes = KEY) -> type[Exception]:
    link = DiskLink(str(path), of, me, key)
    with pytest.raises((MachineError, StateError, KeyFileError)) as caught:
        await link.open(lambda _: None)
    link.close()
    return caught.type


async def test_what_can_not_be_used_is_refused_at_the_start(tmp_path: Path):
    with loop_device(tmp_path / "image") as device:
        assert await refused(device) is StateError, "never prepared"
        await formatted(device, ABC)
        assert await refused(device, of=cluster("a", "b", "c", id_="t-2")) is StateError
        assert await refused(device, key=bytes(32)) is KeyFileError
        assert await refused(device, of=cluster("a", "b", "z"), me="z") is StateError
    with loop_device(tmp_path / "image", options=("--read-only",)) as device:
        link = DiskLink(device, ABC, "a", KEY)
        await link.open(lambda _: None, strict=False)
        await until(lambda: link.status().writing.state is DiskState.READ_ONLY)
        assert link.status().reading.state is DiskState.OK
        link.close()
        assert await refused(device) is MachineError
    os.truncate(tmp_path / "image", 4 * UNIT)
    with loop_device(tmp_path / "image") as device:
        assert await refused(device) is MachineError, "cut off"
    async with asyncio.timeout(OPEN_S):
        assert await refused(tmp_path / "missing") is MachineError
    assert await refused(tmp_path) is MachineError
    assert await refused("/dev/null") is MachineError


def test_every_trouble_has_its_error_and_words():
    assert set(TROUBLES) == set(DiskState) - {DiskState.OPENING, DiskState.OK}
