"""From a forked child of the warden to a running queue manager: contain, claim the storage, look at the lease, exec.

A queue manager that is no foreground process is not executed: the child becomes its minder, see `minder`.

Guarantees: the program is executed only after the storage was claimed and, as the very last step, the lease was found
to have the budget for a stop left; a child that is paused after that look is killed by the warden like any running
queue manager. Whatever hangs (storage, log directory) hangs this child only.
Does not guarantee: that the parent's death kills a program that is set-user-ID or has file capabilities: the kernel
forgets the death signal when it executes one.

Tells the warden through a pipe: a JSON line {"refused": code, "detail"}, or {"claim_us"} just before exec; the exec
itself closes the pipe. Standard library only.
"""

import json
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from standfast.member import warden_kernel as kernel
from standfast.member.minder import HURRY, Minder
from standfast.member.minder_plan import Plan
from standfast.member.processes import Cgroup
from standfast.member.warden_run_dir import RunDir
from standfast.storage import directory
from standfast.storage.directory import Claim
from standfast.storage.drbd_claim import DrbdClaim
from standfast.storage.refusal import LaunchRefusal, LaunchRefused

LOG_LIMIT_BYTES = 16 * 1024 * 1024
"""A log file found larger at launch is set aside as `.1`, in the place of the one before."""
LOG_MODE = 0o640
UMASK = 0o027
_EXIT_REFUSED = 126
_NS_PER_US = 1000


def _claim_drbd(wanted: DrbdClaim) -> int:
    from standfast.storage import drbd  # noqa: PLC0415 - loaded by the forked child alone: it starts programs

    return drbd.claim(wanted)


_CLAIMS: dict[str, tuple[Callable[[Mapping[str, Any]], Any], Callable[[Any], int]]] = {
    "directory": (Claim.parse, directory.claim),
    "drbd": (DrbdClaim.parse, _claim_drbd),
}
"""Kinds of storage: how to read the claim, and how to make it."""


class Order(NamedTuple):
    """What to launch: see `warden_protocol` for the fields."""

    qm: str
    epoch: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log: str
    stop_signal: int
    hurry_signal: int
    kind: str
    storage: Claim | DrbdClaim
    plan: Plan | None = None

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "Order":
        """From a JSON object; raises KeyError, TypeError, ValueError for a missing or wrong field."""
        qm, argv, storage = str(fields["qm"]), tuple(str(part) for part in fields["argv"]), fields["storage"]
        if not argv or not qm or "/" in qm or qm.startswith("."):
            raise ValueError(f"argv = {argv} or qm = {qm!r} can not be launched")
        epoch, kind = int(fields["epoch"]), str(storage["kind"])
        plan = Plan.parse(fields["tended"]) if fields.get("tended") else None
        stop_signal = signal.SIGTERM if plan else signal.Signals(fields["stop_signal"])
        return cls(
            qm=qm,
            epoch=epoch,
            argv=argv,
            env={str(name): str(value) for name, value in fields["env"].items()},
            cwd=str(fields["cwd"]),
            log=str(fields["log"]),
            stop_signal=stop_signal,
            hurry_signal=HURRY if plan else stop_signal,
            kind=kind,
            storage=_CLAIMS[kind][0]({**storage, "qm": qm, "epoch": epoch}),
            plan=plan,
        )


class Launchpad(NamedTuple):
    """What a launch gets from the warden.

    Attributes:
        warden: pid of the warden, which must be the parent still.
        box: its cgroup, if there are any.
        contained: whether it needs not be joined any more.
        exec_before: moment after which nothing may be executed any more.
        run_dir: where the launch is recorded.
    """

    warden: int
    box: Cgroup | None
    contained: bool
    exec_before: kernel.SharedMoment
    run_dir: RunDir


