"""The prober tells what a directory is good for, and a directory that hangs costs it nothing but a child."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.storage import epoch_file
from standfast.storage.epoch_file import EPOCH_FILE, Stamp
from standfast.storage.probe import MOST_ABANDONED, Prober, ProbeState

SYSFS = "/sys/kernel"  # no file can be made there, not even by root
MOUNTED = "/dev/shm"


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    prober = Prober()
    yield prober
    prober.close()


async def state_of(prober: Prober, path: Path | str, *, mount: bool = False) -> ProbeState:
    return (await prober.probe(str(path), mount=mount)).state


async def test_a_claimed_directory_is_known_with_its_epoch(prober: Prober, tmp_path: Path):
    epoch_file.write(tmp_path, Stamp("c", "q", 7, "a", 1))
    probe = await prober.probe(str(tmp_path), mount=False)
    assert probe.state is ProbeState.OK
    assert probe.stamp is not None
    assert probe.stamp._replace(written="") == Stamp("c", "q", 7, "a", 1)
    assert probe.free_bytes > 0


async def test_what_can_not_be_claimed_is_told_apart(prober: Prober, tmp_path: Path):
    (tmp_path / "file").write_text("")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / EPOCH_FILE).write_text('{"cluster": "c", "qm":')
    assert await state_of(prober, tmp_path / "fresh") is ProbeState.OK
    assert not (tmp_path / "fresh").exists()
    assert await state_of(prober, tmp_path / "no" / "parent") is ProbeState.MISSING
    assert await state_of(prober, tmp_path / "file") is ProbeState.MISSING
    assert await state_of(prober, tmp_path, mount=True) is ProbeState.NOT_MOUNTED
    assert await state_of(prober, tmp_path / "no", mount=True) is ProbeState.NOT_MOUNTED
    assert await state_of(prober, MOUNTED, mount=True) is not ProbeState.NOT_MOUNTED
    assert await state_of(prober, SYSFS) is ProbeState.READ_ONLY
    assert await state_of(prober, broken) is ProbeState.EPOCH_BROKEN


@pytest.fixture
async def hasty() -> AsyncIterator[Prober]:
    prober = Prober(timeout_s=0.3)
    yield prober
    prober.close()


async def test_a_directory_that_hangs_is_told_in_time_and_others_still_answer(hasty: Prober, tmp_path: Path):
    os.mkfifo(tmp_path / EPOCH_FILE)  # opening it blocks for ever, as a file on a dead mount does
    began = time.monotonic()
    assert await state_of(hasty, tmp_path) is ProbeState.HUNG
    assert time.monotonic() - began < 1.0
    assert await state_of(hasty, tmp_path.parent) is ProbeState.OK


async def test_a_hanging_directory_does_not_delay_a_probe_of_another(hasty: Prober, tmp_path: Path):
    os.mkfifo(tmp_path / EPOCH_FILE)
    hanging = asyncio.create_task(hasty.probe(str(tmp_path), mount=False))
    assert await state_of(hasty, tmp_path.parent) is ProbeState.OK
    assert not hanging.done()
    assert (await hanging).state is ProbeState.HUNG


async def test_children_left_behind_are_bounded(hasty: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("standfast.storage.probe._Child.ended", lambda _child: False)  # as if SIGKILL did not help
    os.mkfifo(tmp_path / EPOCH_FILE)
    await asyncio.gather(*(hasty.probe(str(tmp_path), mount=False) for _ in range(MOST_ABANDONED)))
    assert hasty.abandoned == MOST_ABANDONED
    began = time.monotonic()
    assert await state_of(hasty, tmp_path.parent) is ProbeState.HUNG
    assert time.monotonic() - began < 0.1
    monkeypatch.undo()
    while hasty.abandoned:  # noqa: ASYNC110 - reaped once the kernel has ended them
        await asyncio.sleep(0.002)
    assert await state_of(hasty, tmp_path.parent) is ProbeState.OK


async def test_a_child_that_dies_is_replaced(prober: Prober, tmp_path: Path):
    await prober.probe(str(tmp_path), mount=False)
    prober._idle[0]._process.kill()
    prober._idle[0]._process.wait()
    assert await state_of(prober, tmp_path) is ProbeState.ERROR
    assert await state_of(prober, tmp_path) is ProbeState.OK
