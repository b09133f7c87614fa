"""Whether storage can be shared by two machines: what is tried, what is found, and the verdict.

`examine` carries the steps out with two sides and gives back a Report; every step stands alone, so that one that
hangs or fails leaves the others their say. The verdict is made from the findings alone.

What it can not show: that acknowledged data survive a power cut of the *server*, which only its makers can promise; and
how long a lock outlives its holder's *machine*, unless somebody cuts that machine's power while it holds one.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import Any

from msgspec import Struct

from standfast.storage.mounts import FAULTS, Mount, MountFault, faults
from standfast.storage.verify_sides import BYE, STEP_S, Here, Hung, Side, There, WentWrong

BLOCKS = 2048
"""Of 4 KiB, in the test of integrity: 8 MiB."""
ROUNDS = 60
"""Additions of each side to the shared number."""
WRITES = 300
"""Synced writes of each side in the test of latency."""
LOCKS = ("ofd", "posix", "flock")
"""Standfast's own, IBM MQ's and most others', and those of a few."""
RELEASE_S = 20.0
"""Longest wait for the lock of a process that was killed."""
SEEN_S = 75.0
"""Longest wait for a replaced file: an NFS client caches attributes for up to 60 s."""
CLOCK_MS = 1000.0
"""Difference of clocks from which on it is remarked upon."""
SLOW_MS = 100.0
"""99th percentile of a synced write from which on it is remarked upon."""
FRESH_S = 65.0
"""Longest time that another machine may go on seeing a replaced file's predecessor without a remark."""
BEAT_S = 0.2
SILENCE_S = 4.0
"""Without an answer for so long the other machine counts as dead; what is measured begins at its last answer."""
CUT_S = 900.0
"""Longest wait for the lock of a machine whose power was cut, the time that its operator needs included."""


class Step(StrEnum):
    """What is tried, in this order."""

    PLACE = "place"
    SHARED = "shared"
    INTEGRITY = "integrity"
    COUNTING = "counting"
    EXCLUSION = "exclusion"
    RELEASE = "release"
    LATENCY = "latency"
    CLOCK = "clock"
    HANDLES = "handles"
    POWER_CUT = "power_cut"


class State(StrEnum):
    """How a step ended."""

    FINE = "fine"
    REMARK = "remark"  # it works; an operator should know
    FAILED = "failed"
    HUNG = "hung"
    SKIPPED = "skipped"


class Finding(Struct, frozen=True, kw_only=True):
    """What one step found.

    Attributes:
        step: which.
        state: how it ended.
        codes: what was wrong, short words; a MountFault's, a kind of lock, an error's name.
        values: what was measured, units in the names; of the other side with `there_` in front.
        detail: what the file system answered, for people.
    """

    step: Step
    state: State
    codes: tuple[str, ...] = ()
    values: dict[str, float | int | str | None] = {}
    detail: str = ""


class Verdict(StrEnum):
    """Whether it can be shared."""

    FIT = "fit"
    FIT_WITH_REMARKS = "fit_with_remarks"
    UNFIT = "unfit"


