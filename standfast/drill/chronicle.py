"""The cluster's own account of a drill: its event log, each event once, and the moments in it that explain an outage.

Events carry wall-clock times of members on this machine; they are turned into CLOCK_BOOTTIME with the offset between
the two clocks at the begin of the drill.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from msgspec import structs

from standfast.drill.outage import Fault
from standfast.errors import StandfastError
from standfast.lab.reach import Reach
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import EventLine, Events
from standfast.model.events import EventKind
from standfast.ports import boottime_ns

NS_PER_MS = 1_000_000
AGAIN_S = 0.05
ASK_S = 1.0
SHOWN = 200

_DETECTED = frozenset({EventKind.MEMBER_EVICTED, EventKind.QM_FAILED, EventKind.QM_MOVING, EventKind.QM_RELEASED})
_DECIDED = frozenset({EventKind.QM_STARTING, EventKind.QM_FAILED})


class Chronicle:
    """Follows the event log of a cluster through whichever member answers."""

    def __init__(self, reach: Reach, qm: str) -> None:
        self._reach = reach
        self._qm = qm
        self._offset_ns = time.time_ns() - boottime_ns()
        self._since = 0
        self._seen: set[tuple[int, str, str]] = set()
        self.stored: list[EventLine] = []
        """Every stored event, in the store's order."""
        self.recent: deque[EventLine] = deque(maxlen=SHOWN)

    async def run(self) -> None:
        """Follow, for ever, from member to member as they come and go."""
        while True:
            for socket in self._reach.sockets.values():
                with contextlib.suppress(StandfastError, OSError):
                    await self._follow(socket)
            await asyncio.sleep(AGAIN_S)

    async def whole_log(self) -> list[EventLine]:
        """Everything stored so far, read once more from the begin."""
        async with await self._reach.anyone() as member:
            return [line async for line in member.events(Events(0, follow=False)) if line.revision]

    async def _follow(self, socket: Path) -> None:
        async with ControlClient(socket, ASK_S) as member:
            # One revision back: a connection may have ended in the middle of a transaction's events.
            async for line in member.events(Events(max(0, self._since - 1), follow=True)):
                self._take(line)

    def _take(self, line: EventLine) -> None:
        key = (line.revision, line.kind, line.subject)
        if line.revision and key not in self._seen:
            self._seen.add(key)
            self.stored.append(line)
            self.recent.append(line)
            self._since = max(self._since, line.revision)

    def at_ns(self, line: EventLine) -> int:
        """When it was told, on CLOCK_BOOTTIME."""
        return line.at_unix_ms * NS_PER_MS - self._offset_ns

    def explained(self, faults: Sequence[Fault]) -> list[Fault]:
        """The faults with the moments of the cluster's answer filled in."""
        ends = [*(fault.at_ns for fault in faults), boottime_ns()][1:]
        return [self._explain(fault, end) for fault, end in zip(faults, ends, strict=True)]

    def _explain(self, fault: Fault, until_ns: int) -> Fault:
        during = [line for line in self.stored if fault.at_ns - NS_PER_MS <= self.at_ns(line) < until_ns]
        running = next((line for line in during if self._is(line, EventKind.QM_RUNNING)), None)
        if running is None:
            return fault
        before = during[: during.index(running)]
        detected = next((line for line in before if line.kind in _DETECTED), None)
        decided = next((line for line in reversed(before) if line.kind in _DECIDED and line.subject == self._qm), None)
        return structs.replace(
            fault,
            detected_ns=self.at_ns(detected) if detected else None,
            decided_ns=self.at_ns(decided) if decided else None,
            running_ns=self.at_ns(running),
        )

    def _is(self, line: EventLine, kind: EventKind) -> bool:
        return line.kind == kind and line.subject == self._qm

    def breaches(self, log: Sequence[EventLine]) -> list[str]:
        """What the log itself shows to be broken, a sentence each."""
        found = []
        epochs = [int(str(line.fields["epoch"])) for line in log if self._is(line, EventKind.QM_ASSIGNED)]
        if any(later <= earlier for earlier, later in pairwise(epochs)):
            found.append(f"The epochs of {self._qm} did not grow with each change of owner: {epochs}.")
        told = Counter((line.revision, line.kind, line.subject, *line.fields.items()) for line in log)
        doubled = [f"{kind} {subject}" for (_, kind, subject, *_), times in told.items() if times > 1]
        if doubled:
            found.append(f"Events stand in the log more than once: {', '.join(doubled)}.")
        return found
