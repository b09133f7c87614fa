"""Who votes: one member more, one less, or another machine in the place of one, as one guarded transaction.

Guarantees: the set of voters changes by one member at a time, and not before the change before it is settled. So at any
moment the sets by which leases are counted, and the one by which an eviction is (it is guarded by the settings), differ
by one member at most; and of two such sets any two majorities share a voter (`docs/protocol.md`). Only who has left or
was evicted is removed or replaced: every member that may hold a lease is a voter.

Not guaranteed: that the new set has a majority a moment later. It is refused when it has none now.
"""

from collections.abc import Collection, Iterator

from msgspec import structs

from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.events import Event, EventKind
from standfast.model.records import (
    GONE,
    ORDERS_KEY,
    SETTINGS_KEY,
    Guard,
    MemberState,
    Put,
    SettingsRecord,
    Transaction,
    member_key,
)
from standfast.model.view import Kept, View
from standfast.quorum.signals import Verdict
from standfast.quorum.voter_orders import AddMember, Change, RemoveMember, ReplaceMember

LEAST = 3
"""Fewer can not lose one and keep a majority."""


def change_of_voters(
    order: Change, now: Cluster, view: View, up: Collection[str], *, settled: bool
) -> Transaction | Verdict:
    """The transaction that carries the order out, or why there is none.

    `now`: what is in force; `up`: members that are online and heard; `settled`: nothing is left of what was in force
    before it.
    """
    kept = view.settings
    if kept is None:
        return Verdict.NOT_FOUNDED
    if view.orders.record.frozen:
        return Verdict.FROZEN
    now = kept.record.in_force(now)
    members = _changed(order, now)
    if isinstance(members, Verdict):
        return members
    name = _name(order)
    if not isinstance(order, AddMember) and not _gone(view, name):
        return Verdict.NOT_GONE
    if members == now.members:
        return Verdict.ALREADY_SO
    if not settled:
        return Verdict.NOT_SETTLED
    after = structs.replace(now, members=members)
    if len({m.name for m in members} & {*up} - {name}) < after.majority:
        return Verdict.NO_MAJORITY_THEN
    return _transaction(order, after, kept, view)


def online(view: View, incarnations: dict[str, int]) -> frozenset[str]:
    """Of those who are heard, under these incarnations, the ones that the store holds as online."""
    return frozenset(
        name
        for name, incarnation in incarnations.items()
        if (kept := view.members.get(name)) is not None
        and kept.record.incarnation == incarnation
        and kept.record.state is MemberState.ONLINE
    )


def _name(order: Change) -> str:
    return order.spec.name if isinstance(order, AddMember) else order.name


def _gone(view: View, name: str) -> bool:
    kept = view.members.get(name)
    return kept is None or kept.record.state in GONE


def _changed(order: Change, now: Cluster) -> tuple[MemberSpec, ...] | Verdict:
    """All members after the change, or why it makes no sense."""
    others = tuple(m for m in now.members if m.name != _name(order))
    if isinstance(order, AddMember):
        if len(others) < len(now.members):
            return Verdict.ALREADY_A_MEMBER
        return Verdict.ADDRESS_TAKEN if _taken(order.spec, others) else (*others, order.spec)
    if len(others) == len(now.members):
        return Verdict.NO_SUCH_MEMBER
    if isinstance(order, ReplaceMember):
        was = now.member(order.name)
        spec = structs.replace(was, addresses=order.addresses or was.addresses)
        if order.addresses:
            spec = structs.replace(spec, client_address=order.client_address)
        if _taken(spec, others):
            return Verdict.ADDRESS_TAKEN
        return tuple(spec if m.name == order.name else m for m in now.members)
    if len(others) < LEAST:
        return Verdict.TOO_FEW_MEMBERS
    return others if any(m.role is Role.DATA for m in others) else Verdict.LAST_DATA_MEMBER


def _taken(spec: MemberSpec, others: tuple[MemberSpec, ...]) -> bool:
    """Whether another member listens where this one would."""
    mine = {*_sockets(spec)}
    return any(not mine.isdisjoint(_sockets(other)) for other in others)


def _sockets(spec: MemberSpec) -> Iterator[tuple[str, int]]:
    yield from ((address, -spec.heartbeat_port) for address in spec.addresses)  # UDP: its ports are not those of TCP
    for port in (spec.store_client_port, spec.store_peer_port, spec.health_port):
        yield spec.addresses[0], port


def _transaction(order: Change, after: Cluster, kept: Kept[SettingsRecord], view: View) -> Transaction:
    name, edition = _name(order), kept.record.edition + 1
    record = structs.replace(
        kept.record, members=tuple(m.name for m in after.members), specs=after.members, edition=edition
    )
    guards, puts = [Guard(SETTINGS_KEY, kept.revision)], [Put(SETTINGS_KEY, record)]
    held = view.members.get(name)
    if not isinstance(order, AddMember):
        guards.append(Guard(member_key(name), held.revision if held is not None else 0))
    fields: dict[str, str | int | float | bool | None] = {"voters": len(after.members), "edition": edition}
    if isinstance(order, RemoveMember):
        if held is not None:
            puts.append(
                Put(member_key(name), structs.replace(held.record, state=MemberState.REMOVED, reason="removed"))
            )
        orders = view.orders.record
        if name in orders.drained:
            guards.append(Guard(ORDERS_KEY, view.orders.revision))
            rest = tuple(drained for drained in orders.drained if drained != name)
            puts.append(Put(ORDERS_KEY, structs.replace(orders, drained=rest)))
    else:
        fields["address"] = after.member(name).addresses[0]
    event = Event(kind=_EVENTS[type(order)], subject=name, fields={**fields, "by": order.by})
    return Transaction(guards=tuple(guards), puts=tuple(puts), events=(event,))


_EVENTS: dict[type, EventKind] = {
    AddMember: EventKind.MEMBER_ADDED,
    RemoveMember: EventKind.MEMBER_REMOVED,
    ReplaceMember: EventKind.MEMBER_REPLACED,
}
