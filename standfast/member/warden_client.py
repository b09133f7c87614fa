"""The daemon's side of the warden: start it, give it orders without waiting, hear its reports.

Guarantees: for each launch ordered there is exactly one Refused, or one Launched followed by one Exited; Launched is
left out when the warden dies before it could say so. Also when the warden dies: then what it left is ended from here.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import standfast
from standfast.errors import AlreadyRunning, MachineError, Unreachable
from standfast.errors import Refused as RefusedError
from standfast.member.warden_leftovers import Leftovers, end_leftovers
from standfast.member.warden_protocol import LARGEST_BYTES, OLDEST, VERSION, Cause, packet_socket
from standfast.member.warden_reports import (
    Busy,
    Exited,
    FromWarden,
    Held,
    Launched,
    LaunchOrder,
    NotUnderstood,
    Refused,
    State,
    Stuck,
    ToDaemon,
    WardenGone,
    WatchdogOrder,
)
from standfast.member.warden_run_dir import RunDir
from standfast.member.warden_start import EXIT_ALREADY_RUNNING
from standfast.storage.refusal import LaunchRefusal

START_S = 10.0
"""Longest time until a warden that was started says so."""
ANSWER_S = 1.0
"""Longest time until one that lives says its first word: it does nothing that could keep it longer."""
LEFTOVERS_NS = 10_000_000_000
"""Longest time to end what a former life or a dead warden left running."""
_STUB = "import sys; sys.path.append(sys.argv.pop(1)); from standfast.member.warden_start import main; sys.exit(main())"
"""Nothing is searched or imported from site-packages: the warden stays small, and starts as fast as an interpreter."""
_ROOT = str(Path(standfast.__file__).parent.parent)
_TAIL_BYTES = 2000

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(FromWarden).decode


async def clear(run_dir: Path) -> Leftovers:
    """End whatever a former life left running; raises MachineError when that is impossible."""
    return await asyncio.to_thread(end_leftovers, run_dir, LEFTOVERS_NS)


class Warden:
    """A living warden. Made by `start` or `attach`.

    Attributes:
        state: its latest State.
        held_end_ns: end of the lease that it confirmed last, on CLOCK_BOOTTIME.
    """

    state: State
    held_end_ns: int

    @classmethod
    async def start(
        cls,
        run_dir: Path,
        name: str,
        on_report: Callable[[ToDaemon], None],
        *,
        interpreter: Sequence[str] = (sys.executable,),
    ) -> "Warden":
        """Start one; `name` (cluster and member) names its cgroup. Raises AlreadyRunning, MachineError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, RunDir(run_dir).log.open("ab") as log:
            given = (_ROOT, str(run_dir), name, str(theirs.fileno()))
            process = subprocess.Popen(  # noqa: ASYNC220 - returns once the interpreter was executed
                (*interpreter, "-I", "-S", "-c", _STUB, *given),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            return await cls._greeted(ours, run_dir, on_report, process, START_S)
        except (OSError, TimeoutError) as error:
            ours.close()
            process.kill()
            if await asyncio.to_thread(process.wait) == EXIT_ALREADY_RUNNING:
                raise AlreadyRunning(f"A warden runs already in {run_dir}: end the former life first.") from error
            tail = RunDir(run_dir).log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
            raise MachineError(
                f"The warden did not start: {error}. Its log {RunDir(run_dir).log} ends:\n{tail}"
            ) from error

    @classmethod
    async def attach(cls, run_dir: Path, on_report: Callable[[ToDaemon], None]) -> "Warden":
        """Connect to the one that runs, taking it over from whoever had it; raises Unreachable."""
        ours = packet_socket()
        try:
            with RunDir(run_dir).socket_address() as address:
                ours.connect(address)
            return await cls._greeted(ours, run_dir, on_report, None, ANSWER_S)
        except (OSError, TimeoutError) as error:
            ours.close()
            raise Unreachable(f"No warden answers in {run_dir} ({error}): start one.") from error

    @classmethod
    async def _greeted(
        cls,
        ours: socket.socket,
        run_dir: Path,
        on_report: Callable[[ToDaemon], None],
        process: subprocess.Popen[bytes] | None,
        within_s: float,
    ) -> "Warden":
        """Wait for the warden's first word; raises OSError, TimeoutError."""
        ours.setblocking(False)
        async with asyncio.timeout(within_s):
            packet = await asyncio.get_running_loop().sock_recv(ours, LARGEST_BYTES)
        if not packet:
            raise ConnectionResetError("it ended at once")
        state = _decode(packet)
        if not isinstance(state, State) or not OLDEST <= state.version <= VERSION:
            raise ConnectionAbortedError(f"it speaks no version of the protocol from {OLDEST} to {VERSION}")
        return cls(ours, run_dir, on_report, process, state)

    def __init__(
        self,
        connection: socket.socket,
        run_dir: Path,
        on_report: Callable[[ToDaemon], None],
        process: subprocess.Popen[bytes] | None,
        state: State,
    ) -> None:
        self.state = state
        self.held_end_ns = state.end_ns
        self._connection = connection
        self._run_dir = run_dir
        self._on_report = on_report
        self._process = process
        self._charged: dict[str, tuple[int, int]] = {c.qm: (c.epoch, c.pid) for c in state.running}
        self._ending: asyncio.Task[None] | None = None
        self._quitting: asyncio.Future[None] | None = None
        self._open = True
        asyncio.get_running_loop().add_reader(connection, self._readable)

    @property
    def running(self) -> tuple[str, ...]:
        """Queue managers of which something may run."""
        return tuple(self._charged)

    # ------------------------------------------------------------ orders

    def lease(self, end_ns: int, stop_ns: int, kill_ns: int) -> None:
        """The lease's end on CLOCK_BOOTTIME, and how long before it to stop and to kill, in nanoseconds."""
        self._send({"do": "lease", "end_ns": end_ns, "stop_ns": stop_ns, "kill_ns": kill_ns})

    def watchdog(self, order: WatchdogOrder) -> None:
        """What watchdog to have; answered by WatchdogReport, now and whenever that changes."""
        self._send(order)

    def launch(self, order: LaunchOrder) -> None:
        """Launch a queue manager; answered by Launched or Refused."""
        self._charged.setdefault(order.qm, (order.epoch, 0))
        self._send(order)

    def stop(self, qm: str) -> None:
        """Its stop signal; nothing when it does not run."""
        self._send({"do": "stop", "qm": qm})

    def kill(self, qm: str) -> None:
        """SIGKILL to everything of it; nothing when it does not run."""
        self._send({"do": "kill", "qm": qm})

    async def quit(self, *, kill: bool) -> None:
        """End the warden, and with `kill` all that it runs, else raises Refused when something runs."""
        self._quitting = asyncio.get_running_loop().create_future()
        self._send({"do": "quit", "kill": kill})
        try:
            await self._quitting
        finally:
            self._quitting = None
        if self._process:
            await asyncio.to_thread(self._process.wait)

    def close(self) -> None:
        """Leave the warden alone: it goes on by itself until the lease ends."""
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._connection)
            self._connection.close()

    async def gone(self) -> None:
        """After a WardenGone: return when its leftovers were dealt with and all reports made."""
        if self._ending:
            await self._ending

    def _send(self, order: object) -> None:
        """Send at once. A warden that has left hundreds of orders unread is as good as dead, and treated so."""
        if not self._open:
            return
        try:
            self._connection.send(_encode(order))
        except OSError:
            self._lost()

    # ------------------------------------------------------------ reports

    def _readable(self) -> None:
        while self._open:
            try:
                packet = self._connection.recv(LARGEST_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._lost()
                return
            self._hear(_decode(packet))

    def _hear(self, report: FromWarden) -> None:
        match report:
            case Held():
                self.held_end_ns = report.end_ns
                return
            case Busy():
                if self._quitting and not self._quitting.done():
                    running = ", ".join(report.running)
                    self._quitting.set_exception(RefusedError(f"The warden runs {running}: stop or kill them first."))
                return
            case State():
                self.state = report
            case Launched():
                self._charged[report.qm] = (report.epoch, report.pid)
            case Exited():
                self._charged.pop(report.qm, None)
            case Refused() if report.code is not LaunchRefusal.ALREADY_RUNNING:
                self._charged.pop(report.qm, None)
        self._on_report(report)

    def _lost(self) -> None:
        """The connection has ended: as wanted, or because the warden has died."""
        self.close()
        if self._quitting and not self._quitting.done():
            self._quitting.set_result(None)
            return
        self._on_report(WardenGone(pid=self.state.pid, running=tuple(self._charged)))
        self._ending = asyncio.create_task(self._end_leftovers())

    async def _end_leftovers(self) -> None:
        stuck = False
        try:
            await clear(self._run_dir)
        except MachineError:
            stuck = True
        for qm, (epoch, pid) in self._charged.items():
            if stuck:
                self._on_report(Stuck(qm=qm, epoch=epoch, pid=pid))
            else:
                self._on_report(Exited(qm=qm, epoch=epoch, pid=pid, cause=Cause.WARDEN_GONE))
        self._charged.clear()
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0)


__all__ = ["NotUnderstood", "Warden", "clear"]
