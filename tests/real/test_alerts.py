"""Events of a real cluster reach real sinks through takeovers: queues by the log, others from each member at once."""

import asyncio
import json

from standfast.errors import UsageError
from standfast.member.alert_protocol import AlertReport, TestAlert
from tests.real.alerts.stage import WITHIN_S, has_all, staged
from tests.real.running import QM, standfast


async def test_every_event_reaches_every_sink_through_takeovers(tmp_path) -> None:
    async with staged(tmp_path) as (running, receivers):
        await receivers["own"].prepare()
        mqtt, traps, hook, own = (receivers[name] for name in ("mqtt", "traps", "hook", "own"))

        # The owner dies, with the sink that it ran.
        owner = await running.owner()
        running.lab.nodes[owner].kill()
        await running.lab.until_running(QM, on=running.other(owner))
        await has_all(running, own)
        await has_all(running, mqtt)

        # The one that delivers dies while a sink is down.
        mqtt.stop()
        await running.back(owner)
        running.lab.nodes[running.witness].kill()
        async with await running.lab.anyone() as member:
            report = await member.ask(TestAlert("mqtt"), AlertReport)
        assert [bool(one.detail) for one in report.tried] == [True]
        mqtt.start()
        await running.back(running.witness)
        for receiver in (mqtt, own):
            await has_all(running, receiver)

        # What needs no store was told by whoever saw it.
        for receiver in (traps, hook):
            kinds = {event["type"].removeprefix("standfast.") for event in await receiver.events()}
            assert {"member_evicted", "qm_assigned", "qm_starting", "qm_running", "link_lost"} <= kinds

        # An operator tries them all, and one that is none.
        socket = running.lab.sockets[running.witness]
        tried, code = {"": "not yet"}, -1
        async with asyncio.timeout(WITHIN_S):
            while any(tried.values()):  # a courier that has just begun may miss the deadline on a busy machine
                told = await asyncio.to_thread(standfast, "alert", "test", "--socket", socket, "--json")
                tried, code = {one["sink"]: one["detail"] for one in json.loads(told.stdout)["tried"]}, told.returncode
        assert (tried, code) == (dict.fromkeys(("mqtt", "traps", "hook", "own"), ""), 0)
        unknown = await asyncio.to_thread(standfast, "alert", "test", "nobody", "--socket", socket)
        assert unknown.returncode == UsageError.exit_code
