"""`standfast run`: puts one member together, lets it live, and takes it apart again.

Order of a start: state directory locked and identity known; keys read; the warden of a former process taken over with
what it runs, or all of that ended and another started; store, links, health page and control socket opened; only then
the core, which hears first of what was taken over. Order of an end: the core hands over and leaves;
then everything is closed, the warden last, with whatever it may still run.
"""

import asyncio
import contextlib
import gc
import hashlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from standfast.errors import MachineError, StandfastError
from standfast.links.udp import UdpLinks
from standfast.member.alerting import Alerting
from standfast.member.api_child import run_api
from standfast.member.attendant import Attendant
from standfast.member.configuring import Configuring
from standfast.member.control import ControlServer
from standfast.member.farewell import ended, first_end
from standfast.member.fitness import Fitness
from standfast.member.following import Followers, health_board
from standfast.member.handler import MemberHandler
from standfast.member.handover import Handover
from standfast.member.hands import Hands
from standfast.member.hops import Hops
from standfast.member.instance import Instance
from standfast.member.journal import Journal
from standfast.member.lockfile import locked
from standfast.member.logs import set_up
from standfast.member.memory import Memory
from standfast.member.notify import Notifier
from standfast.member.presence import Presence
from standfast.member.replication import Replication
from standfast.member.report import NoticeKind
from standfast.member.reporter import Reporter
from standfast.member.runtime import Runtime
from standfast.member.scribe import Scribe
from standfast.member.settings_cache import SettingsCache
from standfast.member.shared_disk import Give, SharedDisk
from standfast.member.stamps import Stamps
from standfast.member.statedir import StateDir
from standfast.member.storehouse import Storehouse
from standfast.member.successor import await_turn
from standfast.member.telling import Files, telling
from standfast.member.urgency import Priority, urgent
from standfast.member.warden_protocol import Containment
from standfast.member.warden_reports import State
from standfast.member.watchdog import Watchdog
from standfast.member.windows import Windows
from standfast.model.cluster import Cluster, Role
from standfast.model.events import Event
from standfast.ports import boottime_ns
from standfast.quorum import signals as sig
from standfast.quorum.core import Core, Identity
from standfast.stores.ledger import Ledger
from standfast.trust import CLUSTER_KEY, load_cluster_key

LOCK = "daemon.lock"
ALIVE_EVERY_S = 1.0
"""How often systemd is told that the loop turns; its WatchdogSec should be several times as long."""

_log = logging.getLogger(__name__)


def main(
    *,
    cluster: Cluster,
    member: str,
    trust: Path,
    state_dir: Path,
    run_dir: Path,
    group: str | None = None,
    log_format: str = "console",
    priority: Priority = Priority.REALTIME,
) -> None:
    """Run a member until it is told to end.

    Args:
        cluster: the cluster file.
        member: which member this is.
        trust: directory with its cluster key and certificates.
        state_dir: kept over restarts and reboots; this member's alone.
        run_dir: gone after a reboot; gets `MEMBER.sock` and a directory `MEMBER`.
        group: of the users who may use the control socket besides the owner.
        log_format: `console` or `json`.
        priority: that the daemon asks the kernel for.

    Raises a StandfastError when it can not start or must not go on.
    """
    set_up(member, log_format)
    try:
        load_cluster_key(trust / CLUSTER_KEY)  # what may fail is tried while an old daemon, if any, still runs
        if not await_turn():
            return
        with asyncio.Runner() as runner:
            daemon = Daemon(cluster, member, trust_dir=trust, state_dir=state_dir, run_dir=run_dir, group=group)
            daemon.log_format, daemon.priority = log_format, priority
            runner.run(daemon.run())
    except StandfastError as error:
        if log_format != "json":
            raise
        # Who reads the log as JSON must find the reason in it, too.
        _log.critical("%s", error, extra={"error": type(error).__name__})
        sys.exit(error.exit_code)


