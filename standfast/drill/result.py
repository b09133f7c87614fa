"""What a drill found, in one value: the input of the report and the table, and itself a JSON file to keep.

Times are milliseconds since the drill began, so that a result is readable by itself and comparable with others.
"""

from typing import Any

from msgspec import Struct, field

from standfast.drill.audit import Verdict
from standfast.ports import Durability

SCHEMA = 1
"""Grows with each change that a reader of older results would misread."""


class Totals(Struct, frozen=True, kw_only=True):
    """Counts of messages over the whole run; see audit.Audit."""

    created: int
    acked: int
    attempts: int
    stored: int | None
    consumed: int | None
    lost: int
    doubled: int
    connections: int


class Latency(Struct, frozen=True, kw_only=True):
    """From a message's making to its acknowledgement, in milliseconds, outages included."""

    median_ms: float
    p99_ms: float
    max_ms: float


class FaultResult(Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        label: a few words.
        detail: a sentence.
        at_ms: when it was done.
        outage_ms: how long clients were without service at a stretch, at most; 0 when they noticed nothing.
        hiccups_ms: shorter stretches until the next fault, together; on a busy machine not always the fault's doing.
        ended: whether the service came back.
        detect_ms: from the fault until the cluster knew; None when it is not known or did not happen.
        decide_ms: from there until the next owner was told to start.
        start_ms: from there until the queue manager answered its owner.
        client_ms: from there until clients had it back.
        acked: messages acknowledged from this fault to the next.
        lost: acknowledged before this fault (after the one before it) and gone. After the last fault: all the rest.
        doubled: stored more than once; acknowledged from this fault to the next.
    """

    label: str
    at_ms: float
    detail: str = ""
    outage_ms: float = 0.0
    hiccups_ms: float = 0.0
    ended: bool = True
    detect_ms: float | None = None
    decide_ms: float | None = None
    start_ms: float | None = None
    client_ms: float | None = None
    acked: int = 0
    lost: int | None = 0
    doubled: int | None = 0


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of time, such as that in which a member owned the queue manager."""

    label: str
    from_ms: float
    to_ms: float


class DrillResult(Struct, frozen=True, kw_only=True):
    """Everything that a report shows.

    Attributes:
        schema: of this value.
        run: name of the run.
        cluster: name of the cluster.
        queue_manager: name of the queue manager.
        kind: of the queue manager.
        began_at: wall-clock time of the begin, ISO 8601 with the offset.
        length_ms: of the whole drill.
        durability: what the driver promises.
        durability_note: the driver's sentence about it.
        verdict: see audit.Verdict; BROKEN also when there are `breaches`.
        breaches: promises other than "no acknowledged message is lost" that were seen broken, a sentence each.
        unreadable: why the queue manager could not be read back; empty when it could.
        totals: of all messages.
        latency: of acknowledgements; None when there was none.
        faults: in the order of their times.
        outages: times without service.
        rate_ms: width of one step of `rates`.
        rates: messages acknowledged in each step.
        owners: who owned the queue manager, and when.
        members: in the order of the bands in the plot; members without a span are shown as well.
        environment: facts to judge the figures by: versions, processors, timing, settings of the load.
    """

    schema: int = SCHEMA
    run: str
    cluster: str
    queue_manager: str
    kind: str
    began_at: str
    length_ms: float
    durability: Durability
    durability_note: str
    verdict: Verdict
    breaches: tuple[str, ...] = ()
    unreadable: str = ""
    totals: Totals
    latency: Latency | None = None
    faults: tuple[FaultResult, ...] = ()
    outages: tuple[Span, ...] = ()
    rate_ms: float = 100.0
    rates: tuple[int, ...] = ()
    owners: tuple[Span, ...] = ()
    members: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
