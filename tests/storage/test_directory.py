"""A directory is claimed by one process at a time, under growing epochs, and every refusal says why."""

import errno
import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from standfast.ports import boottime_ns
from standfast.storage import directory, epoch_file
from standfast.storage.directory import LOCK_FILE, Claim, claim
from standfast.storage.epoch_file import EPOCH_FILE, Stamp
from standfast.storage.refusal import LaunchRefusal, LaunchRefused

MOUNTED = "/dev/shm"
SYSFS = "/sys/kernel"  # no file can be made there, not even by root


def wanted(path: Path | str, **changes) -> Claim:
    fields = {"path": str(path), "mount": False, "cluster": "c1", "qm": "orders", "epoch": 5, "member": "a"}
    fields |= {"incarnation": 2, "make": ("store",), "wait_until_ns": 0}
    return Claim.parse(fields | changes)


def refused(claimed: Claim) -> LaunchRefusal:
    with pytest.raises(LaunchRefused) as caught:
        os.close(claim(claimed))
    return caught.value.code


def test_a_fresh_directory_is_made_locked_and_stamped(tmp_path: Path):
    lock = claim(wanted(tmp_path / "data"))
    assert epoch_file.read(tmp_path / "data")[:5] == ("c1", "orders", 5, "a", 2)
    assert (tmp_path / "data" / "store").is_dir()
    assert refused(wanted(tmp_path / "data")) is LaunchRefusal.LOCKED
    os.close(lock)
    os.close(claim(wanted(tmp_path / "data")))


def test_the_refusal_of_a_locked_directory_names_its_holder(tmp_path: Path):
    lock = claim(wanted(tmp_path, member="holder"))
    with pytest.raises(LaunchRefused, match="holder"):
        claim(wanted(tmp_path, epoch=6, member="rival"))
    os.close(lock)
    assert epoch_file.read(tmp_path).member == "holder"


def test_the_lock_outlives_the_claimer_in_a_descendant_that_inherited_it(tmp_path: Path):
    lock = claim(wanted(tmp_path))
    heir = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    os.close(lock)
    assert refused(wanted(tmp_path)) is LaunchRefusal.LOCKED
    heir.kill()
    heir.wait()
    os.close(claim(wanted(tmp_path)))


def test_a_claim_waits_for_a_holder_that_lets_go(tmp_path: Path):
    lock = claim(wanted(tmp_path))
    threading.Timer(0.05, os.close, (lock,)).start()
    os.close(claim(wanted(tmp_path, epoch=6, wait_until_ns=boottime_ns() + 10_000_000_000)))


def test_a_claim_waits_no_longer_than_it_was_told(tmp_path: Path):
    lock = claim(wanted(tmp_path))
    began = time.monotonic()
    assert refused(wanted(tmp_path, wait_until_ns=boottime_ns() + 50_000_000)) is LaunchRefusal.LOCKED
    assert 0.05 <= time.monotonic() - began < 1.0
    os.close(lock)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cluster": "c2"}, LaunchRefusal.FOREIGN),
        ({"qm": "payments"}, LaunchRefusal.FOREIGN),
        ({"cluster": "c2", "epoch": 9}, LaunchRefusal.FOREIGN),
        ({"epoch": 4}, LaunchRefusal.EPOCH_LARGER),
        ({"member": "b"}, LaunchRefusal.EPOCH_TAKEN),
        ({"incarnation": 1}, LaunchRefusal.EPOCH_TAKEN),
    ],
)
def test_the_epoch_file_keeps_others_out_and_is_left_as_it_was(tmp_path: Path, change: dict, code: LaunchRefusal):
    os.close(claim(wanted(tmp_path)))
    before = (tmp_path / EPOCH_FILE).read_bytes()
    assert refused(wanted(tmp_path, **change)) is code
    assert (tmp_path / EPOCH_FILE).read_bytes() == before


def test_a_later_incarnation_of_the_same_member_may_go_on_under_its_epoch(tmp_path: Path):
    """What ran by an override is started again after its member has joined anew."""
    os.close(claim(wanted(tmp_path)))
    os.close(claim(wanted(tmp_path, incarnation=3)))
    assert refused(wanted(tmp_path)) is LaunchRefusal.EPOCH_TAKEN


