"""Takeovers while sinks fail at random: what of the log each queue has in the end."""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

from tests.alerts.receivers import Receiver, Web
from tests.real.alerts.stage import logged, sequences
from tests.real.running import QM, Running

SETTLE_S = 120.0


async def campaign(
    running: Running, draw: random.Random, takeovers: int, receivers: Mapping[str, Receiver], hook: Web
) -> dict[str, Any]:
    """Kill owners, and now and then the coordinator, while sinks come and go; then count what each queue misses.

    Those that can be stopped are; the hook answers errors at times.
    """
    fallible = [receiver for receiver in receivers.values() if receiver.process is not None]
    done = 0
    while done < takeovers:
        owner = await running.owner()
        victims = [owner, running.witness] if draw.random() < 0.2 else [owner]
        down = [receiver for receiver in fallible if draw.random() < 0.4]
        hook.status = draw.choice([204, 204, 500])
        for receiver in down:
            receiver.stop()
        await asyncio.sleep(draw.uniform(0, 1))
        running.lab.nodes[owner].kill()
        await running.lab.until_running(QM, on=running.other(owner))
        if running.witness in victims:
            running.lab.nodes[running.witness].kill()
            await asyncio.sleep(draw.uniform(0, 2))
        for receiver in down:
            receiver.start()
        await running.back(*victims)
        done += 1
    hook.status = 204
    until_s = time.monotonic() + SETTLE_S
    while True:
        log = {*await logged(running)}
        lost, doubles, order = {}, {}, {}
        for name, receiver in receivers.items():
            events = await receiver.events()
            got = sequences(events)
            lost[name] = sorted(log - {*got})
            doubles[name] = len([e for e in events if "sequence" in e]) - len(got)
            order[name] = got == sorted(got)
        if not any(lost.values()) or time.monotonic() > until_s:
            break
        await asyncio.sleep(0.5)
    return {
        "takeovers": takeovers,
        "events": len(log),
        "lost": {name: len(missing) for name, missing in lost.items()},
        "doubled": doubles,
        "in_order": order,
    }
