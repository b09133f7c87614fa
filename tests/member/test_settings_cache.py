"""What a member keeps of the settings: whole, of this cluster, or nothing."""

from pathlib import Path

import pytest
from msgspec import structs

from standfast.member.settings_cache import FILE, SettingsCache
from standfast.model.records import SettingsRecord
from standfast.model.timing import PROFILES

RECORD = SettingsRecord(
    cluster_id="one", members=("a",), timing=PROFILES["cautious"], term_ceiling_ms=15_000, edition=4
)


async def test_what_was_kept_last_is_there_at_the_next_start(tmp_path: Path) -> None:
    cache = SettingsCache(tmp_path, "one")
    assert cache.load() is None
    for edition in range(4):
        cache.keep(structs.replace(RECORD, edition=edition))
    cache.keep(RECORD)
    await cache.close()
    assert SettingsCache(tmp_path, "one").load() == RECORD
    assert SettingsCache(tmp_path, "another").load() is None


@pytest.mark.parametrize("left", [0, 20, -1])
async def test_one_that_was_cut_short_is_told_of_and_not_used(tmp_path: Path, left: int) -> None:
    cache = SettingsCache(tmp_path, "one")
    cache.keep(RECORD)
    await cache.close()
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:left])
    cache = SettingsCache(tmp_path, "one")
    assert cache.load() is None
    assert cache.trouble


async def test_a_disk_that_takes_nothing_is_told_of(tmp_path: Path) -> None:
    cache = SettingsCache(tmp_path / "missing", "one")
    cache.keep(RECORD)
    await cache.close()
    assert cache.trouble
