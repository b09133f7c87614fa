"""From the record of a load and the marks of the faults to the drill's result. Pure."""

import bisect
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from standfast.drill.audit import Audit, Verdict, all_messages, audit
from standfast.drill.identity import Identity
from standfast.drill.outage import Fault, Impact, Outage, impacts, outages
from standfast.drill.record import LoadRecord, LoadSettings, Sent
from standfast.drill.result import DrillResult, FaultResult, Latency, Span, Totals
from standfast.model.timing import NS_PER_MS
from standfast.ports import Durability

RATE_MS = 100
_P99 = 0.99


class Ownership(Struct, frozen=True):
    """A member owned the queue manager for a time."""

    member: str
    from_ns: int
    to_ns: int


class Circumstances(Struct, frozen=True, kw_only=True):
    """What the load does not know; see DrillResult for the meaning of each field."""

    cluster: str
    queue_manager: str
    began_at: str
    durability: Durability
    durability_note: str
    faults: tuple[Fault, ...] = ()
    owners: tuple[Ownership, ...] = ()
    members: tuple[str, ...] = ()
    breaches: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def shortest_outage_ns(settings: LoadSettings) -> int:
    """The shortest outage that this load can tell from chance: two rhythms and a retry."""
    return (2 * settings.every_ms + settings.retry_ms) * NS_PER_MS


def summarise(record: LoadRecord, about: Circumstances) -> DrillResult:
    """The result of a drill."""
    messages = [sent for _, sent in all_messages(record)]
    checked = audit(record, about.durability)
    away = outages(messages, record.began_ns, record.ended_ns, shortest_outage_ns(record.settings))
    faults = sorted(about.faults, key=lambda fault: fault.at_ns)
    zero_ns, end_ns = record.began_ns, record.ended_ns
    return DrillResult(
        run=record.settings.run,
        cluster=about.cluster,
        queue_manager=about.queue_manager,
        kind=record.settings.kind,
        began_at=about.began_at,
        length_ms=_ms(end_ns - zero_ns),
        durability=about.durability,
        durability_note=about.durability_note,
        verdict=Verdict.BROKEN if about.breaches else checked.verdict,
        breaches=about.breaches,
        unreadable=record.unreadable,
        totals=_totals(checked, record),
        latency=_latency(messages),
        faults=_rows(faults, impacts(faults, away), record, checked),
        outages=tuple(_span(one, zero_ns) for one in away),
        rate_ms=RATE_MS,
        rates=_rates(messages, zero_ns, end_ns),
        owners=tuple(
            Span(label=one.member, from_ms=_ms(max(one.from_ns, zero_ns) - zero_ns), to_ms=_ms(to_ns - zero_ns))
            for one in about.owners
            if (to_ns := min(one.to_ns, end_ns)) > zero_ns
        ),
        members=about.members,
        environment=about.environment,
    )


def _totals(checked: Audit, record: LoadRecord) -> Totals:
    return Totals(
        created=checked.created,
        acked=checked.acked,
        attempts=checked.attempts,
        stored=checked.stored,
        consumed=checked.consumed if checked.consumers else None,
        lost=len(checked.lost),
        doubled=len(checked.doubled),
        connections=record.connections,
    )


def _latency(messages: Iterable[Sent]) -> Latency | None:
    lengths = sorted(sent.acked_ns - sent.created_ns for sent in messages if sent.acked_ns)
    if not lengths:
        return None
    return Latency(
        median_ms=_ms(lengths[len(lengths) // 2]),
        p99_ms=_ms(lengths[int(len(lengths) * _P99)]),
        max_ms=_ms(lengths[-1]),
    )


def _rates(messages: Iterable[Sent], began_ns: int, ended_ns: int) -> tuple[int, ...]:
    """Whole steps only: the rest at the end would look like a drop."""
    step_ns = RATE_MS * NS_PER_MS
    counts = [0] * (max(0, ended_ns - began_ns) // step_ns)
    for sent in messages:
        position = (sent.acked_ns - began_ns) // step_ns
        if sent.acked_ns and position < len(counts):
            counts[position] += 1
    return tuple(counts)


def _rows(
    faults: Sequence[Fault], effects: Sequence[Impact], record: LoadRecord, checked: Audit
) -> tuple[FaultResult, ...]:
    marks = [fault.at_ns for fault in faults]
    acked = [0] * len(faults)
    for _, sent in all_messages(record):
        since = bisect.bisect_right(marks, sent.acked_ns) - 1
        if sent.acked_ns and since >= 0:
            acked[since] += 1
    lost, doubled = _lost_by_fault(marks, record, checked), _doubled_by_fault(marks, record, checked)
    unknown = checked.stored is None
    return tuple(
        FaultResult(
            label=fault.label,
            detail=fault.detail,
            at_ms=_ms(fault.at_ns - record.began_ns),
            outage_ms=_ms(effect.longest_ns),
            hiccups_ms=_ms(effect.hiccups_ns),
            ended=effect.ended,
            detect_ms=_ms_or_none(effect.detect_ns),
            decide_ms=_ms_or_none(effect.decide_ns),
            start_ms=_ms_or_none(effect.start_ns),
            client_ms=_ms_or_none(effect.client_ns),
            acked=acked[number],
            lost=None if unknown else lost[number],
            doubled=None if unknown else doubled[number],
        )
        for number, (fault, effect) in enumerate(zip(faults, effects, strict=True))
    )


def _lost_by_fault(marks: Sequence[int], record: LoadRecord, checked: Audit) -> list[int]:
    """A lost message was acknowledged before the fault that lost it: the next one after its acknowledgement."""
    counts = [0] * len(marks)
    for identity in checked.lost:
        following = bisect.bisect_left(marks, _sent(record, identity).acked_ns)
        if marks:
            counts[min(following, len(marks) - 1)] += 1
    return counts


def _doubled_by_fault(marks: Sequence[int], record: LoadRecord, checked: Audit) -> list[int]:
    """A doubled message was sent again because of the last fault before its acknowledgement (or before the end)."""
    counts = [0] * len(marks)
    for identity in checked.doubled:
        acked_ns = _sent(record, identity).acked_ns or record.ended_ns
        since = bisect.bisect_right(marks, acked_ns) - 1
        if since >= 0:
            counts[since] += 1
    return counts


def _sent(record: LoadRecord, identity: Identity) -> Sent:
    return record.sent[identity.producer][identity.sequence]


def _span(one: Outage, zero_ns: int) -> Span:
    return Span(
        label="" if one.ended else "not ended", from_ms=_ms(one.from_ns - zero_ns), to_ms=_ms(one.to_ns - zero_ns)
    )


def _ms(length_ns: int) -> float:
    return round(length_ns / NS_PER_MS, 3)


def _ms_or_none(length_ns: int | None) -> float | None:
    return None if length_ns is None else _ms(length_ns)
