"""The daemon's part in the shared disk: what passes through, and what people are told."""

import asyncio
from pathlib import Path
from typing import Self

import pytest
from msgspec import structs

from standfast.links.disk_io import DiskState
from standfast.member.report import NoticeKind
from standfast.member.shared_disk import SharedDisk
from standfast.model.events import Event, EventKind
from standfast.model.timing import Timing
from standfast.quorum.signals import SeenOnDisk
from tests.links.disks import KEY, TIMING, Stall, cluster, formatted, heartbeat, loop_device, until

AB = cluster("a", "b")
PATIENT = Timing(interval_ms=20, in_doubt_after=100, evict_after=200, graceful_ms=100, kill_ms=50)
"""A busy machine loses no disk by it."""
UNIT = 4096


class Told:
    """Journal and reporter."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notices: dict[tuple[NoticeKind, str], str] = {}
        self.disk = None

    def told(self, event: Event) -> None:
        self.events.append(event)

    def notice(self, kind: NoticeKind, subject: str = "", detail: str = "") -> None:
        self.notices[kind, subject] = detail

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


class One:
    """A member's shared disk, running."""

    def __init__(self, path: Path | str, me: str, timing: Timing = TIMING) -> None:
        self.path = str(path)
        self.told = Told()
        self.seen: list[SeenOnDisk] = []
        self.disk = SharedDisk(
            self.path,
            structs.replace(AB, timing=timing),
            me,
            KEY,
            give=self.seen.append,
            journal=self.told,
            reporter=self.told,
        )

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(1):
            await self.disk.open()
        self._watching = asyncio.create_task(self.disk.run())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._watching.cancel()
        self.disk.close()

    async def says(self, other: "One", **words) -> None:
        """The other one reads these words of this one."""
        seq = 0
        while not any(all(getattr(seen.heartbeat, k) == v for k, v in words.items()) for seen in other.seen):
            seq += 1
            self.disk.send(heartbeat(self.me, seq, **words))
            other.disk.send(heartbeat(other.me, seq))
            await asyncio.sleep(TIMING.interval_ms / 1000)

    @property
    def me(self) -> str:
        return self.disk._me


async def test_heartbeats_pass_and_all_is_well(tmp_path: Path):
    path = tmp_path / "disk"
    await formatted(path, AB)
    async with One(path, "a", PATIENT) as a, One(path, "b", PATIENT) as b, asyncio.timeout(10):
        await a.says(b, stopped=7)
        await b.says(a, isolated=1)
        assert a.told.disk().reading is a.told.disk().writing is DiskState.OK
        assert a.told.kinds == []
        assert not any(a.told.notices.values())


async def test_a_disk_that_is_missing_at_the_start_is_taken_up_when_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("standfast.links.disk.RETRY_S", 0.05)
    path = tmp_path / "disk"
    async with One(path, "a") as a:
        await until(lambda: a.told.kinds == [EventKind.DISK_LINK_LOST])
        assert a.told.events[0].fields["state"] == DiskState.MISSING
        assert a.told.notices[NoticeKind.DISK_LOST, a.path]
        await formatted(path, AB)
        await until(lambda: a.told.kinds == [EventKind.DISK_LINK_LOST, EventKind.DISK_LINK_HEALED])
        assert not a.told.notices[NoticeKind.DISK_LOST, a.path]


async def test_a_stall_is_told_once_and_its_end_when_it_lasts(tmp_path: Path):
    with loop_device(tmp_path / "image") as device:
        await formatted(device, AB)
        async with One(device, "a") as a:
            await until(lambda: a.disk._link.status().writing.state is DiskState.OK)
            with Stall(device) as stall:
                stall.hit(a.disk._link.status().reading.pid)
                await until(lambda: a.told.kinds == [EventKind.DISK_LINK_LOST])
                await asyncio.sleep(TIMING.term_ms / 1000)
            await until(lambda: len(a.told.kinds) > 1)
            assert a.told.kinds == [EventKind.DISK_LINK_LOST, EventKind.DISK_LINK_HEALED]


async def test_a_spoiled_slot_is_noticed_until_it_is_mended(tmp_path: Path):
    path = tmp_path / "disk"
    await formatted(path, AB)
    async with One(path, "a", PATIENT) as a, One(path, "b", PATIENT) as b, asyncio.timeout(10):
        await b.says(a, stopped=7)
        with path.open("r+b") as file:
            file.seek(2 * UNIT)
            file.write(b"?" * UNIT)
        await until(lambda: a.told.notices.get((NoticeKind.DISK_SLOT, "b")))
        await b.says(a, stopped=8)
        await until(lambda: not a.told.notices[NoticeKind.DISK_SLOT, "b"])
        assert a.told.kinds == []
