"""What the outside must offer to the member core and its runtime. Implemented in the rooms below this file's level.

Link (``links/``), KeyValue (``stores/``), QueueManager (``managers/``); storage is a matter of the warden's launch
(``storage/``), because the daemon itself never touches a shared mount.
"""

import signal
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field

from standfast.model.cluster import VIP, QueueManagerSpec
from standfast.model.messages import Message
from standfast.model.records import Guard


def boottime_ns() -> int:
    """Now, in nanoseconds, on the clock that counts suspended time and is never set (CLOCK_BOOTTIME)."""
    import time  # noqa: PLC0415 - the one place that reads the protocol's clock

    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


# ---------------------------------------------------------------- links


class LinkCounters(Struct):
    """What passed over the links since the start; shown by `status` and the metrics."""

    sent: int = 0
    received: int = 0
    bad_key: int = 0  # not sealed with this cluster's key, or damaged
    other_cluster: int = 0
    replayed: int = 0
    malformed: int = 0
    send_errors: int = 0
    unmet: int = 0  # authentic, from a process not met yet or long gone; answered, not delivered
    hellos: int = 0  # answers from a process not met before


class Link(Protocol):
    """Datagrams between members, sealed with the cluster key."""

    counters: LinkCounters

    async def open(self, receive: Callable[[Message], None]) -> None:
        """Bind and hand every authentic, fresh message to `receive`; raises MachineError when a port is taken."""
        ...

    def send(self, to: str, message: Message) -> None:
        """Send to a member by name, at once, never blocking, never raising; losses are the protocol's business."""
        ...

    def close(self) -> None:
        """Release the sockets."""
        ...


# ---------------------------------------------------------------- store


class KeyChange(Struct, frozen=True):
    """A key, its value and the revision of its last change."""

    key: str
    value: bytes
    revision: int


class Changes(Struct, frozen=True):
    """The answer to a linearizable read: all keys changed after the revision asked for."""

    revision: int
    changes: tuple[KeyChange, ...]


class KeyValue(Protocol):
    """A linearizable key-value store with revisions, such as etcd. Keys are relative to the cluster's prefix.

    Every call has an absolute deadline of its own and raises only StoreError's kinds.
    """

    async def read(self, since: int) -> Changes:
        """Linearizable: every key except `events/` changed after revision `since`, and the store's revision."""
        ...

    async def transact(self, guards: Sequence[Guard], puts: Sequence[tuple[str, bytes]]) -> int | None:
        """Write all `puts` if all `guards` hold: the new revision, or None when refused.

        Raises StoreOutcomeUnknown when it may have happened. Never repeats a write by itself.
        """
        ...

    async def log(self, after: int, limit: int) -> Sequence[KeyChange]:
        """Keys below `events/` changed after revision `after`, oldest first, at most `limit`."""
        ...

    async def forget(self, keys: Sequence[str]) -> None:
        """Delete keys below `events/` (the log is trimmed); any other key is refused with ValueError."""
        ...

    async def snapshot(self) -> Changes:
        """Linearizable: every key, `events/` too, as all of them were at one revision; events last, oldest first."""
        ...

    async def erase(self, guard: Guard) -> bool:
        """Delete everything of this cluster if the guard holds; whether it did. Only for what no member has used yet.

        Raises StoreOutcomeUnknown when it may have happened.
        """
        ...

    async def wake(self, after: int) -> None:
        """Return when something may have changed after revision `after`; carries no authority."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


# ---------------------------------------------------------------- queue managers


class Durability(StrEnum):
    """What a queue manager promises when it acknowledges a message."""

    SYNCED = "synced"  # on stable storage before the acknowledgement: survives the death of the machine
    KERNEL = "kernel"  # written, not synced: survives the death of the process only
    NONE = "none"  # may be lost even when only the process dies
    UNKNOWN = "unknown"  # the driver does not know what it runs


class Place(Struct, frozen=True, kw_only=True):
    """Where one queue manager runs on this member.

    Attributes:
        name: of the queue manager.
        data_dir: its directory on the shared or replicated storage; never touched by the daemon itself.
        run_dir: a directory of this member for generated configuration; local and private.
        address: where it must listen for clients.
        port: likewise.
        options: from the cluster file.
        start_timeout_s: longest time until it must serve, in seconds.
        stop_timeout_s: longest time for a graceful stop that nothing hurries, in seconds.
        everywhere: it must listen on every address of the machine, of both versions of IP: clients come by an address
            that comes and goes. Then `address` is one of them.
    """

    name: str
    data_dir: Path
    run_dir: Path
    address: str
    port: int
    options: dict[str, Any] = field(default_factory=dict)
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 30.0
    everywhere: bool = False

    @classmethod
    def of(cls, spec: QueueManagerSpec, run_dir: Path, address: str) -> "Place":
        """The place of a queue manager of the cluster file on a member with that address for clients."""
        return cls(
            name=spec.name,
            data_dir=Path(spec.storage.path),
            run_dir=run_dir,
            address=address,
            port=spec.port,
            options=spec.options,
            start_timeout_s=spec.start_timeout_s,
            stop_timeout_s=spec.stop_timeout_s,
            everywhere=any(endpoint.kind == VIP for endpoint in spec.endpoints),
        )


class StopStage(Struct, frozen=True, kw_only=True):
    """One step of a graceful stop; the next one begins when it has failed, or when its share of the time is over.

    Attributes:
        argv: a command that asks for the stop; empty: `signal` is sent instead.
        signal: to the processes that the start command left, or to the start command itself in the foreground.
        share: of the time that there is for the stop, in (0, 1]; what is left of 1 in the end belongs to SIGKILL.
    """

    argv: tuple[str, ...] = ()
    signal: int = signal.SIGTERM
    share: float = 1.0


class Outside(Struct, frozen=True, kw_only=True):
    """Processes of a queue manager that another program starts, such as systemd, in a cgroup of their own.

    Attributes:
        cgroup: path of it below the root of the cgroup hierarchy, known before the start, such as `/a.slice/b.service`.
        permit: file without which that program starts nothing; the warden removes it before it kills.
    """

    cgroup: str
    permit: str


class Tended(Struct, frozen=True, kw_only=True):
    """A queue manager that is not a foreground process of ours: started, watched and stopped by commands.

    Commands are argument lists without a shell. They run in the queue manager's cgroup, never in the daemon.

    Attributes:
        foreground: the start command does not return: it is the queue manager.
        started: exit codes of the start command that mean that the queue manager was started.
        status: asks whether it serves; empty: nobody asks. Its answer lies in STATUS_FILE, for `ready` to judge.
        serves: exit codes of `status` that mean that it serves.
        stopped: exit codes of `status` that mean that it does not run: once it has served, that is its end.
        every_s: pause between two questions once it serves, in seconds.
        deadline_s: how long `status` may take, in seconds; then it is killed, and there was no answer.
        stop: the stages of a graceful stop, in order.
        processless: it leaves no process of its own: it runs for as long as `status` says so.
        user: as whom the commands run; empty: as the member.
        outside: where its processes are, when they are no descendants of the start command.
    """

    foreground: bool = False
    started: tuple[int, ...] = (0,)
    status: tuple[str, ...] = ()
    serves: tuple[int, ...] = (0,)
    stopped: tuple[int, ...] = ()
    every_s: float = 5.0
    deadline_s: float = 5.0
    stop: tuple[StopStage, ...] = (StopStage(),)
    processless: bool = False
    user: str = ""
    outside: Outside | None = None


STATUS_FILE = "status.json"
"""In run_dir: an Observed, written after each answer of a Tended's status command; empty before the first."""


