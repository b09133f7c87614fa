"""The faults of the demonstration and of drills: what is done, and what must then be true.

Each act leaves the cluster as it found it, so that acts can be put in any order. A promise seen broken is returned as
a sentence, never raised: the drill goes on and reports everything.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from standfast.drill.stage import Stage
from standfast.errors import UsageError
from standfast.lab.reach import queue_manager
from standfast.member.control_protocol import Move, OrderResult
from standfast.member.report import StatusReport
from standfast.model.records import MemberState, Phase
from standfast.model.timing import NS_PER_MS
from standfast.quorum.runs import RunState
from standfast.quorum.signals import Verdict

LATE_MS = 50
"""What a loaded machine may need between the end of a process and this drill's seeing it."""


class Act(NamedTuple):
    """One act: a name for the command line, a title, and how it is played."""

    name: str
    title: str
    play: Callable[[Stage], Awaitable[None]]


async def _kill_node(stage: Stage) -> None:
    owner, epoch = await stage.owner(), await stage.epoch()
    stage.mark(f"power off {owner}", f"SIGKILL to daemon, warden, etcd and {stage.qm} of {owner} at once")
    stage.lab.nodes[owner].kill()
    await stage.lab.until_running(stage.qm, epoch=epoch + 1)


async def _return_nodes(stage: Stage) -> None:
    back = [name for name, node in stage.lab.nodes.items() if node.pid is None]
    stage.mark(f"{' and '.join(back)} back", "Started again; nothing moves back by itself")
    stage.lab.up()
    await stage.lab.until_whole()
    await stage.lab.until_running(stage.qm)


async def _kill_queue_manager(stage: Stage) -> None:
    owner = await stage.owner()
    pid = stage.sightings.process(owner)
    if pid is None:
        raise UsageError(f"{stage.qm} runs on {owner}, which is not this machine: play this act there.")
    stage.mark(f"kill {stage.qm}", f"SIGKILL to {stage.qm} alone; {owner} starts it again in place")
    os.kill(pid, signal.SIGKILL)

    def serves_again(report: StatusReport) -> bool:
        found = queue_manager(report, stage.qm)
        fresh = stage.sightings.process(owner) not in (None, pid)
        return fresh and found is not None and found.local is RunState.SERVING

    await stage.reach.until(serves_again, seen_by=[owner])
    await stage.reach.until_running(stage.qm)


async def _freeze_daemon(stage: Stage) -> None:
    owner, epoch = await stage.owner(), await stage.epoch()
    node, term_ms = stage.lab.nodes[owner], stage.lab.cluster.timing.term_ms
    at_ns = stage.mark(f"freeze daemon on {owner}", f"SIGSTOP to the daemon of {owner}: its warden must act")
    node.pause()
    try:
        await _gone_in_time(stage, owner, at_ns, term_ms)
        await stage.lab.until(
            lambda report: _runs_since(stage, report, epoch + 1),
            seen_by=[name for name in stage.others(owner) if name != stage.witness()],
        )
    finally:
        node.resume()
    await stage.lab.until_whole()


def _runs_since(stage: Stage, report: StatusReport, epoch: int) -> bool:
    found = queue_manager(report, stage.qm)
    return found is not None and found.epoch >= epoch and found.phase is Phase.RUNNING


async def _gone_in_time(stage: Stage, member: str, since_ns: int, term_ms: int) -> None:
    """The queue manager must be gone from a member within one term of the last heartbeat, which was before `since`."""
    gone_ns = await stage.sightings.until_gone(member, within_s=2 * term_ms / 1000)
    if gone_ns is None:
        stage.breaches.append(f"{stage.qm} still ran on {member} two terms after it lost the majority.")
    elif gone_ns - since_ns > (term_ms + LATE_MS) * NS_PER_MS:
        late_ms = (gone_ns - since_ns) // NS_PER_MS - term_ms
        stage.breaches.append(f"{stage.qm} ran on {member} for {late_ms} ms after its lease had ended.")


async def _move(stage: Stage) -> None:
    owner = await stage.owner()
    to = next(name for name in stage.data() if name != owner)
    stage.mark(f"move to {to}", f"standfast move {stage.qm} {to}")
    async with await stage.reach.anyone() as member:
        result = await member.ask(Move(stage.qm, to), OrderResult)
    if result.verdict is not Verdict.DONE:
        stage.breaches.append(f"The move of {stage.qm} to {to} was refused: {result.verdict}.")
        return
    await stage.reach.until_running(stage.qm, on=to)


async def _kill_witness(stage: Stage) -> None:
    witness = stage.witness()
    stage.mark(f"power off {witness}", "The witness dies: two of three are left, nothing must happen")
    stage.lab.nodes[witness].kill()
    await stage.lab.until(
        lambda report: not any(m.name == witness and m.state is MemberState.ONLINE for m in report.members),
        seen_by=stage.others(witness),
    )


async def _kill_second(stage: Stage) -> None:
    owner = await stage.owner()
    second = next(name for name, node in stage.lab.nodes.items() if node.pid is not None and name != owner)
    term_ms = stage.lab.cluster.timing.term_ms
    at_ns = stage.mark(f"power off {second} too", f"The majority is gone: {owner} must stop {stage.qm} in time")
    stage.lab.nodes[second].kill()
    await _gone_in_time(stage, owner, at_ns, term_ms)


ACTS: tuple[Act, ...] = (
    Act("kill-node", "The active node loses power", _kill_node),
    Act("return", "The dead come back", _return_nodes),
    Act("kill-queue-manager", "The queue manager dies", _kill_queue_manager),
    Act("freeze-daemon", "The active daemon hangs", _freeze_daemon),
    Act("move", "A planned move", _move),
    Act("kill-witness", "The witness loses power", _kill_witness),
    Act("kill-second", "A second member loses power", _kill_second),
)
BY_NAME = {act.name: act for act in ACTS}
DEMO = (
    "kill-node",
    "return",
    "kill-queue-manager",
    "freeze-daemon",
    "move",
    "kill-witness",
    "kill-second",
    "return",
)
"""The order of the demonstration."""
