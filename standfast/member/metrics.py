"""What Prometheus asks of a member: its status as gauges, and what only adds up over time as counters and histograms.

Gauges are made from the status when somebody asks, so that nobody who does not ask pays for them. Names follow the
conventions of Prometheus: base units, `_total` for counters, one 0/1 series for each state that a thing may be in.
"""

import platform
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from standfast import __version__
from standfast.alerts.pump import SinkReport, SinkState
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport
from standfast.model.events import EventKind
from standfast.model.messages import Ack, Message, Refusal
from standfast.model.records import MemberState, Phase
from standfast.model.told import StoredEvent
from standfast.ports import LinkCounters, boottime_ns

disable_created_metrics()  # type: ignore[no-untyped-call] # when each counter began is nobody's question here

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MS_PER_S = 1000
NS_PER_S = 1e9
ROUND_TRIPS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
READS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
TAKEOVERS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """Of one member; `counters` are those of its links."""

    def __init__(self, cluster: str, member: str, counters: LinkCounters) -> None:
        self._info = {"version": __version__, "cluster": cluster, "member": member, "python": platform.python_version()}
        self._report: StatusReport | None = None
        self._counters = counters
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._answered: dict[str, int] = {}
        self._round_trips = Histogram(
            "standfast_heartbeat_round_trip_seconds",
            "From the sending of a heartbeat to its first acknowledgement by that member.",
            ("peer",),
            buckets=ROUND_TRIPS_S,
            registry=self._registry,
        )
        self._refusals = Counter(
            "standfast_heartbeats_refused",
            "Heartbeats of this member that another one refused to acknowledge.",
            ("peer", "refusal"),
            registry=self._registry,
        )
        self._reads = Histogram(
            "standfast_store_read_seconds", "Linearizable reads.", buckets=READS_S, registry=self._registry
        )
        self._takeovers = Histogram(
            "standfast_takeover_seconds",
            "From this member's knowing that it owns a queue manager to its first answer to a client.",
            ("queue_manager",),
            buckets=TAKEOVERS_S,
            registry=self._registry,
        )
        self._events = Counter(
            "standfast_events", "Events that this member told.", ("kind", "severity"), registry=self._registry
        )

    # ------------------------------------------------------------ what adds up

    def message(self, message: Message) -> None:
        """A message came; acknowledgements tell how long the way to a member and back is."""
        if type(message) is not Ack or message.sent_ns <= self._answered.get(message.sender, 0):
            return
        self._answered[message.sender] = message.sent_ns
        if message.refusal is not Refusal.NONE:
            self._refusals.labels(message.sender, message.refusal.name.lower()).inc()
        else:
            self._round_trips.labels(message.sender).observe((boottime_ns() - message.sent_ns) / NS_PER_S)

    def read(self, took_ms: float) -> None:
        """The store was read."""
        self._reads.observe(took_ms / MS_PER_S)

    def told(self, event: StoredEvent) -> None:
        """This member told an event."""
        self._events.labels(event.kind, event.severity).inc()
        if event.kind == EventKind.QM_RUNNING and "start_ms" in event.fields:
            took_ms = sum(float(event.fields.get(name) or 0) for name in ("claim_ms", "start_ms"))
            self._takeovers.labels(event.subject).observe(took_ms / MS_PER_S)

    # ------------------------------------------------------------ when somebody asks

    def text(self, report: StatusReport) -> bytes:
        """All of it, with this report, in the text format of Prometheus, version 0.0.4; for one thread at a time."""
        self._report = report
        try:
            return generate_latest(self._registry)
        finally:
            self._report = None

    def collect(self) -> Iterator[Metric]:
        """What the report says; called by the registry."""
        report = self._report
        assert report is not None
        yield InfoMetricFamily("standfast_build", "Release, and who this is.", value=self._info)
        yield from self._of_links()
        yield from _of_members(report)
        yield from _of_queue_managers(report.queue_managers)
        yield from _of_store(report)
        yield from _of_sinks(report.sinks)

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the names are those of `collect`."""
        return ()

    def _of_links(self) -> Iterator[Metric]:
        counters = CounterMetricFamily("standfast_datagrams", "What passed over the links.", labels=("what",))
        for name in self._counters.__struct_fields__:
            counters.add_metric((name,), getattr(self._counters, name))
        yield counters


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _of_members(report: StatusReport) -> Iterator[Metric]:
    me = next(member for member in report.members if member.name == report.answered_by)
    left_s = (me.lease_left_ms or 0) / MS_PER_S
    yield _gauge("standfast_lease_remaining_seconds", "What is left of this member's lease.", left_s)
    term_s = report.timing.term_ms / MS_PER_S
    yield _gauge("standfast_lease_term_seconds", "The length of a whole lease.", term_s)
    yield _gauge("standfast_leased", "Whether this member holds a lease long enough to run things.", me.leased)
    yield _gauge("standfast_coordinator", "Whether this member coordinates, as it sees it.", me.coordinator)
    yield _gauge("standfast_frozen", "Whether takeovers are suspended.", report.orders.frozen)
    yield _gauge("standfast_notices", "What else a person should see: `standfast status`.", len(report.notices))
    states = GaugeMetricFamily("standfast_member_state", "What the store holds of a member.", labels=("peer", "state"))
    heard = GaugeMetricFamily("standfast_member_heard_seconds", "Since it was heard here last.", labels=("peer",))
    flags = {name: GaugeMetricFamily(f"standfast_member_{name}", text, labels=("peer",)) for name, text in _FLAGS}
    for member in report.members:
        for state in MemberState:
            states.add_metric((member.name, state), float(member.state is state))
        if member.heard_ms is not None:
            heard.add_metric((member.name,), member.heard_ms / MS_PER_S)
        for name, value in _flags(report, member).items():
            flags[name].add_metric((member.name,), float(value))
    yield from (states, heard, *flags.values())


_FLAGS = (
    ("hears_this", "Whether it says that it hears this member."),
    ("drained", "Whether an operator lets it run nothing."),
    ("quarantined", "Whether it is chosen for nothing while another can be."),
    ("ready", "Whether it could run every queue manager now, as it says."),
)


def _flags(report: StatusReport, member: MemberReport) -> dict[str, bool]:
    return {
        "hears_this": member.name == report.answered_by or member.hears_us is True,
        "drained": member.name in report.orders.drained,
        "quarantined": member.quarantined,
        "ready": not member.unfit,
    }


def _of_queue_managers(found: tuple[QueueManagerReport, ...]) -> Iterator[Metric]:
    phases = GaugeMetricFamily(
        "standfast_queue_manager_phase", "How far its assignment has come.", labels=("queue_manager", "phase")
    )
    owners = GaugeMetricFamily("standfast_queue_manager_owner", "Who owns it.", labels=("queue_manager", "owner"))
    epochs = GaugeMetricFamily("standfast_queue_manager_epoch", "Grows with every owner.", labels=("queue_manager",))
    for qm in found:
        for phase in Phase:
            phases.add_metric((qm.name, phase), float(qm.phase is phase))
        if qm.owner:
            owners.add_metric((qm.name, qm.owner), 1)
        epochs.add_metric((qm.name,), qm.epoch)
    yield from (phases, owners, epochs)


def _of_store(report: StatusReport) -> Iterator[Metric]:
    store = report.store
    yield _gauge("standfast_store_reachable", "Whether this member's last read succeeded.", store.reachable)
    yield _gauge("standfast_store_revision", "Of this member's view.", store.revision)
    leads = store.leader == report.answered_by
    yield _gauge("standfast_store_leader", "Whether this member's etcd leads.", leads)


def _of_sinks(found: tuple[SinkReport, ...]) -> Iterator[Metric]:
    states = GaugeMetricFamily("standfast_sink_state", "How it stands with a sink here.", labels=("sink", "state"))
    waiting = GaugeMetricFamily("standfast_sink_waiting", "Events that wait here.", labels=("sink",))
    took = GaugeMetricFamily("standfast_sink_last_delivery_seconds", "How long it took.", labels=("sink",))
    delivered = CounterMetricFamily("standfast_sink_delivered", "Events that it took from here.", labels=("sink",))
    dropped = CounterMetricFamily("standfast_sink_dropped", "Events given up here: too many.", labels=("sink",))
    for sink in found:
        for state in SinkState:
            states.add_metric((sink.name, state), float(sink.state is state))
        waiting.add_metric((sink.name,), sink.waiting)
        took.add_metric((sink.name,), sink.took_ms / MS_PER_S)
        delivered.add_metric((sink.name,), sink.delivered)
        dropped.add_metric((sink.name,), sink.dropped)
    yield from (states, waiting, took, delivered, dropped)
