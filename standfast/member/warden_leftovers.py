"""What a former life left running on this machine, and its end: before a member joins, and when its warden has died.

Guarantees, once `end_leftovers` has returned: no warden has this run directory, and no process of a queue manager
launched from it is left, as far as a cgroup or the session of a recorded main process names it.
Does not guarantee: to find, without cgroups, a process that detached itself into a session of its own while warden and
backstop died at the same instant; such a one still holds the storage's lock if it kept its descriptors.

Assumes that a session which lost its leader is still the one on record: pids are given out in turn, and the record
counts within one boot only. Blocks: call it from a thread.
"""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from standfast.errors import MachineError
from standfast.member import processes
from standfast.member.processes import Cgroup, await_gone
from standfast.member.warden_kernel import boottime_ns
from standfast.member.warden_outside import OutsideBox, boxes_on_record
from standfast.member.warden_protocol import LARGEST_BYTES, packet_socket
from standfast.member.warden_run_dir import LaunchRecord, ProcessRecord, RunDir

_ANSWER_NS = 1_000_000_000
"""How long an old warden may take to say what it runs, and its backstop to end that, before they are killed."""
_NS_PER_S = 1_000_000_000


class Leftovers(NamedTuple):
    """What was ended.

    Attributes:
        warden: pid of an old warden, or None.
        queue_managers: names of those of which something still ran.
    """

    warden: int | None
    queue_managers: tuple[str, ...]


def end_leftovers(path: Path, budget_ns: int) -> Leftovers:
    """End all of it; raises MachineError when something still lives after that many nanoseconds."""
    until_ns = boottime_ns() + budget_ns
    run_dir = RunDir(path)
    record = run_dir.warden()
    lock, warden, names = run_dir.open_lock(), None, set[str]()
    if lock is None:
        warden = record.warden.pid if record else None
        running = _ask_to_quit(run_dir)
        names.update(running or ())
        lock = _free_lock(run_dir, boottime_ns() if running is None else boottime_ns() + budget_ns // 2, until_ns)
    try:
        names.update(_end_launches(run_dir.launches(), until_ns))
        names.update(_end_outside(boxes_on_record(run_dir), until_ns))
        names.update(_end_cgroups(Path(record.cgroup) if record and record.cgroup else None, until_ns))
        run_dir.forget_launches()
    finally:
        os.close(lock)
    return Leftovers(warden, tuple(sorted(names)))


def _ask_to_quit(run_dir: RunDir) -> list[str] | None:
    """Tell a living warden to kill everything and quit: the names of what it ran, None when it does not answer."""
    with packet_socket() as warden, run_dir.socket_address() as address:
        warden.settimeout(_ANSWER_NS / _NS_PER_S)
        with contextlib.suppress(OSError, ValueError, KeyError):
            warden.connect(address)
            state = json.loads(warden.recv(LARGEST_BYTES))
            warden.send(json.dumps({"do": "quit", "kill": True}).encode())
            warden.shutdown(socket.SHUT_WR)
            return [str(running["qm"]) for running in state["running"]]
    return None


def _free_lock(run_dir: RunDir, patience_ns: int, until_ns: int) -> int:
    """The lock, once nobody has it: the old warden is killed when patience ends, and its backstop after it."""
    lock: list[int] = []

    def taken() -> bool:
        found = run_dir.open_lock()
        lock.extend([] if found is None else [found])
        return not lock

    record = run_dir.warden()
    watchers: Iterable[ProcessRecord] = (record.warden, record.backstop) if record else ()
    moment_ns = patience_ns
    for process in watchers:
        if not await_gone(taken, moment_ns) and process.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        moment_ns = min(boottime_ns() + _ANSWER_NS, until_ns)
    if not lock and not await_gone(taken, until_ns):
        raise MachineError(
            f"An old warden (pid {record.warden.pid if record else 'unknown'}) does not end: something that it started "
            f"can not be killed, most likely because a disk or mount hangs. Look for processes in state D; reset the "
            f"machine if they stay."
        )
    return lock[0]


def _end_launches(launches: list[LaunchRecord], until_ns: int) -> set[str]:
    """Kill what recorded launches left; raises MachineError when something stays."""
    qm_by_session = {
        record.main.pid: record.qm
        for record in launches
        if processes.start_ticks(record.main.pid) in (None, record.main.started_ticks)
    }
    names: set[str] = set()

    def alive() -> bool:
        left = processes.members_of(qm_by_session) if qm_by_session else {}
        for pid, session in left.items():
            names.add(qm_by_session[session])
            processes.kill(pid)
        return bool(left)

    _insist(await_gone(alive, until_ns), names)
    boxes = {record.qm: Cgroup(Path(record.cgroup)) for record in launches if record.cgroup}
    return names | _end_boxes(boxes, until_ns)


def _end_outside(boxes: dict[str, OutsideBox], until_ns: int) -> set[str]:
    """The same for what launches have in cgroups of others."""
    names = {qm for qm, box in boxes.items() if box.populated()}
    for box in boxes.values():
        box.end()
    _insist(await_gone(lambda: not all(box.empty() for box in boxes.values()), until_ns), names)
    return names


def _end_cgroups(above: Path | None, until_ns: int) -> set[str]:
    """Kill what is in any cgroup of the old warden, on record or not; raises MachineError when something stays."""
    if above is None or not above.is_dir():
        return set()
    names = _end_boxes({path.name: Cgroup(path) for path in above.iterdir() if path.is_dir()}, until_ns)
    Cgroup(above).remove()
    return names


def _end_boxes(boxes: dict[str, Cgroup], until_ns: int) -> set[str]:
    names = {qm for qm, box in boxes.items() if box.populated()}
    for qm in names:
        boxes[qm].kill()
    _insist(await_gone(lambda: any(boxes[qm].populated() for qm in names), until_ns), names)
    for box in boxes.values():
        box.remove()
    return names


def _insist(gone: bool, names: set[str]) -> None:
    if not gone:
        raise MachineError(
            f"Processes of {', '.join(sorted(names))} from a former run can not be killed, most likely because a disk "
            f"or mount hangs. Look for processes in state D; reset the machine if they stay."
        )
