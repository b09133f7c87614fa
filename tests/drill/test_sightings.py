"""The drill's own witness of who really runs a queue manager: a program of its own, not an attempt to start one."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from standfast.drill.sightings import Sightings
from standfast.member.processes import boot_id
from standfast.member.warden_run_dir import ProcessRecord, RunDir, WardenRecord


@pytest.fixture
def starting(tmp_path: Path) -> Sightings:
    """Of a member whose warden's child, this very process, is about to become the queue manager."""
    run_dir, here = RunDir(tmp_path), ProcessRecord.of(os.getpid())
    run_dir.launched.mkdir()
    run_dir.record_launch("orders", "")
    run_dir.lock.write_text(json.dumps(WardenRecord(boot_id(), here, here, "")))
    return Sightings("orders", {"a": tmp_path})


def test_who_waits_for_the_storage_does_not_run_and_who_has_its_lock_does(starting: Sightings, tmp_path: Path):
    assert starting.process("a") is None
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert starting.process("a") == os.getpid()


def test_a_start_that_is_refused_at_this_moment_does_not_run(starting: Sightings, monkeypatch: pytest.MonkeyPatch):
    """Found in CI: it closed its files while they were looked at, and counted as a second one that runs."""
    read, gone = Path.read_bytes, []

    def closing(path: Path) -> bytes:
        if "fdinfo" in path.parts and not gone:
            gone.append(path)
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", closing)
    assert starting.process("a") is None
    assert gone


def test_who_ends_and_has_no_memory_any_more_does_not_run(
    starting: Sightings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Found in CI: the files of a start that was refused were still open, its command line was gone."""
    warden = ProcessRecord.of(os.getppid())
    RunDir(tmp_path).lock.write_text(json.dumps(WardenRecord(boot_id(), warden, warden, "")))
    assert starting.process("a") == os.getpid()

    read, ending = Path.read_bytes, Path("/proc", str(os.getpid()), "cmdline")
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"" if path == ending else read(path))
    assert starting.process("a") is None
