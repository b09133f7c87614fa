"""Preparing a shared disk: what is touched, what is refused, and what stays. Needs root."""

import os
from pathlib import Path

import pytest

from standfast.errors import StateError
from standfast.links.disk_io import DiskState, DiskTrouble
from standfast.links.disk_layout import SLOTS
from standfast.links.disk_volume import BLANK_BYTES, Outcome

from .disks import cluster, formatted, loop_device, mounted

ABC = cluster("a", "b", "c")
SIZE = 2 << 20


async def trouble(path: Path | str, of=ABC, **options) -> DiskState:
    with pytest.raises(DiskTrouble) as caught:
        await formatted(path, of, **options)
    return caught.value.state


def image_of(path: Path, *, at: int = 0, content: bytes = b"", size: int = SIZE) -> bytes:
    whole = bytearray(size)
    whole[at : at + len(content)] = content
    path.write_bytes(whole)
    return bytes(whole)


async def test_a_blank_device_is_formatted_and_a_second_time_nothing_is_written(tmp_path: Path):
    with loop_device(tmp_path / "image") as device:
        first = await formatted(device, ABC)
        assert first.outcome is Outcome.FORMATTED
        before = (tmp_path / "image").read_bytes()
        again = await formatted(device, ABC)
        assert (again.outcome, again.volume) == (Outcome.UNCHANGED, first.volume)
    assert (tmp_path / "image").read_bytes() == before


async def test_a_new_file_is_private_and_has_all_its_space(tmp_path: Path):
    done = await formatted(tmp_path / "file", ABC)
    facts = (tmp_path / "file").stat()
    assert facts.st_mode & 0o777 == 0o600
    assert facts.st_size == done.volume.size <= facts.st_blocks * 512


@pytest.mark.parametrize(
    "at", [0, 512, 1080, 65_600, BLANK_BYTES - 1, SIZE - 4096, SIZE - 1], ids=lambda at: f"byte-{at}"
)
async def test_whatever_is_not_blank_is_refused_and_stays_as_it_is(tmp_path: Path, at: int):
    """Where boot sectors, partition tables, LVM, ext4, btrfs and RAID put their signatures."""
    before = image_of(tmp_path / "image", at=at, content=b"\x01")
    with loop_device(tmp_path / "image") as device:
        with pytest.raises(StateError):
            await formatted(device, ABC)
        assert (tmp_path / "image").read_bytes() == before
        assert (await formatted(device, ABC, force=True)).outcome is Outcome.FORMATTED


async def test_a_file_with_something_in_it_is_refused_and_stays_as_it_is(tmp_path: Path):
    (tmp_path / "notes").write_text("keep me")
    with pytest.raises(StateError):
        await formatted(tmp_path / "notes", ABC)
    assert (tmp_path / "notes").read_text() == "keep me"


async def test_a_disk_in_use_on_this_machine_is_refused_even_when_forced(tmp_path: Path):
    with loop_device(tmp_path / "image") as device, mounted(device, tmp_path / "fs"):
        assert await trouble(device, force=True) is DiskState.BUSY


async def test_another_cluster_s_disk_and_one_sealed_with_another_key_need_force(tmp_path: Path):
    await formatted(tmp_path / "file", ABC)
    other = cluster("a", "b", "c", id_="t-2")
    with pytest.raises(StateError):
        await formatted(tmp_path / "file", other)
    with pytest.raises(StateError):
        await formatted(tmp_path / "file", ABC, key=bytes(32))
    assert (await formatted(tmp_path / "file", other, force=True)).outcome is Outcome.FORMATTED


async def test_no_file_is_made_for_a_mistyped_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("standfast.links.disk_volume.DEVICES", f"{tmp_path}/dev/")
    (tmp_path / "dev").mkdir()
    assert await trouble(tmp_path / "dev" / "sdx") is DiskState.MISSING
    assert await trouble(tmp_path / "dev" / "sdx") is DiskState.MISSING, "none was made"
    assert await trouble(tmp_path / "no" / "folder") is DiskState.MISSING


async def test_a_small_device_is_refused(tmp_path: Path):
    with loop_device(tmp_path / "image", size=SLOTS * 4096) as device:
        assert await trouble(device) is DiskState.TOO_SMALL


async def test_members_that_stay_keep_their_slots_and_what_is_in_them(tmp_path: Path):
    path = tmp_path / "file"
    before = (await formatted(path, ABC)).volume
    record = b"the record of c"
    with path.open("r+b") as file:
        for slot in (1, 2):
            file.seek(before.offset(slot))
            file.write(record)
        os.fsync(file.fileno())
    done = await formatted(path, cluster("d", "c", "a"))
    assert done.outcome is Outcome.UPDATED
    assert done.volume.members[:4] == ("a", "d", "c", "")
    assert (done.volume.disk, done.volume.revision) == (before.disk, 2)
    content = path.read_bytes()
    assert content[before.offset(2) :].startswith(record)
    assert not any(content[before.offset(1) : before.offset(2)]), "d begins with a blank slot"


async def test_more_members_than_slots_are_refused(tmp_path: Path):
    await formatted(tmp_path / "file", ABC)
    with pytest.raises(StateError):
        await formatted(tmp_path / "file", cluster(*(f"m{n}" for n in range(SLOTS + 1))))
