"""What each event carries: the fields by name, type and meaning, and its number in the MIB.

A field's name means the same in every event. Numbers are for ever: a kind that is new takes the next one, and one that
goes leaves its own unused, because traps on their way and rules of network management systems know it by the number.
"""

from enum import StrEnum

from msgspec import Struct

from standfast.model.events import EventKind


class FieldType(StrEnum):
    """What a field holds."""

    TEXT = "text"
    WHOLE = "whole"  # a whole number
    NUMBER = "number"
    FLAG = "flag"


class Field(Struct, frozen=True):
    """One field: its type, and what it means."""

    type: FieldType
    meaning: str


class Carried(Struct, frozen=True, kw_only=True):
    """What one kind of event carries.

    Attributes:
        number: of its notification in the MIB.
        always: names of the fields that are always there.
        perhaps: of those that may be absent or null.
    """

    number: int
    always: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()


_T, _N, _F, _Y = FieldType.TEXT, FieldType.WHOLE, FieldType.NUMBER, FieldType.FLAG

FIELDS: dict[str, Field] = {
    "address": Field(_T, "first address of the member"),
    "at_unix_ms": Field(_N, "wall clock of the order in milliseconds since 1970"),
    "backup": Field(_T, "file with what was there before"),
    "ballot": Field(_N, "revision of the record that was voted on"),
    "by": Field(_T, "the operator: the name of a token or certificate, or the user"),
    "change": Field(_T, "what changed, from what to what"),
    "claim_ms": Field(_F, "from its owner's knowing that it is the owner to the launch, in milliseconds"),
    "code": Field(_T, "how it ended, or why it was not started: see the tables of codes"),
    "count": Field(_N, "how many since the last one told of that subject"),
    "copy": Field(_T, "the member whose copy of the data it is"),
    "decided_by": Field(_T, "the rung of the comparison that decided"),
    "detail": Field(_T, "what was found"),
    "device": Field(_T, "the watchdog's device"),
    "due_unix_ms": Field(_N, "wall clock at which it was to reset the machine, in milliseconds since 1970"),
    "edition": Field(_N, "of the settings"),
    "endpoint": Field(_T, "what leads clients, such as a virtual IP"),
    "epoch": Field(_N, "of the queue manager's assignment: grows with every owner"),
    "events": Field(_N, "how many events"),
    "evictions": Field(_N, "how often it was evicted without having been well for long between"),
    "evidence": Field(_T, "how sure it is"),
    "failed_on": Field(_T, "members that could not start it, with commas"),
    "former": Field(_T, "the former owner"),
    "given_up": Field(_T, "members that count as lost for good, with commas"),
    "group": Field(_T, "name of the group"),
    "guard": Field(_T, "what was bypassed"),
    "held": Field(_Y, "whether this member has it all the same"),
    "incarnation": Field(_N, "of the member: grows with every join"),
    "kind": Field(_T, "of the queue manager's driver"),
    "losses": Field(_N, "unclean losses of its lease that were not forgotten"),
    "lost_to": Field(_T, "members that stay, with commas"),
    "made_at": Field(_T, "when the backup was made, ISO 8601"),
    "member": Field(_T, "the member that runs it"),
    "noticed_ms": Field(_N, "from the first doubt about the former owner until the decision, in milliseconds"),
    "number": Field(_N, "of the override"),
    "order": Field(_T, "what was ordered, a short word"),
    "other": Field(_T, "the queue manager of the group because of which it is so"),
    "owner": Field(_T, "the member that owns it"),
    "path": Field(_T, "of the shared disk"),
    "proof": Field(_T, "what proves that nothing of it runs"),
    "reason": Field(_T, "a short word, or the operator's own words"),
    "records": Field(_N, "how many records"),
    "required": Field(_Y, "whether the member runs nothing without it"),
    "rival": Field(_T, "who claims it, too: a hardware address, or a member"),
    "rule": Field(_T, "which kind of group: together or apart"),
    "seen_by": Field(_T, "the member at the other end of the link"),
    "settle_ms": Field(_N, "how long its links have to hold, in milliseconds"),
    "since": Field(_T, "wall clock, ISO 8601"),
    "start_ms": Field(_F, "from the launch to the first answer to a client, in milliseconds"),
    "state": Field(_T, "a short word"),
    "term_ms": Field(_N, "length of a lease in milliseconds"),
    "timeout_s": Field(_F, "the watchdog's timeout in seconds"),
    "to": Field(_T, "the member that it is to be handed to"),
    "took_ms": Field(_F, "from the decision, as the new owner learned it, to the first answer, in milliseconds"),
    "total_ms": Field(_F, "noticed_ms and took_ms together"),
    "verdict": Field(_T, "what became of it, a short word, or the name of an error"),
    "version": Field(_T, "of the program, as its driver tells it"),
    "voters": Field(_N, "how many members vote now"),
    "was": Field(_T, "the owner, or the version, before"),
    "was_epoch": Field(_N, "the epoch before"),
    "was_ms": Field(_N, "what it was, in milliseconds"),
    "was_revision": Field(_N, "revision at which the backup was made"),
    "when": Field(_T, "when, as AWS writes it; empty: soon"),
    "why": Field(_T, "a short word"),
}