def become(order: Order, pad: Launchpad, tell: int) -> NoReturn:
    """Turn the calling, freshly forked process into the queue manager, or tell why not and exit."""
    try:
        _contain(order, pad, tell)
        _redirect(Path(order.log))
        started_ns = kernel.boottime_ns()
        lock = _CLAIMS[order.kind][1](order.storage)
        os.set_inheritable(lock, True)
        claimed_ns = kernel.boottime_ns()
        _execute(order, pad, tell, claim_us=(claimed_ns - started_ns) // _NS_PER_US)
    except LaunchRefused as refused:
        _say(tell, {"refused": refused.code, "detail": refused.detail})
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the warden's own frames
        _say(tell, {"refused": LaunchRefusal.STORAGE_ERROR, "detail": repr(error)})
    finally:
        os._exit(_EXIT_REFUSED)


def _say(tell: int, message: Mapping[str, Any]) -> None:
    os.write(tell, json.dumps(message).encode() + b"\n")


def _contain(order: Order, pad: Launchpad, tell: int) -> None:
    """Cut the ties to the warden's own life, so that every way to kill this process works; raises LaunchRefused."""
    os.setsid()
    kernel.die_with_parent()
    if os.getppid() != pad.warden:
        os._exit(_EXIT_REFUSED)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Closed now and not only by exec: a child that hangs on its storage must keep neither the daemon's socket open nor
    # the watchdog, which could not be let go of then.
    os.closerange(3, tell)
    os.closerange(tell + 1, os.sysconf("SC_OPEN_MAX"))
    kernel.soften()
    kernel.set_name("sf-launch")
    os.umask(UMASK)
    try:
        if pad.box is not None and not pad.contained:
            pad.box.join()
        outside = order.plan.outside if order.plan and order.plan.outside else ()
        pad.run_dir.record_launch(order.qm, str(pad.box.path) if pad.box else "", tuple(outside))
    except OSError as error:
        raise LaunchRefused(LaunchRefusal.CONTAINMENT, f"({error})") from error


def _redirect(log: Path) -> None:
    """Standard input from nowhere, output to the end of the log; raises LaunchRefused."""
    try:
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.rename(log.with_name(f"{log.name}.1"))
        out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, LOG_MODE)
        nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise LaunchRefused(LaunchRefusal.LOG, f"({error})") from error
    for source, target in ((nowhere, 0), (out, 1), (out, 2)):
        os.dup2(source, target)


def require_lease(exec_before: kernel.SharedMoment) -> None:
    """Raises LaunchRefused when the lease has no more than the budget for a stop left."""
    late_ns = kernel.boottime_ns() - exec_before.get()
    if late_ns >= 0:
        raise LaunchRefused(LaunchRefusal.LEASE_SHORT, f"(too late by {late_ns} ns)")


def _execute(order: Order, pad: Launchpad, tell: int, claim_us: int) -> NoReturn:
    """The last look at the lease, then exec, or a minder's life; raises LaunchRefused."""
    try:
        os.chdir(order.cwd)
    except OSError as error:
        raise LaunchRefused(LaunchRefusal.EXEC_FAILED, f"({error})") from error
    # Made first: it is what hears a stop that comes right after the answer.
    minder = Minder(order.plan, order.argv, order.env) if order.plan else None
    _say(tell, {"claim_us": claim_us})
    require_lease(pad.exec_before)
    if minder:
        os.close(tell)
        os._exit(_tended(minder))
    try:
        os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise LaunchRefused(LaunchRefusal.EXEC_FAILED, f"({order.argv[0]}: {error.strerror})") from error
    raise AssertionError("exec returned")


def _tended(minder: Minder) -> int:
    """Its life; the exit code. What nobody foresaw is written where the queue manager's output goes."""
    try:
        return minder.run()
    except BaseException:  # noqa: BLE001 - nothing must return into the warden's own frames
        os.write(2, traceback.format_exc().encode())
        return _EXIT_REFUSED


__all__ = ["Launchpad", "Order", "become", "require_lease"]
