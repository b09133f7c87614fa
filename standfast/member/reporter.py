"""What this member knows, as the report that `standfast status` shows."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from standfast.alerts.pump import SinkReport
from standfast.managers.registry import DRIVERS
from standfast.member.control_protocol import OverrideReport
from standfast.member.report import (
    CopyReport,
    DiskReport,
    MemberReport,
    Notice,
    NoticeKind,
    QueueManagerReport,
    StatusReport,
    StoreReport,
)
from standfast.member.snapshot import Snapshot, heard_by, take
from standfast.member.warden_protocol import WatchdogState
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec
from standfast.model.messages import Hop
from standfast.model.override import Stance
from standfast.model.records import Assignment
from standfast.ports import LinkCounters, boottime_ns
from standfast.quorum.core import Core
from standfast.quorum.signals import Verdict
from standfast.quorum.ties import Ties, Untied

NS_PER_MS = 1_000_000


class StoreFacts(Protocol):
    """What is known of the store's servers."""

    leader: str
    full: bool
    silent: Mapping[str, str] | None
    listed: int
    strangers: tuple[str, ...]

    @property
    def version(self) -> str:
        """Of the supervised etcd; empty when there is none."""
        ...


class ReadFacts(Protocol):
    """What is known of the last read."""

    read_ms: float | None
    full: bool