def test_a_restart_in_place_and_a_larger_epoch_are_welcome(tmp_path: Path):
    for change in ({}, {}, {"incarnation": 3}, {"epoch": 6, "member": "b", "incarnation": 1}):
        os.close(claim(wanted(tmp_path, **change)))
    assert epoch_file.read(tmp_path)[:5] == ("c1", "orders", 6, "b", 1)


def test_an_epoch_file_cut_at_any_byte_stops_the_launch(tmp_path: Path):
    os.close(claim(wanted(tmp_path)))
    whole = (tmp_path / EPOCH_FILE).read_bytes()
    for length in range(len(whole) - 1):  # the last byte is the line's end
        (tmp_path / EPOCH_FILE).write_bytes(whole[:length])
        assert refused(wanted(tmp_path)) is LaunchRefusal.EPOCH_BROKEN
    for nonsense in (b"[]", b"null", b"\xff\xfe", json.dumps(json.loads(whole) | {"format": 2}).encode()):
        (tmp_path / EPOCH_FILE).write_bytes(nonsense)
        assert refused(wanted(tmp_path)) is LaunchRefusal.EPOCH_BROKEN


def test_a_mount_is_demanded_where_one_is_expected(tmp_path: Path):
    assert refused(wanted(tmp_path, mount=True)) is LaunchRefusal.MOUNT_MISSING
    assert refused(wanted(tmp_path / "absent", mount=True)) is LaunchRefusal.MOUNT_MISSING
    assert list(tmp_path.iterdir()) == []
    link = tmp_path / "link"
    link.symlink_to(MOUNTED)
    assert directory.is_mounted(link)
    assert directory.is_mounted(Path(MOUNTED))


def test_what_is_not_there_or_not_writable_is_refused(tmp_path: Path):
    assert refused(wanted(tmp_path / "no" / "parent")) is LaunchRefusal.MISSING
    assert refused(wanted(SYSFS)) is LaunchRefusal.READ_ONLY


@pytest.mark.parametrize(("number", "code"), sorted(directory._ERRNO.items()))
def test_what_the_file_system_answers_becomes_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: LaunchRefusal
):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    assert refused(wanted(tmp_path)) is code
    assert not (tmp_path / EPOCH_FILE).exists()
    monkeypatch.undo()
    os.close(claim(wanted(tmp_path)))  # the failed claim gave the lock back


def test_an_unknown_answer_is_a_refusal_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_):
        raise OSError(errno.ESTALE, "stale")

    monkeypatch.setattr(fcntl, "fcntl", fail)
    assert refused(wanted(tmp_path)) is LaunchRefusal.STORAGE_ERROR


def test_directories_to_make_stay_inside(tmp_path: Path):
    for name in ("/etc/x", "../x", "a/../../x"):
        with pytest.raises(ValueError, match="make"):
            wanted(tmp_path, make=(name,))


def test_the_lock_is_seen_by_other_lockers(tmp_path: Path):
    """The lock is an ordinary whole-file record lock: an NFS server, or any other program, can see it."""
    lock = claim(wanted(tmp_path))
    handle = os.open(tmp_path / LOCK_FILE, os.O_RDWR)
    asked = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
    assert struct.unpack("hhqqi4x", asked)[:4] == (fcntl.F_WRLCK, 0, 0, 0)
    os.close(handle)
    os.close(lock)


def test_a_stamp_is_whole_whenever_it_is_read(tmp_path: Path):
    """One writes, one reads, both as fast as they can: no half stamp, and epochs only grow."""
    epoch_file.write(tmp_path, Stamp("c", "q", 0, "a", 1))
    writer = (
        "import sys; sys.path.append(sys.argv[1]); from pathlib import Path\n"
        "from standfast.storage import epoch_file\n"
        "for epoch in range(1, 200): epoch_file.write(Path(sys.argv[2]), epoch_file.Stamp('c', 'q', epoch, 'a', 1))\n"
    )
    argv = [sys.executable, "-c", writer, str(Path(directory.__file__).parents[2]), str(tmp_path)]
    last = 0
    with subprocess.Popen(argv) as process:
        while process.poll() is None:
            epoch = epoch_file.read(tmp_path).epoch
            assert epoch >= last
            last = epoch
    assert epoch_file.read(tmp_path).epoch == 199
