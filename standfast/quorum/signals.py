"""What goes into a member core and what comes out of it. The runtime, or the simulator, does the rest.

Inputs are facts that happened; effects are orders to carry out. Both are values. Times are nanoseconds on the
member's own clock that counts suspended time.
"""

from enum import StrEnum

from msgspec import Struct

from standfast.model.cluster import Cluster
from standfast.model.events import Event
from standfast.model.messages import Heartbeat, Hop, Message
from standfast.model.override import Remembered
from standfast.model.records import Outcome, Transaction
from standfast.model.timing import Timing
from standfast.model.view import View
from standfast.quorum.commands import (
    Clear,
    Configure,
    ConfirmFenced,
    Drain,
    EndOverride,
    Freeze,
    GrantOverride,
    LeaveCluster,
    Move,
    Order,
    Outdate,
    Refresh,
    Verdict,
)


class Received(Struct, frozen=True):
    """An authentic message arrived."""

    message: Message


class SeenOnDisk(Struct, frozen=True):
    """An authentic heartbeat was found in its sender's slot on the shared disk. It may be old, and is no contact."""

    heartbeat: Heartbeat


class Woke(Struct, frozen=True):
    """The time that the core asked to be woken at has come; earlier and later ones are harmless."""


class ViewRead(Struct, frozen=True):
    """A linearizable read that was started after the `Read` effect has finished."""

    view: View


class StoreStirred(Struct, frozen=True):
    """The store may hold something newer; carries no authority and may come without need."""


class ReadFailed(Struct, frozen=True):
    """The read could not be made within its deadline."""


class Transacted(Struct, frozen=True):
    """What became of a `Transact` effect; `revision` is the store's after a commit."""

    tag: str
    outcome: Outcome
    revision: int = 0


class Survivor(Struct, frozen=True):
    """A queue manager that a former process of this member started and whose processes are not all gone.

    Attributes:
        qm: its name.
        epoch: under which it was started.
        executed: whether its program runs; if not, the launch is still under way.
        ending: it was told to stop, or has ended but for some processes.
    """

    qm: str
    epoch: int
    executed: bool = True
    ending: bool = False


class Inherited(Struct, frozen=True):
    """What a new process found under the warden of a former one that it can use; comes first, and once.

    Every end of a survivor is reported from then on. `lease_end_ns`: when the warden holds that the lease ends.
    """

    survivors: tuple[Survivor, ...]
    lease_end_ns: int


class Launched(Struct, frozen=True):
    """The warden has started the process."""

    qm: str
    epoch: int


class LaunchRefused(Struct, frozen=True):
    """The warden or the storage refused the start; nothing of it runs. `code` names the reason."""

    qm: str
    epoch: int
    code: str


class Ready(Struct, frozen=True):
    """The queue manager answers its clients."""

    qm: str
    epoch: int


class Versioned(Struct, frozen=True):
    """The program that runs the queue manager is of that version."""

    qm: str
    epoch: int
    version: str


class Unhealthy(Struct, frozen=True):
    """The queue manager stopped answering though its process is there."""

    qm: str
    epoch: int
    code: str


class Exited(Struct, frozen=True):
    """No process of the queue manager is left. `code` says how it ended."""

    qm: str
    epoch: int
    code: str


class Fenced(Struct, frozen=True):
    """What came of a `Fence` effect: whether the command says that the member is off, and its words."""

    member: str
    done: bool
    detail: str = ""


class FitnessChanged(Struct, frozen=True):
    """The queue managers (or "*") that this member could not run now, and its next hop; None: as it was."""

    unfit: tuple[str, ...] | None = None
    hop: Hop | None = None


class FailbackWindows(Struct, frozen=True):
    """The queue managers whose daily window for moving back is open by this machine's clock; told at each change."""

    opened: frozenset[str]


class Ordered(Struct, frozen=True):
    """An operator's order; the `Answer` effect names its ticket."""

    ticket: int
    order: Order


Input = (
    Received
    | SeenOnDisk
    | Woke
    | ViewRead
    | StoreStirred
    | ReadFailed
    | Transacted
    | Inherited
    | Launched
    | LaunchRefused
    | Ready
    | Versioned
    | Unhealthy
    | Exited
    | Fenced
    | FitnessChanged
    | FailbackWindows
    | Ordered
)


class Send(Struct, frozen=True):
    """Send a message to one member."""

    to: str
    message: Message


class Broadcast(Struct, frozen=True):
    """Send a heartbeat to every other member."""

    heartbeat: Heartbeat


class Read(Struct, frozen=True):
    """Read the store linearizably, then give back ViewRead or ReadFailed."""


class Transact(Struct, frozen=True):
    """Carry out a transaction once, then give back Transacted with the same tag."""

    tag: str
    transaction: Transaction


class LeaseMoved(Struct, frozen=True):
    """The lease ends at this time now; the warden and the health page must know it before anything starts.

    What runs is to be stopped `stop_ns` before that, and killed `kill_ns` before it.
    """

    end_ns: int
    stop_ns: int
    kill_ns: int


class Adopted(Struct, frozen=True):
    """Other settings are in force for this member: speak to these members, as often as this timing says."""

    cluster: Cluster
    revision: int


class Retimed(Struct, frozen=True):
    """The lease is lived by these timers from now on; a watchdog must keep them."""

    timing: Timing


class Launch(Struct, frozen=True):
    """Start the queue manager under this epoch; give back Launched or LaunchRefused, then Ready or Exited.

    `fences`: who may hold its storage can be switched off, so that it need not be waited for long.
    """

    qm: str
    epoch: int
    fences: bool = False


class Attend(Struct, frozen=True):
    """A queue manager runs already: ask it as after a launch; give back Ready, Unhealthy, Exited.

    `serving`: it has answered its clients before, so that silence from now on is a failure.
    """

    qm: str
    epoch: int
    serving: bool


class Fence(Struct, frozen=True):
    """Switch a member off that was evicted; give back Fenced."""

    member: str


class Stop(Struct, frozen=True):
    """Ask the queue manager to stop gracefully; give back Exited when nothing of it is left."""

    qm: str


class Kill(Struct, frozen=True):
    """Kill every process of the queue manager; give back Exited when nothing of it is left."""

    qm: str


class Remember(Struct, frozen=True):
    """Have this on disk, whatever happens, before any effect after it is carried out."""

    remembered: Remembered


class Tell(Struct, frozen=True):
    """An event that this member alone can tell."""

    event: Event


class Answer(Struct, frozen=True):
    """The end of an order: done means that it stands in the store, not that it is carried out."""

    ticket: int
    verdict: Verdict


class LeaveReason(StrEnum):
    """Why the core ends."""

    ORDERED = "ordered"
    NAMESAKE = "namesake"
    REMOVED = "removed"  # the cluster has no such member any more
    ELSEWHERE = "elsewhere"  # the cluster has the member at another address, or in another role


class Leave(Struct, frozen=True):
    """Nothing runs here and nothing will: end the daemon."""

    reason: LeaveReason


Effect = (
    Send
    | Broadcast
    | Read
    | Transact
    | LeaseMoved
    | Adopted
    | Retimed
    | Launch
    | Attend
    | Fence
    | Stop
    | Kill
    | Remember
    | Tell
    | Answer
    | Leave
)

__all__ = [
    "Clear",
    "Configure",
    "ConfirmFenced",
    "Drain",
    "EndOverride",
    "Freeze",
    "GrantOverride",
    "LeaveCluster",
    "Move",
    "Order",
    "Outdate",
    "Refresh",
    "Verdict",
]