class Daemon:
    """One member on this machine; arguments as of `main`."""

    def __init__(
        self, cluster: Cluster, me: str, *, trust_dir: Path, state_dir: Path, run_dir: Path, group: str | None
    ) -> None:
        self._cluster = cluster
        self._me = me
        # The warden and the queue managers have working directories of their own.
        self._trust_dir = trust_dir.absolute()
        self._state_dir = state_dir.absolute()
        self._socket = run_dir.absolute() / f"{me}.sock"
        self._own_run_dir = run_dir.absolute() / me
        self._group = group
        self.log_format = "console"
        """Of the processes that log beside this one."""
        self.priority = Priority.ORDINARY

    async def run(self) -> None:
        """From start to end. Its run directory is locked before anything in it is ended: a daemon may live there."""
        with contextlib.ExitStack() as held:
            held.enter_context(urgent(self.priority))
            state = StateDir(self._state_dir, self._cluster.id, self._me)
            held.callback(state.close)
            self._make_run_dir()
            held.callback(os.close, locked(self._own_run_dir / LOCK, self._me))
            await self._live(state)

    def _make_run_dir(self) -> None:
        try:
            self._own_run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(
                f"The run directory {self._own_run_dir} can not be used: {error.strerror}. Create it for the user that "
                f"runs Standfast, or name another one with --run-dir."
            ) from error

    async def _live(self, state: StateDir) -> None:
        key = load_cluster_key(self._trust_dir / CLUSTER_KEY)
        store = Storehouse(self._cluster, self._me, state.machine, state.path, self._trust_dir)
        journal, cache = Journal(self._me), SettingsCache(state.path, self._cluster.id)
        cluster = cache.in_force(self._cluster)
        board, memory = health_board(cluster.member(self._me), cluster.timing), Memory(state.path)
        core = Core(self._identity(state), cluster, boottime_ns(), remembered=memory.read())
        runtime, hands = Runtime(cluster, core, journal, board), Hands(self._own_run_dir, self._cgroup_name())
        links, ledger = UdpLinks(cluster, self._me, key), Ledger(store.client, self._me)
        scribe = Scribe(self._cluster.id, ledger, store.client, journal, view=lambda: core.view, inbox=runtime)
        attendant = Attendant(self._cluster, self._me, self._own_run_dir, hands, runtime)
        reporter = Reporter(self._cluster, core, store, scribe, links.counters)
        replication = Replication(core, runtime.order, reporter, running=lambda: hands.running)
        runtime.link, runtime.scribe, runtime.attendant, runtime.warden = links, scribe, attendant, hands
        runtime.memory, hands.reports = memory, attendant
        files = Files(state.path, self._trust_dir, self.log_format)
        alerting = telling(
            *(runtime, scribe, reporter, board), counters=links.counters, files=files, history=ledger.history
        )
        hands.on_state, notifier = lambda told: _note_containment(reporter, told), Notifier()
        parts = (Handover(hands, notifier), Configuring(self._cluster, core, attendant), alerting, replication)
        told = (self._cluster, reporter, ledger, journal, runtime.order)
        control = ControlServer(self._socket, _handler(told, *parts, tell=scribe.tell), self._group)
        watchdog = self._watchdog(cluster, state, hands, journal, reporter)
        where = (self._cluster, attendant.place, lambda: core.view, runtime.give, reporter)
        hops = Hops(self._me, lambda: core.rules.cluster, runtime.give, reporter)
        fitness = Fitness(
            *where, hindrance=lambda: watchdog.trouble or away.trouble, told=journal.told, copy=replication.trouble
        )
        fitness.stamps = Stamps(core, runtime.give, attendant.kill, journal)
        watchdog.on_trouble, away = fitness.look_again, self._instance(runtime, reporter, journal, fitness)
        replication.changed, store.drained = fitness.look_again, lambda: core.view.orders.record.drained
        followers = Followers(lambda: core.view, (board, links, store), cache, disk=lambda: runtime.disk)
        runtime.on_adopted, runtime.on_retimed = followers.follow, watchdog.retimed
        reporter.notice(NoticeKind.SETTINGS_CACHE, "settings", cache.trouble)

        async with contextlib.AsyncExitStack() as opened:
            opened.push_async_callback(ended, asyncio.create_task(alerting.run()))
            watchdog.begin()
            opened.push_async_callback(watchdog.close)
            runtime.first(await hands.open(inherit=core.ordered.own is None))
            opened.push_async_callback(hands.close)
            opened.push_async_callback(attendant.close)
            board.start()
            opened.callback(board.close)
            await links.open(runtime.receive)
            opened.callback(links.close)
            runtime.disk = await self._shared_disk(opened, key, runtime.give, journal, reporter)
            opened.push_async_callback(store.close)
            opened.push_async_callback(scribe.close)
            await control.open()
            opened.push_async_callback(control.close)
            opened.callback(runtime.close)
            await opened.enter_async_context(Presence(runtime, self._own_run_dir, journal, reporter))
            opened.push_async_callback(cache.close)
            await self._go_on(
                *(runtime, scribe, store, reporter, notifier),
                watchdog=watchdog,
                beside=(fitness, hops, away, replication),
            )

    def _instance(self, runtime: Runtime, reporter: Reporter, journal: Journal, fitness: Fitness) -> Instance:
        return Instance(
            *(self._me, self._cluster.aws),
            status=reporter.status,
            order=runtime.order,
            journal=journal,
            look_again=fitness.look_again,
        )

    def _cgroup_name(self) -> str:
        """One that no other member on this machine has, be it of another cluster with the same names."""
        unique = hashlib.blake2s(f"{self._cluster.id} {self._own_run_dir}".encode(), digest_size=4).hexdigest()
        return f"{self._cluster.name}-{self._me}-{unique}"

    def _identity(self, state: StateDir) -> Identity:
        return Identity(name=self._me, machine=state.machine, process=secrets.randbits(63))

    def _watchdog(
        self, cluster: Cluster, state: StateDir, hands: Hands, journal: Journal, reporter: Reporter
    ) -> Watchdog:
        me = cluster.member(self._me)
        watchdog = Watchdog(me, cluster.timing, state.path, give=hands.watchdog, journal=journal, reporter=reporter)
        hands.on_watchdog = watchdog.told
        return watchdog

    async def _shared_disk(
        self, opened: contextlib.AsyncExitStack, key: bytes, give: Give, journal: Journal, reporter: Reporter
    ) -> SharedDisk | None:
        path = self._cluster.disk_of(self._me)
        if not path:
            return None
        disk = SharedDisk(path, self._cluster, self._me, key, give=give, journal=journal, reporter=reporter)
        await disk.open()
        opened.callback(disk.close)
        return disk

    async def _go_on(
        self,
        runtime: Runtime,
        scribe: Scribe,
        store: Storehouse,
        reporter: Reporter,
        notifier: Notifier,
        *,
        watchdog: Watchdog,
        beside: tuple[Fitness, Hops, Instance, Replication],
    ) -> None:
        """Let the core run until it has left; a part that fails for good ends the member the same way."""
        core = runtime.core
        with _ended_by_signals(runtime, notifier):
            work = [
                asyncio.create_task(store.run(lambda name: core.hearing.hears(name, boottime_ns()))),
                asyncio.create_task(scribe.watch()),
                asyncio.create_task(scribe.tell_trouble()),
                asyncio.create_task(
                    scribe.trim(lambda: core.coordinator.leading(boottime_ns(), able=core.able) == self._me)
                ),
                asyncio.create_task(_stay_alive(notifier, reporter, store)),
                asyncio.create_task(watchdog.run()),
                asyncio.create_task(run_api(self._cluster, self._me, self._socket, self._trust_dir, self._state_dir)),
            ]
            if self._cluster.member(self._me).role is Role.DATA:
                work += [asyncio.create_task(part.run()) for part in beside]
                work.append(asyncio.create_task(Windows(lambda: core.view, runtime.give).run()))
            if runtime.disk is not None:
                work.append(asyncio.create_task(runtime.disk.run()))
            gc.freeze()  # nothing of what was loaded is looked at again; to collect first would take 20 ms of the gap
            runtime.give(sig.Woke())
            notifier.tell("READY=1")
            _log.info("member %s of cluster %s runs", self._me, self._cluster.name)
            try:
                await first_end(runtime, work)
            finally:
                notifier.tell("STOPPING=1")
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)


