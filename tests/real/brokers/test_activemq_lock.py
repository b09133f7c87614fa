"""What is particular to ActiveMQ: it looks at its lock again and again, and waits for one that is still held."""

import asyncio
from pathlib import Path

from msgspec import structs

from standfast.managers.activemq import ActiveMq
from tests.managers.broker import place_for, started, within_s

PERIOD_MS = 300


async def test_one_whose_lock_was_taken_ends_by_itself_and_one_that_waits_for_it_serves(tmp_path: Path) -> None:
    place = place_for(ActiveMq(), tmp_path, lock_check_ms=PERIOD_MS)
    other = structs.replace(place_for(ActiveMq(), tmp_path), run_dir=tmp_path / "other")
    other.run_dir.mkdir()
    async with started(ActiveMq(), place) as broker:
        await broker.ready()
        (place.data_dir / "activemq" / "kahadb" / "lock").unlink()  # as a server does that forgot its locks
        assert await asyncio.wait_for(broker.process.wait(), within_s(ActiveMq(), 5)) >= 0
    async with started(ActiveMq(), place) as holder:
        await holder.ready()
        async with started(ActiveMq(), other) as waiting:
            async with asyncio.timeout(within_s(ActiveMq(), 5)):
                while "SharedFileLocker" not in await waiting.output():  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
            await holder.kill()
            await waiting.ready()
