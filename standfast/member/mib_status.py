"""The status of the cluster as the objects of the MIB: what an SNMP agent answers, in the order of their numbers."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from standfast.alerts.mib import MAX_TEXT, MEMBER_TABLE, QM_TABLE, SEEN
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport
from standfast.model.cluster import Role
from standfast.model.records import MemberState, Phase

NEVER_JOINED = len(MemberState) + 1
TRUE, FALSE = 1, 2
"""Of a TruthValue."""
MAX_INTEGER, MAX_GAUGE = 2**31 - 1, 2**32 - 1


class Kind(StrEnum):
    """How an agent names the type of a value."""

    INTEGER = "integer"
    GAUGE = "gauge"
    STRING = "string"


class Instance(NamedTuple):
    """One value: its number below the root of the MIB, its type, and itself."""

    oid: tuple[int, ...]
    kind: Kind
    value: str


def instances(report: StatusReport, age_ms: int) -> list[Instance]:
    """All of them in order; `age_ms`: how old the report is."""
    return [
        *_status(report, age_ms),
        *_table(MEMBER_TABLE, [_member(report, member) for member in report.members]),
        *_table(QM_TABLE, [_queue_manager(qm) for qm in report.queue_managers]),
    ]


def _status(report: StatusReport, age_ms: int) -> Iterator[Instance]:
    values = (
        _text(report.cluster),
        _text(report.answered_by),
        _truth(report.store.reachable),
        _text(report.store.leader),
        _gauge(age_ms),
    )
    for number, (kind, value) in enumerate(values, start=1):
        yield Instance((SEEN, number, 0), kind, value)


Value = tuple[Kind, str]


def _table(number: int, rows: list[tuple[Value, ...]]) -> Iterator[Instance]:
    """Column by column, as SNMP walks; the first column is the index, which nobody can ask for."""
    for column in range(len(rows[0]) if rows else 0):
        for index, row in enumerate(rows, start=1):
            kind, value = row[column]
            yield Instance((SEEN, number, 1, column + 2, index), kind, value)


def _member(report: StatusReport, member: MemberReport) -> tuple[Value, ...]:
    leased = member.name != report.answered_by or member.lease_left_ms is not None
    return (
        _text(member.name),
        _integer([*Role].index(member.role) + 1),
        _integer([*MemberState].index(member.state) + 1 if member.state else NEVER_JOINED),
        _integer(-1 if member.heard_ms is None else member.heard_ms),
        _truth(leased and member.leased),
        _integer(-1 if member.lease_left_ms is None else member.lease_left_ms),
        _truth(member.coordinator),
    )


def _queue_manager(qm: QueueManagerReport) -> tuple[Value, ...]:
    return (
        _text(qm.name),
        _text(qm.kind),
        _integer([*Phase].index(qm.phase) + 1),
        _text(qm.owner or ""),
        _gauge(qm.epoch),
        _text(f"{qm.address}:{qm.port}" if qm.address else ""),
    )


def _text(text: str) -> Value:
    return Kind.STRING, " ".join(text.encode()[:MAX_TEXT].decode(errors="ignore").split())


def _integer(number: int) -> Value:
    return Kind.INTEGER, str(min(number, MAX_INTEGER))


def _gauge(number: int) -> Value:
    return Kind.GAUGE, str(min(max(0, number), MAX_GAUGE))


def _truth(yes: bool) -> Value:
    return Kind.INTEGER, str(TRUE if yes else FALSE)