class Report(Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        path: of the directory.
        verdict: see Verdict.
        findings: one for each step.
        machines: how many took part.
        takeover_floor_s: how long the lock of a machine that died outlived it, in seconds: no takeover after the death
            of a machine is faster on this storage. None: not measured.
    """

    path: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    machines: int
    takeover_floor_s: float | None


def verdict(findings: Iterable[Finding]) -> Verdict:
    """From the findings alone."""
    states = {finding.state for finding in findings}
    if states & {State.FAILED, State.HUNG}:
        return Verdict.UNFIT
    return Verdict.FIT_WITH_REMARKS if State.REMARK in states else Verdict.FIT


async def examine(
    path: str, meet_s: float, *, alone: bool, cut: Callable[[], None] | None, tell: Callable[[Step], None]
) -> Report:
    """Try everything. `meet_s`: how long the other side may take to come; `cut`: asks the operator to cut its power."""
    here = Here(path)
    second = Here(path) if alone else None
    there: Side = second or There(here, secrets.token_hex(8))
    examination = _Examination(here, there, meet_s, cut)
    findings: list[Finding] = []
    try:
        for step in Step:
            tell(step)
            findings.append(await examination.run(step))
            if step in _NEEDED and findings[-1].state in {State.FAILED, State.HUNG}:
                break
        if examination.met:
            await examination.end()
    finally:
        here.close()
        if second:
            second.close()
    done = {finding.step for finding in findings}
    findings += [Finding(step=step, state=State.SKIPPED) for step in Step if step not in done]
    return Report(
        path=path,
        verdict=verdict(findings),
        findings=tuple(findings),
        machines=examination.machines,
        takeover_floor_s=examination.floor_s,
    )


_NEEDED = frozenset({Step.PLACE, Step.SHARED})
"""Steps without which the others say nothing."""


class _Examination:
    def __init__(self, here: Here, there: Side, meet_s: float, cut: Callable[[], None] | None) -> None:
        self._here, self._there = here, there
        self._meet_s = meet_s
        self._cut = cut
        self._facts: dict[str, Any] = {}
        self.machines = 1
        self.met = False
        self.floor_s: float | None = None

    async def run(self, step: Step) -> Finding:
        """One step; what it raises is its finding."""
        do: Callable[[], Awaitable[Finding]] = getattr(self, f"_{step}")
        try:
            return await do()
        except Hung as hung:
            return Finding(step=step, state=State.HUNG, detail=str(hung))
        except WentWrong as error:
            return Finding(step=step, state=State.FAILED, codes=(f"errno_{error.errno}",), detail=str(error))

    async def end(self) -> None:
        """Let the other side go, and leave nothing behind. What hangs now was said before."""
        try:
            if isinstance(self._there, There):
                await self._there.ask(BYE)
            await self._here.ask("clear", keep=False)
        except (Hung, WentWrong):
            pass

    async def _place(self) -> Finding:
        self._facts = await self._here.begin(clean=True)
        return _placed(self._facts)

    async def _shared(self) -> Finding:
        """The other side answers, from the same storage."""
        if isinstance(self._there, Here):
            facts = await self._there.begin(clean=False)
        else:
            facts = await self._there.ask("begin", within_s=self._meet_s)
        self.met = True
        self.machines = 1 if facts["boot"] == self._facts["boot"] else 2
        found = _placed(facts)
        values = {**found.values, "there_host": facts["host"], "machines": self.machines}
        return Finding(step=Step.SHARED, state=found.state, codes=found.codes, values=values)

    async def _integrity(self) -> Finding:
        """What one writes the other reads, block by block, also where both wrote."""
        bad: dict[str, float | int | str | None] = {"blocks": BLOCKS}
        await self._here.ask("write", seed="one", blocks=BLOCKS, parity=None)
        read = await self._there.ask("compare", even="one", odd="one", blocks=BLOCKS)
        await self._there.ask("write", seed="two", blocks=BLOCKS, parity=1)
        woven = await self._here.ask("compare", even="one", odd="two", blocks=BLOCKS)
        bad |= {"there_bad": read["bad"], "bad": woven["bad"]}
        return _judged(Step.INTEGRITY, bad, failed=bool(read["bad"] or woven["bad"]))

    async def _counting(self) -> Finding:
        """Both add to one number under the lock, at the same time: none is lost."""
        await asyncio.gather(self._here.ask("count", rounds=ROUNDS), self._there.ask("count", rounds=ROUNDS))
        value = (await self._here.ask("counted"))["value"]
        values = {"counted": value, "expected": 2 * ROUNDS}
        return _judged(Step.COUNTING, values, failed=value != 2 * ROUNDS)

    async def _exclusion(self) -> Finding:
        """While one holds the lock the other is refused, in both directions, for each kind of lock."""
        shared = []
        for kind in LOCKS:
            for one, other in ((self._here, self._there), (self._there, self._here)):
                first = (await one.ask("lock", kind=kind))["got"]
                second = (await other.ask("lock", kind=kind))["got"]
                await one.ask("unlock")
                after = (await other.ask("wait", kind=kind, patience_s=RELEASE_S))["waited_s"]
                await other.ask("unlock")
                if not first or second or after is None:
                    shared.append(kind)
        return _judged(Step.EXCLUSION, {}, failed=bool(shared), codes=tuple(dict.fromkeys(shared)))

    async def _release(self) -> Finding:
        """The process that holds the lock is killed: how long until the other side has it."""
        await self._there.ask("lock", hand="hold", kind="ofd")
        began = time.monotonic()
        await self._there.kill("hold")
        asked_s = time.monotonic() - began
        waited_s = (await self._here.ask("wait", within_s=2 * RELEASE_S, kind="ofd", patience_s=RELEASE_S))["waited_s"]
        await self._here.ask("unlock")
        values = {"released_s": None if waited_s is None else asked_s + waited_s}
        return _judged(Step.RELEASE, values, failed=waited_s is None)

    async def _latency(self) -> Finding:
        within_s = WRITES * 1.0
        mine = await self._here.ask("latency", within_s=within_s, writes=WRITES)
        theirs = await self._there.ask("latency", within_s=within_s, writes=WRITES)
        values = {**mine, **_there(theirs), "writes": WRITES}
        slow = max(mine["p99_ms"], theirs["p99_ms"]) > SLOW_MS
        return _judged(Step.LATENCY, values, remark=slow, codes=("slow",) if slow else ())

    async def _clock(self) -> Finding:
        mine, theirs = await self._here.ask("clock"), await self._there.ask("clock")
        apart = abs(mine["ahead_ms"] - theirs["ahead_ms"])
        off = max(abs(mine["ahead_ms"]), abs(theirs["ahead_ms"]), apart) > CLOCK_MS
        return _judged(Step.CLOCK, {**mine, **_there(theirs)}, remark=off, codes=("apart",) if off else ())

    async def _handles(self) -> Finding:
        """A file replaced by the other side: what an open handle says, and when the name shows the new one."""
        await self._here.ask("replace", text="old")
        if (await self._there.ask("see", within_s=SEEN_S + 5, text="old", patience_s=SEEN_S))["seen_s"] is None:
            return _judged(Step.HANDLES, {}, failed=True, codes=("not_seen",))
        await self._here.ask("keep", hand="hold")
        await self._there.ask("replace", text="new")
        seen_s = (await self._here.ask("see", within_s=SEEN_S + 5, text="new", patience_s=SEEN_S))["seen_s"]
        kept = await self._here.ask("reread", hand="hold")
        values = {"seen_s": seen_s, "kept_handle": "stale" if kept["stale"] else kept["text"]}
        if seen_s is None:
            return _judged(Step.HANDLES, values, failed=True, codes=("not_seen",))
        late = seen_s > FRESH_S
        return _judged(Step.HANDLES, values, remark=late, codes=("seen_late",) if late else ())

    async def _power_cut(self) -> Finding:
        """The machine that holds the lock dies: how long until this one has it."""
        if self._cut is None or not isinstance(self._there, There):
            return Finding(step=Step.POWER_CUT, state=State.SKIPPED)
        if not (await self._there.ask("lock", hand="hold", kind="ofd"))["got"]:
            return _judged(Step.POWER_CUT, {}, failed=True, codes=("ofd",))
        self._cut()
        self.met = False
        waiting = asyncio.create_task(
            self._here.ask("wait", hand="hold", within_s=CUT_S + STEP_S, kind="ofd", patience_s=CUT_S)
        )
        last = await self._last_word(waiting)
        if (await waiting)["waited_s"] is None:
            return _judged(Step.POWER_CUT, {}, failed=True, codes=("never",))
        if last is None:
            return _judged(Step.POWER_CUT, {}, failed=True, codes=("given_away",))
        self.floor_s = time.monotonic() - last
        return _judged(Step.POWER_CUT, {"released_s": self.floor_s})

    async def _last_word(self, waiting: asyncio.Task[dict[str, Any]]) -> float | None:
        """When the other side was last alive; None when it still was as its lock was got here."""
        assert isinstance(self._there, There)
        last = time.monotonic()
        while not waiting.done():
            asked = time.monotonic()
            try:
                await self._there.ask("peek", within_s=0.0, way_s=SILENCE_S, box="none")
            except Hung:
                return last
            last = asked
            await asyncio.sleep(BEAT_S)
        return None


def _there(values: dict[str, Any]) -> dict[str, Any]:
    return {f"there_{name}": value for name, value in values.items()}


def _judged(
    step: Step, values: dict[str, Any], *, failed: bool = False, remark: bool = False, codes: tuple[str, ...] = ()
) -> Finding:
    state = State.FAILED if failed else State.REMARK if remark else State.FINE
    return Finding(step=step, state=state, codes=codes, values=values)


def _placed(facts: dict[str, Any]) -> Finding:
    """What one side says of its mount."""
    mount = Mount(**facts["mount"]) if facts["mount"] else None
    found: list[MountFault] = faults(mount) if mount else []
    values: dict[str, Any] = {"host": facts["host"], "free_bytes": facts["free_bytes"]}
    if mount:
        values |= {"kind": mount.kind, "source": mount.source, "version": mount.options.get("vers")}
    severe = any(FAULTS[fault].severe for fault in found)
    return _judged(Step.PLACE, values, failed=severe, remark=bool(found), codes=tuple(map(str, found)))


__all__ = ["Finding", "Report", "State", "Step", "Verdict", "examine", "verdict"]
