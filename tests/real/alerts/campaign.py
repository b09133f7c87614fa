"""Takeovers while sinks fail at random: what of the log each queue has in the end.

Every second owner dies, and now and then the coordinator with it; the others are asked to hand over, or die as well
where nobody is there to hand over to. Meanwhile sinks are killed, hang, or answer errors.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Mapping
from typing import Any

from standfast.member.control_protocol import Clear, Move
from standfast.model.records import MemberState
from standfast.quorum.signals import Verdict
from tests.alerts.receivers import Program, Receiver, Web
from tests.real.alerts.stage import logged, sequences
from tests.real.running import QM, Running

SETTLE_S = 120.0
HANGS, IS_KILLED, REFUSES = "hangs", "is killed", "refuses"


class Moods:
    """Which sinks fail now, and how."""

    def __init__(self, draw: random.Random, receivers: Mapping[str, Receiver], hook: Web) -> None:
        self._draw = draw
        self._hook = hook
        self._fallible = {name: one for name, one in receivers.items() if isinstance(one, Program) and one.process}
        self._now: dict[str, str] = {}
        self.counts = dict.fromkeys((HANGS, IS_KILLED, REFUSES), 0)

    def spoil(self) -> None:
        """Some of them, at random. Those that start for seconds are killed more seldom."""
        for name, receiver in self._fallible.items():
            if self._draw.random() < 0.4:
                killed = self._draw.random() < (0.1 if receiver.starts_slowly else 0.6)
                self._now[name] = IS_KILLED if killed else HANGS
                if killed:
                    receiver.stop()
                else:
                    self._signal(receiver, signal.SIGSTOP)
        self._hook.status = self._draw.choice([204, 204, 500])
        if self._hook.status != 204:
            self.counts[REFUSES] += 1

    async def mend(self) -> None:
        """All of them."""
        now, self._now = self._now, {}
        for name, mood in now.items():
            self.counts[mood] += 1
            if mood is HANGS:
                self._signal(self._fallible[name], signal.SIGCONT)
        killed = [self._fallible[name] for name, mood in now.items() if mood is IS_KILLED]
        await asyncio.gather(*(asyncio.to_thread(receiver.start) for receiver in killed))
        self._hook.status = 204

    def _signal(self, receiver: Program, number: signal.Signals) -> None:
        assert receiver.process is not None
        os.killpg(receiver.process.pid, number)


async def campaign(
    running: Running, draw: random.Random, takeovers: int, receivers: Mapping[str, Receiver], hook: Web
) -> dict[str, Any]:
    """So many takeovers; then count what each queue misses."""
    moods, began_s = Moods(draw, receivers, hook), time.monotonic()
    handed_over = 0
    for number in range(takeovers):
        owner, epoch = await running.placing()
        other = running.other(owner)
        moods.spoil()
        await asyncio.sleep(draw.uniform(0, 1))
        if number % 2 and (await running.member(other)).state is MemberState.ONLINE:
            await _moved(running, epoch)
            handed_over += 1
            await asyncio.sleep(draw.uniform(0, 1))
            await moods.mend()
            continue
        running.lab.nodes[owner].kill()
        await running.lab.until_running(QM, on=other)
        victims = [owner]
        if draw.random() < 0.4:  # who delivers from the log dies, too
            victims.append(running.witness)
            running.lab.nodes[running.witness].kill()
            await asyncio.sleep(draw.uniform(0, 2))
        await asyncio.gather(moods.mend(), _up(running, *victims))
    took_s = time.monotonic() - began_s
    return {
        "takeovers": takeovers,
        "handed_over": handed_over,
        "took_s": round(took_s),
        "sinks_failed": moods.counts,
        **await _counted(running, receivers),
    }


async def _up(running: Running, *names: str) -> None:
    """Started and answering. Not online: who died often waits for minutes, and is back at once when it is needed."""
    running.lab.up(names)
    await running.lab.until(lambda _: True, seen_by=names)
    await running.queue_manager()


async def _moved(running: Running, epoch: int) -> None:
    """Have it handed over, however often that must be asked: who died too often is in quarantine."""
    async with asyncio.timeout(SETTLE_S):
        while (found := await running.placing())[1] == epoch:
            target = running.other(found[0])
            if await running.order(Move(QM, target)) is not Verdict.DONE:
                await running.order(Clear(target))
            await asyncio.sleep(0.2)


async def _counted(running: Running, receivers: Mapping[str, Receiver]) -> dict[str, Any]:
    """Once everything has arrived, or SETTLE_S later."""
    until_s = time.monotonic() + SETTLE_S
    while True:
        log = {*await logged(running)}
        lost, doubles, order = {}, {}, {}
        for name, receiver in receivers.items():
            events = await receiver.events()
            got = sequences(events)
            lost[name] = len(log - {*got})
            doubles[name] = len([e for e in events if "sequence" in e]) - len(got)
            order[name] = got == sorted(got)
        if not any(lost.values()) or time.monotonic() > until_s:
            return {"events": len(log), "lost": lost, "doubled": doubles, "in_order": order}
        await asyncio.sleep(0.5)