def _handler(
    told: tuple[Cluster, Reporter, Ledger, Journal, Callable[[sig.Order], Awaitable[sig.Verdict]]],
    handover: Handover,
    configuring: Configuring,
    alerting: Alerting,
    replication: Replication,
    *,
    tell: Callable[[Event], Awaitable[None]],
) -> MemberHandler:
    return MemberHandler(
        *told,
        tell=tell,
        restart=handover.restart,
        configuring=configuring,
        alerting=alerting,
        replication=replication,
    )


async def _stay_alive(notifier: Notifier, reporter: Reporter, store: Storehouse) -> None:
    """Tell systemd that the loop turns, and keep what `status` says of the etcd's version up to date."""
    while True:
        notifier.tell("WATCHDOG=1")
        reporter.notice(NoticeKind.STORE_VERSION, "etcd", store.faulty_version)
        await asyncio.sleep(ALIVE_EVERY_S)


def _note_containment(reporter: Reporter, told: State) -> None:
    by_group = told.containment is Containment.GROUP
    reporter.notice(NoticeKind.NO_CGROUP, "warden", "process groups" if by_group else "")


@contextlib.contextmanager
def _ended_by_signals(runtime: Runtime, notifier: Notifier) -> Iterator[None]:
    """The first SIGTERM or SIGINT hands over and leaves; a second one does not wait for that."""
    loop = asyncio.get_running_loop()
    asked: list[asyncio.Task[None]] = []

    def end() -> None:
        if asked and not runtime.left.done():
            runtime.left.set_result(sig.LeaveReason.ORDERED)
        elif not asked:
            notifier.tell("STOPPING=1")
            asked.append(loop.create_task(runtime.leave()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
