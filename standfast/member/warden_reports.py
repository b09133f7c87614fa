"""What the warden reports, and what it is ordered, as the daemon sees them (see `warden_protocol`)."""

from msgspec import Struct, field

from standfast.member.warden_protocol import Cause, Containment, Stage, WatchdogState
from standfast.ports import Tended
from standfast.storage.refusal import LaunchRefusal


class ClaimOrder(Struct, frozen=True, kw_only=True):
    """The storage part of a launch.

    Attributes:
        kind: of storage, such as `directory`.
        path: the directory.
        mount: whether it must be a mount point.
        cluster: id of the cluster.
        member: this member.
        incarnation: of this member.
        make: directories below path to create.
        wait_until_ns: on CLOCK_BOOTTIME: how long to wait for another holder's lock.
        minor: of a DRBD device.
        filesystem: on that device.
    """

    kind: str = "directory"
    path: str
    mount: bool = False
    cluster: str
    member: str
    incarnation: int
    make: tuple[str, ...] = ()
    wait_until_ns: int = 0
    minor: int = 0
    filesystem: str = ""


class TendedOrder(Struct, frozen=True, kw_only=True):
    """How to tend a queue manager.

    Attributes:
        how: commands and codes.
        stop_s: longest time for a stop that nothing hurries, in seconds.
        hurry_s: longest time for a stop because the lease runs out, in seconds.
        status_file: where the answers of its status command are written.
    """

    how: Tended
    stop_s: float
    hurry_s: float
    status_file: str


class LaunchOrder(Struct, frozen=True, kw_only=True, tag_field="do", tag="launch"):
    """A launch.

    Attributes:
        qm: name of the queue manager.
        epoch: of its assignment.
        argv: program (looked for in PATH of `env`) and arguments.
        env: the whole environment.
        cwd: working directory; local, as a shared one would be held by it.
        log: file for its output, appended to; set aside as `.1` when large.
        stop_signal: asks for a graceful stop.
        storage: what to claim first.
        tended: how to tend what is no foreground process; None: `argv` is the queue manager.
    """

    qm: str
    epoch: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log: str
    stop_signal: int
    storage: ClaimOrder
    tended: TendedOrder | None = None


class WatchdogOrder(Struct, frozen=True, kw_only=True, tag_field="do", tag="watchdog"):
    """What watchdog to have: see `warden_watchdog.Plan`.

    Attributes:
        device: path of the device; empty: none.
        required: nothing is launched without it.
        fine: for a device that counts finer than in seconds: time-outs in seconds, and what must be left of the lease
            when it is fed, in nanoseconds; best first.
        ticking: likewise for any other.
        aim_ns: how long before the last allowed moment the last feed is aimed at.
        record: file that says whether it was stopped, see `watchdog_record`.
    """

    device: str = ""
    required: bool = False
    fine: tuple[tuple[int, int], ...] = ()
    ticking: tuple[tuple[int, int], ...] = ()
    aim_ns: int = 0
    record: str


class Report(Struct, frozen=True, kw_only=True, tag_field="report"):
    """Base of all reports."""


class Charged(Struct, frozen=True, kw_only=True):
    """One queue manager in the warden's state; `stopping`: it was asked to stop, or was killed."""

    qm: str
    epoch: int
    pid: int
    stage: Stage
    stopping: bool = False


class Privileges(Struct, frozen=True, kw_only=True):
    """What the kernel allowed the warden: see `warden_kernel.Privileges`."""

    memory_locked: bool
    priority: str
    oom_exempt: bool


class State(Report, frozen=True, kw_only=True, tag="state"):
    """What the warden is, holds and runs; its first word on a connection, and said again when the backstop is lost."""

    version: int
    pid: int
    backstop: bool
    containment: Containment
    privileges: Privileges
    end_ns: int
    running: tuple[Charged, ...]


class Held(Report, frozen=True, kw_only=True, tag="held"):
    """The lease in force at the warden."""

    end_ns: int


class Launched(Report, frozen=True, kw_only=True, tag="launched"):
    """The program was executed; times from the order's arrival, in microseconds."""

    qm: str
    epoch: int
    pid: int
    claim_us: int = 0
    total_us: int = 0


class Refused(Report, frozen=True, kw_only=True, tag="refused"):
    """The program was not executed, and no process of the attempt is left."""

    qm: str
    epoch: int
    code: LaunchRefusal
    detail: str = ""


class Exited(Report, frozen=True, kw_only=True, tag="exited"):
    """No process of the queue manager is left. Exit code or signal are the main process's; neither when unknown."""

    qm: str
    epoch: int
    pid: int
    exit_code: int | None = None
    signal: int | None = None
    cause: Cause


class LeaseStop(Report, frozen=True, kw_only=True, tag="lease_stop"):
    """Asked to stop because the lease runs out."""

    qm: str
    epoch: int


class LeaseKill(Report, frozen=True, kw_only=True, tag="lease_kill"):
    """Killed because the lease runs out."""

    qm: str
    epoch: int


class Stuck(Report, frozen=True, kw_only=True, tag="stuck"):
    """The lease has ended and the kernel could not end all processes: only a reset of the machine will."""

    qm: str
    epoch: int
    pid: int


class Busy(Report, frozen=True, kw_only=True, tag="busy"):
    """`quit` was not carried out: these run."""

    running: tuple[str, ...]


class WatchdogReport(Report, frozen=True, kw_only=True, tag="watchdog"):
    """How it stands with the kernel's watchdog.

    Attributes:
        state: see WatchdogState.
        device: its path.
        identity: the driver's name for it.
        timeout_s: the time-out in force, in seconds.
        fires_ns: when it fires, on CLOCK_BOOTTIME, once it is starved; else 0.
        detail: what is wrong and what to do; empty when nothing is.
    """

    state: WatchdogState
    device: str = ""
    identity: str = ""
    timeout_s: int = 0
    fires_ns: int = 0
    detail: str = ""


class NotUnderstood(Report, frozen=True, kw_only=True, tag="error"):
    """The warden dropped an order."""

    detail: str


class WardenGone(Report, frozen=True, kw_only=True, tag="gone"):
    """The warden has died; what it ran is being killed, an Exited (or Stuck) for each follows."""

    pid: int
    running: tuple[str, ...] = field(default_factory=tuple)


FromWarden = (
    State | Held | Launched | Refused | Exited | LeaseStop | LeaseKill | Stuck | Busy | NotUnderstood | WatchdogReport
)
"""What comes over the socket."""
ToDaemon = (
    State | Launched | Refused | Exited | LeaseStop | LeaseKill | Stuck | NotUnderstood | WatchdogReport | WardenGone
)
"""What the client hands on."""
