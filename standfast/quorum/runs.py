"""One queue manager's life on its owner: what runs, since when, and what became of it.

States, and what moves between them::

    idle ---launch---> launching ---ready---> serving          (found alive: launching, serving or stopping)
     ^                     |                     |
     |                     +--- exit, refusal ---+---> idle (restart after a pause, or `failed`)
     +------- exit ------- stopping <---- stop ------- launching, serving

`launching`, `serving` and `stopping` mean that a process may exist.
"""

from enum import StrEnum

from standfast.model.cluster import QueueManagerSpec
from standfast.model.events import Event
from standfast.model.records import Assignment
from standfast.quorum.signals import Survivor

NS_PER_S = 1_000_000_000
ENDED_BY_LEASE = "lease"
"""The code of an end that the warden brought about because the lease ran out: nobody's fault here."""
HELD = "locked"
"""The code of a start that was refused because somebody else holds the storage."""
UNWATCHED = "unwatched"
"""The code of an end that came while no daemon lived to hear of it."""
FIRST_PAUSE_NS = 200_000_000
"""Pause before the second restart in the window; doubled for each one after it. The first is immediate."""
LONGEST_TURN_NS = 10_000_000_000
"""A start that takes longer keeps no other one waiting: a few that hang must not hold up hundreds."""
LONGEST_PAUSE_NS = 10_000_000_000
"""Between two attempts to have its former owner fenced."""


class RunState(StrEnum):
    """See the drawing at the top."""

    IDLE = "idle"
    LAUNCHING = "launching"
    SERVING = "serving"
    STOPPING = "stopping"


class StopReason(StrEnum):
    """Why the owner stops its queue manager."""

    NONE = ""
    LEASE = "lease"  # the lease is about to end
    TOLD_TO_GO = "told_to_go"  # the member is evicting, evicted or superseded
    MOVING = "moving"  # another member shall run it
    LEAVING = "leaving"  # the daemon ends
    UNRESPONSIVE = "unresponsive"  # it does not answer; it is started again
    HALTED = "halted"  # an operator wants it stopped
    NOT_OWNER = "not_owner"  # it is not this member's any more


PLANNED = frozenset({StopReason.MOVING, StopReason.LEAVING, StopReason.HALTED})
"""Stops that can wait until clients have been drained."""


