"""The supervised etcd process of one member.

Guarantees
  * It dies with this process, however this process dies: the kernel sends it SIGKILL (etcd survives that: it
    synced what it acknowledged). No orphan holds its port or its data.
  * It is started again when it ends, after a growing delay, until `run` is cancelled; then it is stopped.
  * A member whose etcd data have vanished is not started as if it were new: it would vote again with its earlier
    votes forgotten, and a majority could then agree to something else than it already has. When the whole state
    directory is gone it is taken in anew under another raft id (see readmission.py); when only the data are gone from
    a directory that etcd has used, nothing is started, because they may just not be mounted.
  * Data are deleted in one case only: they are what an unfinished readmission has left (`etcd.joining` is there).
Does not guarantee: the third, without a `readmission`, when the whole state directory vanished.
Assumes: `run` is awaited on the main thread's loop, because the kernel ties the death signal to the thread that forks.
"""

import asyncio
import shutil
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from standfast.errors import MachineError, StateError, StoreError
from standfast.model.cluster import Cluster
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.etcd_program import (
    etcd_version,
    find_etcd,
    last_error,
    port_problem,
    spawn,
    stop,
    was_removed,
)
from standfast.stores.etcd_settings import EtcdTuning, TlsFiles, arguments, client_url
from standfast.stores.etcd_version import version_problem
from standfast.stores.leadership import Leadership, move_leadership
from standfast.stores.readmission import Opening, Readmission