def _carries(number: int, always: str = "", perhaps: str = "") -> Carried:
    return Carried(number=number, always=tuple(always.split()), perhaps=tuple(perhaps.split()))


CARRIED: dict[EventKind, Carried] = {
    EventKind.CLUSTER_FOUNDED: _carries(1),
    EventKind.MEMBER_JOINED: _carries(2, "incarnation"),
    EventKind.MEMBER_IN_DOUBT: _carries(3, "incarnation reason"),
    EventKind.MEMBER_BACK: _carries(4, "incarnation reason"),
    EventKind.MEMBER_TOLD_TO_GO: _carries(5, "incarnation reason decided_by", "lost_to"),
    EventKind.MEMBER_EVICTED: _carries(6, "incarnation reason", "ballot proof"),
    EventKind.MEMBER_LEFT: _carries(7, "incarnation reason"),
    EventKind.QM_ASSIGNED: _carries(8, "epoch owner reason", "was"),
    EventKind.QM_STARTING: _carries(9, "epoch owner"),
    EventKind.QM_RUNNING: _carries(10, "epoch owner", "claim_ms start_ms"),
    EventKind.QM_TAKEN_OVER: _carries(80, "epoch owner was reason took_ms total_ms", "noticed_ms"),
    EventKind.QM_FAILED: _carries(11, "epoch owner code"),
    EventKind.QM_RELEASED: _carries(12, "epoch reason", "owner"),
    EventKind.QM_KEPT: _carries(13, "epoch owner incarnation"),
    EventKind.QM_GIVEN_UP: _carries(14, "epoch failed_on reason", "owner"),
    EventKind.QM_MOVING: _carries(15, "epoch to reason", "owner"),
    EventKind.QM_MOVE_ABANDONED: _carries(16, "epoch reason", "owner to"),
    EventKind.MEMBER_DRAINED: _carries(17),
    EventKind.MEMBER_UNDRAINED: _carries(18),
    EventKind.QM_ADDED: _carries(19, "kind epoch"),
    EventKind.QM_CHANGED: _carries(20, "change"),
    EventKind.QM_HALTED: _carries(21),
    EventKind.QM_RESUMED: _carries(22),
    EventKind.QM_REMOVED: _carries(23, "epoch"),
    EventKind.MEMBER_ADDED: _carries(24, "voters edition address by"),
    EventKind.MEMBER_REMOVED: _carries(25, "voters edition by"),
    EventKind.MEMBER_REPLACED: _carries(26, "voters edition address by"),
    EventKind.SETTINGS_CHANGED: _carries(27, "edition by change"),
    EventKind.SETTINGS_SETTLED: _carries(28, "was_ms term_ms"),
    EventKind.MEMBER_QUARANTINED: _carries(29, "losses reason"),
    EventKind.MEMBER_CLEARED: _carries(30, "losses reason"),
    EventKind.MEMBER_STEADY: _carries(31, "losses reason"),
    EventKind.CLUSTER_FROZEN: _carries(32),
    EventKind.CLUSTER_THAWED: _carries(33),
    EventKind.LEASE_LOST: _carries(34),
    EventKind.LEASE_REGAINED: _carries(35),
    EventKind.WATCHDOG_READY: _carries(36, "required"),
    EventKind.WATCHDOG_MISSING: _carries(37, "required detail"),
    EventKind.WATCHDOG_RESET: _carries(38, "evidence device timeout_s since", "due_unix_ms"),
    EventKind.LINK_LOST: _carries(39, "seen_by"),
    EventKind.LINK_HEALED: _carries(40, "seen_by"),
    EventKind.MEMBER_ISOLATED: _carries(41, "seen_by"),
    EventKind.DISK_LINK_LOST: _carries(42, "path state detail"),
    EventKind.DISK_LINK_HEALED: _carries(43, "path"),
    EventKind.LINK_FLAPPING: _carries(44, "seen_by"),
    EventKind.MEMBER_HELD_BACK: _carries(45, "reason evictions settle_ms"),
    EventKind.HOP_LOST: _carries(46),
    EventKind.HOP_FOUND: _carries(47),
    EventKind.QM_STOP_STUCK: _carries(48, "epoch"),
    EventKind.NAMESAKE: _carries(49),
    EventKind.STORE_RESTORED: _carries(50, "made_at was_revision records events"),
    EventKind.STORE_RECOVERED: _carries(51, "given_up backup"),
    EventKind.OVERRIDE_GRANTED: _carries(52, "number at_unix_ms reason by"),
    EventKind.GUARD_BYPASSED: _carries(53, "number at_unix_ms guard", "epoch member"),
    EventKind.QM_ADOPTED: _carries(54, "epoch owner was_epoch", "was"),
    EventKind.OVERRIDE_CONFLICT: _carries(55, "number why"),
    EventKind.OVERRIDE_ENDED: _carries(56, "number why"),
    EventKind.STORE_LOST: _carries(57, "detail"),
    EventKind.STORE_BACK: _carries(58),
    EventKind.STORE_FULL: _carries(59),
    EventKind.STANDBY_UNREADY: _carries(60, "detail", "why"),
    EventKind.STANDBY_READY: _carries(61),
    EventKind.SINK_FAILING: _carries(62, "detail"),
    EventKind.SINK_WORKING: _carries(63),
    EventKind.ALERT_TEST: _carries(64, "by"),
    EventKind.COPY_OUTDATED: _carries(65, "copy epoch owner"),
    EventKind.COPY_CURRENT: _carries(66, "copy epoch owner"),
    EventKind.ORDER_GIVEN: _carries(67, "order by verdict", "to reason edition"),
    EventKind.LOGIN_REFUSED: _carries(68, "why count"),
    EventKind.ENDPOINT_HELD: _carries(69, "endpoint"),
    EventKind.ENDPOINT_CONTESTED: _carries(70, "endpoint rival held"),
    EventKind.ENDPOINT_FAILED: _carries(71, "endpoint detail"),
    EventKind.MEMBER_FENCED: _carries(72, "incarnation by"),
    EventKind.FENCING_FAILED: _carries(73, "former epoch owner detail"),
    EventKind.INSTANCE_ENDING: _carries(74, "why", "when"),
    EventKind.INSTANCE_UNHEALTHY: _carries(75, "why detail"),
    EventKind.STORAGE_CONTESTED: _carries(76, "epoch owner code rival detail"),
    EventKind.QM_GROUP_BROKEN: _carries(77, "epoch owner rule group other"),
    EventKind.QM_GROUP_WAITS: _carries(78, "epoch rule group", "owner"),
    EventKind.QM_GROUP_HELD: _carries(79, "epoch rule group", "owner"),
    EventKind.QM_VERSION: _carries(81, "epoch owner version", "was"),
}

_HOLDS: dict[FieldType, tuple[type, ...]] = {_T: (str,), _N: (int,), _F: (int, float), _Y: (bool,)}


def wrong(kind: EventKind, fields: dict[str, str | int | float | bool | None]) -> list[str]:
    """What of these fields is not as the catalogue says, a phrase each."""
    carried = CARRIED[kind]
    found = [f"{name} is missing" for name in carried.always if fields.get(name) is None]
    found += [f"{name} is unknown" for name in fields if name not in (*carried.always, *carried.perhaps)]
    for name, value in fields.items():
        if value is not None and name in FIELDS:
            held = FIELDS[name].type
            if not isinstance(value, _HOLDS[held]) or (isinstance(value, bool) and held is not _Y):
                found.append(f"{name} = {value!r} is no {held}")
    return found