class Run:
    """The process (or its absence) of one queue manager under one epoch."""

    __slots__ = (
        "_stored",
        "_unfenced",
        "asked_revision",
        "complaint",
        "deadline_ns",
        "epoch",
        "failed",
        "fences",
        "held",
        "killed",
        "launched_ns",
        "not_before_ns",
        "restarts_ns",
        "since_ns",
        "spec",
        "state",
        "stop_reason",
        "stuck",
        "told",
        "version",
        "waits_for",
    )

    def __init__(self, spec: QueueManagerSpec, assignment: Assignment, now_ns: int) -> None:
        self.spec = spec
        self.epoch = assignment.epoch
        self.state = RunState.IDLE
        self.since_ns = now_ns
        self.launched_ns = now_ns
        self.deadline_ns = 0
        self.not_before_ns = 0
        self.restarts_ns: list[int] = []
        self.stop_reason = StopReason.NONE
        self.failed = ""
        """Why this member can not run it under this epoch; empty while it may try."""
        self.complaint = ""
        """Why it is being stopped, when that is its own fault: what counts then, not how it ends."""
        self.held = False
        """Its storage was held by another when it was to be started."""
        self.fences = False
        """Who may hold its storage can be switched off: then that it is held is no fault of the queue manager."""
        self.waits_for = ""
        """The member that is, or must be, fenced before it is started."""
        self._unfenced = 0
        self.killed = False
        self.stuck = False
        self.told: list[Event] = []
        """Events that the store is not known to have yet."""
        self._stored = assignment.told
        self.version = ""
        """Of the program that runs it; empty: unknown."""
        self.asked_revision = -1
        """The revision of the assignment at which its release was asked for: at it, nothing starts any more."""

    def found(self, survivor: Survivor, now_ns: int, *, served: bool) -> None:
        """A former process started it, and something of it is there; `served`: it has answered its clients."""
        self.epoch = survivor.epoch
        if survivor.ending:
            self.begin_stop(StopReason.NONE, now_ns, int(self.spec.stop_timeout_s * NS_PER_S))
        elif survivor.executed and served:
            self.enter(RunState.SERVING, now_ns)
        else:
            self.enter(RunState.LAUNCHING, now_ns, int(self.spec.start_timeout_s * NS_PER_S))

    @property
    def alive(self) -> bool:
        """Whether a process may exist."""
        return self.state is not RunState.IDLE

    @property
    def occupies_until_ns(self) -> int:
        """Until when its start keeps others waiting; in the past when it is in no start."""
        return self.since_ns + LONGEST_TURN_NS if self.state is RunState.LAUNCHING else 0

    def occupies(self, now_ns: int) -> bool:
        """Whether its start keeps others waiting where only so many may be under way."""
        return now_ns < self.occupies_until_ns

    @property
    def draining(self) -> bool:
        """Whether it stops by plan, and those clients that are there may go on for a while."""
        planned = self.state is RunState.STOPPING and self.stop_reason in PLANNED
        return planned and self.spec.drain_s > 0 and not self.killed

    def heard(self, stored: int) -> None:
        """The store has this many events of it: tell those no more."""
        if stored > self._stored:
            del self.told[: stored - self._stored]
            self._stored = stored

    def counts_from(self, stored: int) -> None:
        """A former process told so many; nothing of what this one has to tell is among them."""
        self._stored = stored

    def overdue(self, now_ns: int) -> bool:
        """Whether the budget of its state is used up."""
        return bool(self.deadline_ns) and now_ns >= self.deadline_ns

    def enter(self, state: RunState, now_ns: int, budget_ns: int = 0) -> None:
        """Change state; `budget_ns` until it counts as overdue (0: never)."""
        self.state = state
        self.since_ns = now_ns
        self.deadline_ns = now_ns + budget_ns if budget_ns else 0

    def begin_stop(self, reason: StopReason, now_ns: int, budget_ns: int) -> None:
        """Note that it was asked to stop, and until when it may take its time."""
        self.stop_reason = reason
        self.killed = self.stuck = False
        self.enter(RunState.STOPPING, now_ns, budget_ns)

    def ended(self, code: str, now_ns: int) -> None:
        """Nothing of it is left. Whatever nobody asked for counts against it."""
        self.held = code == HELD
        own_fault = self.unasked(code) or self.stop_reason is StopReason.UNRESPONSIVE
        blamed = self.complaint if self.stop_reason is StopReason.UNRESPONSIVE and self.complaint else code
        self.enter(RunState.IDLE, now_ns)
        self.stop_reason, self.complaint = StopReason.NONE, ""
        if own_fault:
            self._blame(blamed, now_ns)

    def again(self, now_ns: int) -> None:
        """There is no other member to try it: what has failed is tried here again after its window."""
        self.failed = ""
        self.restarts_ns.clear()
        self.not_before_ns = now_ns + int(self.spec.restart_window_s * NS_PER_S)

    def unasked(self, code: str) -> bool:
        """Whether an end with this code would come from the queue manager itself."""
        if code == HELD and self.fences:
            return False
        return self.state is not RunState.STOPPING and code != ENDED_BY_LEASE

    def unfenced(self, now_ns: int) -> bool:
        """It can not be tried, for nothing that it did: try again after a pause. Whether that is the first time."""
        self.held = False
        self.not_before_ns = now_ns + min(FIRST_PAUSE_NS << self._unfenced, LONGEST_PAUSE_NS)
        self._unfenced += 1
        return self._unfenced == 1

    def _blame(self, code: str, now_ns: int) -> None:
        window_ns = int(self.spec.restart_window_s * NS_PER_S)
        self.restarts_ns = [t for t in self.restarts_ns if now_ns - t < window_ns]
        if len(self.restarts_ns) >= self.spec.restart_limit:
            self.failed = code
            return
        earlier = len(self.restarts_ns)
        self.restarts_ns.append(now_ns)
        self.not_before_ns = now_ns + (FIRST_PAUSE_NS << (earlier - 1) if earlier else 0)