class Observed(Struct, frozen=True, kw_only=True):
    """What the status command of a Tended last answered.

    Attributes:
        code: its exit code; None when it was killed at its deadline.
        output: the end of what it printed.
        at_ns: when, on CLOCK_BOOTTIME; 0: it has not answered yet.
    """

    code: int | None = None
    output: str = ""
    at_ns: int = 0


class Launch(Struct, frozen=True, kw_only=True):
    """How to start a queue manager.

    Attributes:
        argv: program and arguments: the queue manager in the foreground or, with `tended`, its start command.
        env: variables added to a minimal environment (PATH, LANG, HOME), for all commands.
        files: text files to write into run_dir first, by name.
        stop_signal: asks for a graceful stop; with `tended`, its stages do.
        also_writes: directories below data_dir to create before the start.
        tended: how to tend a queue manager that is no foreground process.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    also_writes: tuple[str, ...] = ()
    tended: Tended | None = None


class NotReady(Exception):  # noqa: N818 - an answer, not a mistake
    """The queue manager does not serve yet, or no more; the message says what it answered."""


class Remark(Struct, frozen=True):
    """What a driver finds on a machine: a sentence; unless `severe` it only makes an operator look twice."""

    text: str
    severe: bool = True


class QueueManager(Protocol):
    """A driver: one file in `managers/` for each kind. Stateless; it says how, the member does."""

    kind: str
    durability: Durability
    durability_note: str
    """One sentence for operators: what an acknowledgement is worth, and on which settings that rests."""
    option_names: frozenset[str]
    """Settings it understands in the cluster file; others are refused by `check`."""
    programs: tuple[str, ...]
    """Programs it needs on PATH (or found by `find_program`); `check` looks for them."""

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each; empty when all is well. Touches nothing."""
        ...

    def launch(self, place: Place) -> Launch:
        """How to start it; raises MachineError when the program is missing."""
        ...

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when it serves clients, asked in its own protocol; raises NotReady. Cheap: called every few ms."""
        ...

    async def version(self, place: Place) -> str:
        """Version of the program on this machine; raises MachineError when it is missing."""
        ...

    async def examine(self, place: Place) -> list[Remark]:
        """What on this machine is in the way of a start, or unwise; may run programs, with a deadline.

        Called only with options without problems, and once `launch` has found its programs.
        """
        ...


__all__ = [
    "STATUS_FILE",
    "Changes",
    "Durability",
    "KeyChange",
    "KeyValue",
    "Launch",
    "Link",
    "LinkCounters",
    "NotReady",
    "Observed",
    "Outside",
    "Place",
    "QueueManager",
    "Remark",
    "StopStage",
    "Tended",
    "boottime_ns",
]