STOP_S = 5.0
"""For SIGTERM, in which etcd hands its leadership over; then SIGKILL."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 10.0
"""Pause before a restart: doubled with each that follows soon."""
STEADY_S = 30.0
"""A process that ran so long was healthy: the next pause is the first again."""
LOOK_S = 0.1
"""How often a first start is looked at until its data are there."""
MOVE_S = 3.0
"""For a move of the leadership; etcd itself waits one election timeout."""


class ServerState(StrEnum):
    """What the process does."""

    STOPPED = "stopped"  # not started, or stopped on purpose
    RUNNING = "running"  # the process is there; whether it serves, its clients see
    DELAYED = "delayed"  # it ended; it is started again after a pause
    JOINING = "joining"  # it has no data and a past: it waits until the others take it in anew
    REPLACED = "replaced"  # the others took another in its place: it is not started again


class ServerReport(Struct, frozen=True, kw_only=True):
    """For `status`.

    Attributes:
        state: see ServerState.
        pid: of the process, or None.
        restarts: since the start of the daemon.
        version: of the program; empty before the first start.
        warning: what is wrong with that version, or None.
        last_error: the last line in its log that tells of an error, or empty; while JOINING, what it waits for.
    """

    state: ServerState
    pid: int | None
    restarts: int
    version: str
    warning: str | None
    last_error: str


class EtcdServer:
    """The etcd process of one member.

    Args:
        cluster: the cluster file.
        name: of this member.
        state_dir: of this member, local and private; `etcd/`, `etcd.log`, `etcd.begun` and `etcd.joining` are kept in
            it.
        tls: certificates for clients and peers; None for plain http.
        tuning: settings.
        readmission: how the others take it in anew after the loss of its disk; None: it starts as a founder then.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        state_dir: Path,
        *,
        tls: TlsFiles | None = None,
        tuning: EtcdTuning | None = None,
        readmission: Readmission | None = None,
    ) -> None:
        self._cluster = cluster
        self._me = cluster.member(name)
        self._tls = tls
        self._tuning = tuning or EtcdTuning()
        self._readmission = readmission
        self.data_dir = state_dir / "etcd"
        self.log_file = state_dir / "etcd.log"
        self._begun = state_dir / "etcd.begun"
        self._joining = state_dir / "etcd.joining"
        self._state = ServerState.STOPPED
        self._pid: int | None = None
        self._restarts = 0
        self._version = ""
        self._warning: str | None = None

    # ------------------------------------------------------------ life

    async def run(self) -> None:
        """Keep etcd running until cancelled, then stop it.

        Raises, before the first start: MachineError (no etcd, port taken), StoreFatal (too old), StateError (its data
        have vanished).
        """
        program = find_etcd()
        self._version = await etcd_version(program)
        self._warning = version_problem(self._version)
        await self._wait_for_ports()
        delay_s = FIRST_DELAY_S
        clock = asyncio.get_running_loop().time
        try:
            while True:
                started = clock()
                await self._run_once(program)
                if was_removed(self.log_file):
                    self._state = ServerState.REPLACED
                    await asyncio.Event().wait()
                delay_s = FIRST_DELAY_S if clock() - started >= STEADY_S else min(2 * delay_s, LONGEST_DELAY_S)
                self._state = ServerState.DELAYED
                self._restarts += 1
                await asyncio.sleep(delay_s)
        finally:
            self._state = ServerState.STOPPED

    def report(self) -> ServerReport:
        """What it does now."""
        return ServerReport(
            state=self._state,
            pid=self._pid,
            restarts=self._restarts,
            version=self._version,
            warning=self._warning,
            last_error=self._trouble(),
        )

    def _trouble(self) -> str:
        if self._state is ServerState.JOINING and self._readmission:
            return self._readmission.waiting_for
        if self._state is ServerState.REPLACED:
            return (
                f"the others took another etcd in its place. If this machine is the member, stop it, move "
                f"{self._begun.parent} away and start it: it joins as a new machine"
            )
        return last_error(self.log_file)

    async def move_leadership(self, to: str) -> Leadership:
        """Hand the raft leadership to another member if this one has it; raises StoreUnavailable, StoreFatal."""
        context = self._tls.client_context() if self._tls else None
        gateway = Gateway([client_url(self._me, secure=self._tls is not None)], tls=context, patience=Patience())
        try:
            return await move_leadership(gateway, to, MOVE_S)
        finally:
            await gateway.close()

    async def _run_once(self, program: str) -> None:
        """From start to end of one process; when cancelled it is stopped first."""
        opening = await self._opening()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = arguments(
            self._cluster,
            self._me,
            self.data_dir,
            opening.state,
            tls=self._tls,
            tuning=self._tuning,
            initial_cluster=opening.cluster,
        )
        process = await spawn(program, settings, self.log_file)
        self._state, self._pid = ServerState.RUNNING, process.pid
        try:
            await self._remember_begin(process)
            await process.wait()
        finally:
            await stop(process, STOP_S)
            self._pid = None

    async def _remember_begin(self, process: asyncio.subprocess.Process) -> None:
        """Note beside the data that they exist, as soon as they do; and that they are whole, when they had to come."""
        while process.returncode is None and not self._has_data():  # noqa: ASYNC110 - etcd tells nobody
            await asyncio.sleep(LOOK_S)
        if self._has_data():
            self._begun.touch(mode=0o600)
        while process.returncode is None and self._joining.exists():
            if await self._serves():
                self._joining.unlink()
            await asyncio.sleep(LOOK_S)

    async def _serves(self) -> bool:
        """Whether it answers a linearizable read: it holds all that the others had committed before."""
        context = self._tls.client_context() if self._tls else None
        own = Etcd(self._cluster.name, [client_url(self._me, secure=self._tls is not None)], tls=context)
        try:
            await own.read(0)
        except StoreError:
            return False
        finally:
            await own.close()
        return True

    async def _opening(self) -> Opening:
        """How to start; waits for the others when they must take it in anew. With data etcd goes by them."""
        unfinished = self._readmission is not None and self._joining.exists()
        if self._has_data() and not unfinished:
            return Opening("existing")
        if self._begun.exists() and not unfinished:
            raise StateError(
                f"The store's data are gone from {self.data_dir}, but etcd ran here before. It must not start empty: "
                f"it would vote with its earlier votes forgotten. Put the data back; or, if they are lost, move "
                f"{self._begun.parent} away: the member then joins as a new machine, once the others have evicted the "
                f"old one, and so does its etcd."
            )
        if self._readmission is None:
            return Opening("new")
        self._state = ServerState.JOINING
        return await self._readmission.opening(unfinished=unfinished, prepare=self._forget)

    def _forget(self) -> None:
        """Delete what an unfinished readmission has left, after noting that one has begun."""
        try:
            self._joining.touch(mode=0o600)
            if self.data_dir.exists():
                shutil.rmtree(self.data_dir)
            self._begun.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{self.data_dir} can not be emptied: {error.strerror}. Let it belong to the user that runs Standfast, "
                f"then start again."
            ) from error

    def _has_data(self) -> bool:
        return any((self.data_dir / "member" / "wal").glob("*.wal"))

    async def _wait_for_ports(self) -> None:
        """Raise MachineError when a port stays taken; the etcd of a daemon that was just killed may still be going."""
        until = asyncio.get_running_loop().time() + STOP_S
        for port in (self._me.store_client_port, self._me.store_peer_port):
            while problem := port_problem(self._me.addresses[0], port):
                if asyncio.get_running_loop().time() >= until:
                    raise MachineError(problem)
                await asyncio.sleep(LOOK_S)


__all__ = ["EtcdServer", "EtcdTuning", "ServerReport", "ServerState", "TlsFiles"]