class Reporter:
    """Of one member; asks nobody, so that it answers at once whatever is broken."""

    def __init__(
        self, cluster: Cluster, core: Core, store: StoreFacts, reads: ReadFacts, counters: LinkCounters
    ) -> None:
        self._cluster = cluster
        self._core = core
        self._store = store
        self._reads = reads
        self._counters = counters
        self.notices: dict[tuple[NoticeKind, str], Notice] = {}
        """What the daemon found that a person should see."""
        self.watchdog: WatchdogState | None = None
        """How it stands with the kernel's watchdog; None before the warden has said so."""
        self.disk: Callable[[], DiskReport] | None = None
        """How it stands with the shared disk; None where there is none."""

        self.copies: Callable[[str], CopyReport | None] = lambda _: None
        """This member's copy of a replicated queue manager's data."""
        self.sinks: Callable[[], tuple[SinkReport, ...]] = tuple
        """How it stands with each sink of events."""

    def notice(self, kind: NoticeKind, subject: str = "", detail: str = "") -> None:
        """Add or renew a notice; an empty detail takes it back."""
        if detail:
            self.notices[kind, subject] = Notice(kind, subject, detail)
        else:
            self.notices.pop((kind, subject), None)

    def status(self) -> StatusReport:
        """Everything this member knows now."""
        core, now_ns = self._core, boottime_ns()
        view = core.ordered.shown(core.view)
        acting = core.coordinator.leading(now_ns, able=core.able)
        ties = Ties(view)
        return StatusReport(
            cluster=self._cluster.name,
            answered_by=core.me,
            at_unix_ms=time.time_ns() // NS_PER_MS,
            timing=core.rules.cluster.timing,
            members=tuple(self._member(spec, acting, now_ns) for spec in self._by_name()),
            queue_managers=tuple(
                self._queue_manager(view.specs[name].record, kept.record, ties)
                for name, kept in sorted(view.assignments.items())
            ),
            store=StoreReport(
                reachable=core.desk.ok,
                leader=self._store.leader,
                revision=core.view.revision,
                latency_ms=self._reads.read_ms,
                version=self._store.version,
                serving=self._serving(),
                listed=self._store.listed,
                strangers=self._store.strangers,
            ),
            disk=self.disk() if self.disk is not None else None,
            sinks=self.sinks(),
            orders=core.view.orders.record,
            notices=(
                *self._overrides(),
                *self.notices.values(),
                *self._servers(now_ns),
                *self._room(),
                *self._links(),
                *self._knocks(),
                *self._differences(),
            ),
        )

    def override(self, grantable: Verdict) -> OverrideReport:
        """What this member knows of overrides; `grantable`: what would be answered to an order now."""
        core = self._core
        wait_ns = core.reception.granting.wait_ns(core.view, boottime_ns())
        return OverrideReport(
            cluster=self._cluster.name,
            member=core.me,
            own=core.ordered.own,
            words=core.overrides.words,
            grantable=grantable,
            wait_ms=max(0, wait_ns) // NS_PER_MS,
        )

    def _overrides(self) -> list[Notice]:
        return [
            Notice(NoticeKind.OVERRIDE, word.member, f"{word.stance}, number {word.number}")
            for word in self._core.overrides.words
            if word.stance is not Stance.ENDED
        ]

    def snapshot(self) -> Snapshot:
        """Everything that the deciders need to know now."""
        return take(self._core, boottime_ns(), time.time_ns() // NS_PER_MS, self._store.leader)

    def _by_name(self) -> list[MemberSpec]:
        return sorted(self._core.rules.cluster.members, key=lambda m: m.name)

    def _member(self, spec: MemberSpec, acting: str | None, now_ns: int) -> MemberReport:
        core = self._core
        kept = core.view.members.get(spec.name)
        report: dict[str, Any] = {"name": spec.name, "role": spec.role, "address": spec.addresses[0]}
        report["hears"] = heard_by(core, spec.name, now_ns)
        if kept is not None:
            record = kept.record
            report |= {"state": record.state, "reason": record.reason, "incarnation": record.incarnation}
            report |= {"quarantined": record.quarantined, "losses": record.losses}
        if spec.name == core.me:
            left_ms = max(0, core.lease.end_ns - now_ns) // NS_PER_MS
            report |= {"heard_ms": 0, "leased": core.leased, "able": core.able}
            report |= {"lease_left_ms": left_ms, "unfit": core.unfit}
            report["watchdog"] = self.watchdog
        else:
            report |= self._heard(spec.name, now_ns)
        leader = self._store.leader
        return MemberReport(
            coordinator=spec.name == acting, store_leader=spec.name == leader if leader else None, **report
        )

    def _heard(self, name: str, now_ns: int) -> dict[str, Any]:
        hearing = self._core.hearing
        peer = hearing.peers[name]
        read_ns = self._core.words.read_ns(name)
        report: dict[str, Any] = {"isolated_by": self._core.words.isolated_by(name, now_ns)}
        if read_ns is not None:
            report["disk_ms"] = (now_ns - read_ns) // NS_PER_MS
        if peer.heartbeat is None:
            return report
        fresh = hearing.fresh(name, now_ns)
        return report | {
            "heard_ms": (now_ns - peer.at_ns) // NS_PER_MS,
            "hears_us": hearing.heard_by(name, now_ns) if fresh else None,
            "leased": bool(fresh and fresh.leased),
            "able": fresh.able if fresh else None,
            "unfit": fresh.unfit if fresh else (),
        }

    def _queue_manager(self, spec: QueueManagerSpec, a: Assignment, ties: Ties) -> QueueManagerReport:
        core, name = self._core, spec.name
        run = core.keeper.runs.get(name)
        driver = DRIVERS.get(spec.kind)
        return QueueManagerReport(
            name=name,
            kind=spec.kind,
            owner=a.owner,
            target=a.target,
            phase=a.phase,
            epoch=a.epoch,
            address=next((m.clients for m in core.rules.cluster.members if m.name == a.owner), ""),
            port=spec.port,
            reason=a.reason,
            failed_on=a.failed_on,
            outdated=a.outdated,
            replicated=spec.storage.replicated,
            copy=self.copies(name) if spec.storage.replicated else None,
            local=run.state if run is not None else None,
            durability=driver.durability if driver else "",
            together=spec.together,
            apart=spec.apart,
            mates=tuple(ties.mates(name)),
            rivals=tuple(ties.rivals(name)),
            untied=Untied(a.untied),
        )

    def _links(self) -> list[Notice]:
        core, now_ns = self._core, boottime_ns()
        found = [Notice(NoticeKind.LINK_FLAPPING, name, "its link to here") for name in sorted(core.link_news.flapping)]
        hops = {name: said.hop for name in core.hearing.peers if (said := core.hearing.fresh(name, now_ns))}
        hops[core.me] = core.hop
        found += [Notice(NoticeKind.HOP_LOST, name) for name, hop in sorted(hops.items()) if hop is Hop.LOST]
        waiting = {(run.spec.name, run.waits_for) for run in core.keeper.runs.values() if run.waits_for}
        found += [Notice(NoticeKind.FENCING, qm, victim) for qm, victim in sorted(waiting)]
        if core.held_ns:
            found.append(
                Notice(NoticeKind.HELD_BACK, core.me, f"for {core.held_ns // (1000 * NS_PER_MS)} s if they hold")
            )
        return found

    def _knocks(self) -> list[Notice]:
        found = []
        if self._counters.bad_key:
            found.append(Notice(NoticeKind.BAD_KEY, detail=str(self._counters.bad_key)))
        if self._counters.other_cluster:
            found.append(Notice(NoticeKind.OTHER_CLUSTER, detail=str(self._counters.other_cluster)))
        return found

    def _serving(self) -> tuple[str, ...] | None:
        silent = self._store.silent
        return None if silent is None else tuple(spec.name for spec in self._by_name() if spec.name not in silent)

    def _servers(self, now_ns: int) -> list[Notice]:
        """That the etcd of a member that is down does not serve goes without saying."""
        core = self._core
        return [
            Notice(NoticeKind.STORE_SERVER, name, why)
            for name, why in sorted((self._store.silent or {}).items())
            if name == core.me or core.hearing.hears(name, now_ns)
        ] + [Notice(NoticeKind.STORE_STRANGER, name) for name in self._store.strangers]

    def _room(self) -> list[Notice]:
        """A supervised etcd says itself whether it is full; of another one only the last write tells."""
        full = self._store.full if self._store.version else self._reads.full
        return [Notice(NoticeKind.STORE_FULL)] if full else []

    def _differences(self) -> list[Notice]:
        """Where the cluster file is not what the store holds, which is what counts."""
        view = self._core.view
        if view.settings is None:
            return []
        settings, found = view.settings.record, []
        if waited_for := self._core.settlement.missing(view):
            found.append(Notice(NoticeKind.SETTINGS_PENDING, detail=", ".join(waited_for)))
        if settings.timing != self._cluster.timing:
            ours, theirs = self._cluster.timing.term_ms, settings.timing.term_ms
            found.append(Notice(NoticeKind.TIMING_DIFFERS, detail=f"lease {ours} ms, stored {theirs} ms"))
        named = {m.name: m for m in self._cluster.members}
        if settings.specs:
            found += _differing(named, {m.name: m for m in settings.specs}, "member")
        else:
            found += [
                Notice(NoticeKind.FILE_DIFFERS, name, "member") for name in sorted(named.keys() ^ settings.members)
            ]
        in_file = {spec.name: spec for spec in self._cluster.queue_managers}
        stored = {name: kept.record for name, kept in view.specs.items()}
        return [*found, *_differing(in_file, stored, "queue manager")]


def _differing(ours: Mapping[str, object], theirs: Mapping[str, object], what: str) -> list[Notice]:
    names = sorted(ours.keys() | theirs.keys())
    return [Notice(NoticeKind.FILE_DIFFERS, name, what) for name in names if ours.get(name) != theirs.get(name)]
