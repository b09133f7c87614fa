"""The transactions of the protocol: what each change writes, what guards it, and the event that tells of it."""

from collections.abc import Iterable, Sequence

from msgspec import structs

from standfast.model.cluster import Cluster, Role
from standfast.model.events import Event, EventKind
from standfast.model.records import (
    GONE,
    ORDERS_KEY,
    SETTINGS_KEY,
    Assignment,
    Guard,
    MemberRecord,
    MemberState,
    Orders,
    Phase,
    Put,
    SettingsRecord,
    Transaction,
    assignment_key,
    member_key,
    spec_key,
)
from standfast.model.view import Kept, View
from standfast.quorum.losses import after_loss
from standfast.quorum.rules import Rules

LAPSED = "lapsed"
"""The proof of an eviction that rests on nothing but the end of the lease."""
MOVES_PER_TRANSACTION = 30
"""Assignments changed within one transaction; etcd's default limit is 128 operations. The rest follow at once."""


def _settings_guard(revision: int) -> Guard:
    """The settings are still those that this member goes by."""
    return Guard(SETTINGS_KEY, revision)


def member_guard(kept: Kept[MemberRecord]) -> Guard:
    """Its record is still this one."""
    return Guard(member_key(kept.record.name), kept.revision)


def assignment_guard(kept: Kept[Assignment]) -> Guard:
    """As above."""
    return Guard(assignment_key(kept.record.qm), kept.revision)


def put(assignment: Assignment) -> Put:
    """Write it under its key."""
    return Put(assignment_key(assignment.qm), assignment)


def found(cluster: Cluster, view: View) -> Transaction | None:
    """Write what the cluster file says into a store without settings: queue managers, and with the last the settings.

    From then on the store's settings are those in force, and the file's are not looked at any more.
    """
    if view.settings is not None:
        return None
    guards = [Guard(SETTINGS_KEY, 0)]
    puts: list[Put] = []
    events: list[Event] = []
    unknown = [spec for spec in cluster.queue_managers if spec.name not in view.specs]
    for spec in unknown[:MOVES_PER_TRANSACTION]:
        guards += [Guard(spec_key(spec.name), 0), Guard(assignment_key(spec.name), 0)]
        puts += [Put(spec_key(spec.name), spec), put(Assignment(qm=spec.name))]
    if len(unknown) <= MOVES_PER_TRANSACTION:
        settings = SettingsRecord(
            cluster_id=cluster.id,
            members=tuple(m.name for m in cluster.members),
            timing=cluster.timing,
            term_ceiling_ms=cluster.timing.term_ms,
            specs=cluster.members,
            policy=cluster.policy,
            sinks=cluster.sinks,
        )
        puts.append(Put(SETTINGS_KEY, settings))
        events.append(Event(kind=EventKind.CLUSTER_FOUNDED, subject=cluster.name))
    return Transaction(guards=tuple(guards), puts=tuple(puts), events=tuple(events))


def configure(
    kept: Kept[SettingsRecord], wanted: SettingsRecord, fields: dict[str, str | int], parts: Iterable[Transaction] = ()
) -> Transaction:
    """Let other settings be in force, and with them `parts`: changes of queue managers.

    Every change goes through the settings' record, so that what was judged as a whole is written as a whole. Terms of
    before and after are reckoned with until the change is settled.
    """
    ceiling_ms = max(kept.record.term_ceiling_ms, wanted.timing.term_ms)
    record = structs.replace(wanted, term_ceiling_ms=ceiling_ms, edition=kept.record.edition + 1)
    guards, puts = [_settings_guard(kept.revision)], [Put(SETTINGS_KEY, record)]
    events = [Event(kind=EventKind.SETTINGS_CHANGED, subject="settings", fields={"edition": record.edition, **fields})]
    for part in parts:
        guards += part.guards
        puts += part.puts
        events += part.events
    return Transaction(guards=tuple(guards), puts=tuple(puts), events=tuple(events))


def settle(kept: Kept[SettingsRecord]) -> Transaction:
    """No lease of a longer term than the one in force is left: reckon with no longer one."""
    record = structs.replace(kept.record, term_ceiling_ms=kept.record.timing.term_ms)
    event = Event(
        kind=EventKind.SETTINGS_SETTLED,
        subject="settings",
        fields={"was_ms": kept.record.term_ceiling_ms, "term_ms": record.term_ceiling_ms},
    )
    return Transaction(guards=(_settings_guard(kept.revision),), puts=(Put(SETTINGS_KEY, record),), events=(event,))


def join(
    name: str, role: Role, identity: str, view: View, rules: Rules, *, outwaited: bool, heir: bool = False
) -> Transaction:
    """Take the next incarnation and release what earlier ones owned; what does not fit in is orphaned, and placed so.

    `outwaited`: this process has waited out the machine whose place it took. The settings that it goes by guard it, so
    that nobody joins with a term that is no longer reckoned with. `heir`: it goes on with what a former process of this
    machine runs; nothing is released, and each assignment adopted afterwards.
    """
    kept = view.members.get(name)
    incarnation = kept.record.incarnation + 1 if kept else 1
    other = kept is not None and kept.record.identity != identity
    unfinished = kept is not None and kept.record.replaced and not outwaited
    record = MemberRecord(
        name=name,
        role=role,
        incarnation=incarnation,
        identity=identity,
        state=MemberState.ONLINE,
        reason="joined",
        replaced=other or unfinished,
        overridden=kept.record.overridden if kept else 0,
        losses=kept.record.losses if kept and not other else 0,
        quarantined=kept.record.quarantined if kept and not other else False,
        since=kept.record.first if heir and kept else 0,
        evictions=kept.record.evictions if kept else 0,
    )
    events = [Event(kind=EventKind.MEMBER_JOINED, subject=name, fields={"incarnation": incarnation})]
    owned = [held for held in view.assignments.values() if held.record.owner == name and not heir]
    if owned and kept is not None and kept.record.state not in GONE:
        record, quarantined = after_loss(record, rules.cluster.policy)
        events += quarantined
    guards = [Guard(member_key(name), kept.revision if kept else 0), _settings_guard(rules.revision)]
    puts = [Put(member_key(name), record)]
    for held in owned[:MOVES_PER_TRANSACTION]:
        guards.append(assignment_guard(held))
        puts.append(put(_released(held.record, "owner_restarted", held.record.failed_on)))
        events.append(qm_event(EventKind.QM_RELEASED, held.record, reason="owner_restarted"))
    return Transaction(guards=tuple(guards), puts=tuple(puts), events=tuple(events))


def inherit(kept: Kept[Assignment], me: Kept[MemberRecord]) -> Transaction:
    """The owner's new incarnation takes on what an earlier one owned, under the same epoch.

    Whatever the former process still had under way for it is void from here on: that was guarded by this revision.
    """
    assignment = structs.replace(kept.record, incarnation=me.record.incarnation)
    return Transaction(
        guards=(assignment_guard(kept), member_guard(me)),
        puts=(put(assignment),),
        events=(qm_event(EventKind.QM_KEPT, assignment, incarnation=assignment.incarnation),),
    )


def member_state(kept: Kept[MemberRecord], state: MemberState, kind: EventKind, reason: str) -> Transaction:
    """Move one member to another state."""
    record = structs.replace(kept.record, state=state, reason=reason)
    event = Event(kind=kind, subject=record.name, fields={"incarnation": record.incarnation, "reason": reason})
    return Transaction(guards=(member_guard(kept),), puts=(Put(member_key(record.name), record),), events=(event,))


def clear(kept: Kept[MemberRecord], reason: str) -> Transaction:
    """Forget the losses of a member; it is out of quarantine, if it was in it."""
    kind = EventKind.MEMBER_CLEARED if kept.record.quarantined else EventKind.MEMBER_STEADY
    record = structs.replace(kept.record, losses=0, quarantined=False)
    fields: dict[str, str | int | float | bool | None] = {"losses": kept.record.losses, "reason": reason}
    return Transaction(
        guards=(member_guard(kept),),
        puts=(Put(member_key(record.name), record),),
        events=(Event(kind=kind, subject=record.name, fields=fields),),
    )


def evict(
    kept: Kept[MemberRecord],
    rules: Rules,
    moves: Iterable[tuple[Kept[Assignment], Kept[MemberRecord], tuple[Guard, ...]]],
    fields: dict[str, str | int | float | bool | None],
    *,
    evictions: int = 0,
) -> Transaction:
    """Evict at this ballot, for `evictions` times in a row now, and give what the member owned to others, in one.

    Guarded by the settings that the coordinator goes by, too: they say who votes, and how many votes a majority is.
    """
    evicted = structs.replace(kept.record, state=MemberState.EVICTED, evictions=evictions)
    record, quarantined = after_loss(evicted, rules.cluster.policy)
    guards = [member_guard(kept), _settings_guard(rules.revision)]
    puts = [Put(member_key(record.name), record)]
    events = [
        Event(
            kind=EventKind.MEMBER_EVICTED,
            subject=record.name,
            fields={"incarnation": record.incarnation, "reason": record.reason, **fields},
        ),
        *quarantined,
    ]
    unproven = (record.name,) if fields.get("proof") == LAPSED else ()
    for assignment, owner, beside in moves:
        part = assign(assignment, owner, f"{record.name}_evicted", unproven=unproven, beside=beside)
        guards += [g for g in part.guards if g not in guards]
        puts += part.puts
        events += part.events
    return Transaction(guards=tuple(guards), puts=tuple(puts), events=tuple(events))


def qm_event(kind: EventKind, assignment: Assignment, **fields: str | float | bool | None) -> Event:
    """An event of a queue manager under its present epoch."""
    return Event(
        kind=kind, subject=assignment.qm, fields={"epoch": assignment.epoch, "owner": assignment.owner, **fields}
    )


def _released(assignment: Assignment, reason: str, failed_on: tuple[str, ...]) -> Assignment:
    shunned = (*assignment.shunned, *(name for name in failed_on if name not in assignment.shunned))
    return structs.replace(
        assignment,
        phase=Phase.UNPLACED,
        owner=None,
        incarnation=0,
        target=None,
        reason=reason,
        failed_on=failed_on,
        shunned=shunned,
    )


def _suspected(kept: Kept[Assignment], unproven: tuple[str, ...]) -> tuple[str, ...]:
    """Who is from now on: an owner who has not said that it has stopped counts only if it had begun to start it."""
    return kept.record.suspecting(unproven if kept.record.phase in (Phase.STARTING, Phase.RUNNING) else ())


def assign(
    kept: Kept[Assignment],
    owner: Kept[MemberRecord],
    reason: str,
    told: Iterable[Event] = (),
    unproven: tuple[str, ...] = (),
    *,
    beside: Iterable[Guard],
) -> Transaction:
    """Give a queue manager to a member under the next epoch; nothing may run it at this moment.

    `told` are events that its last owner had still to tell. `unproven`: that owner, if nothing but the end of its lease
    says that it has stopped. `beside`: what else the choice rests on.
    """
    assignment = structs.replace(
        kept.record,
        unproven=_suspected(kept, unproven),
        epoch=kept.record.epoch + 1,
        phase=Phase.ASSIGNED,
        owner=owner.record.name,
        incarnation=owner.record.incarnation,
        target=None,
        told=0,
        reason=reason,
    )
    return Transaction(
        guards=(assignment_guard(kept), member_guard(owner), *beside),
        puts=(put(assignment),),
        events=(*told, qm_event(EventKind.QM_ASSIGNED, assignment, reason=reason, was=kept.record.owner)),
    )


def begin(kept: Kept[Assignment], me: Kept[MemberRecord]) -> Transaction:
    """The owner's guard before the first start under an epoch: a stale read can not start anything."""
    assignment = structs.replace(kept.record, phase=Phase.STARTING)
    return Transaction(
        guards=(assignment_guard(kept), member_guard(me)),
        puts=(put(assignment),),
        events=(qm_event(EventKind.QM_STARTING, assignment),),
    )


def note(kept: Kept[Assignment], *, running: bool, events: Sequence[Event], version: str = "") -> Transaction:
    """The owner tells that its queue manager serves now, or serves no more; it stays the owner. `version`: it found."""
    phase = Phase.RUNNING if running else Phase.STARTING
    failed_on = () if running else kept.record.failed_on
    told = kept.record.told + len(events)
    unproven = () if running else kept.record.unproven
    version = version or kept.record.version
    assignment = structs.replace(
        kept.record, phase=phase, failed_on=failed_on, told=told, unproven=unproven, version=version
    )
    return Transaction(guards=(assignment_guard(kept),), puts=(put(assignment),), events=tuple(events))


def halt(kept: Kept[Assignment], told: Iterable[Event] = (), unproven: tuple[str, ...] = ()) -> Transaction:
    """Nothing runs of it any more, as an operator wants it; `told`, `unproven`: see `assign`."""
    rest = _released(kept.record, "halted", ())
    assignment = structs.replace(rest, phase=Phase.HALTED, unproven=_suspected(kept, unproven))
    return Transaction(
        guards=(assignment_guard(kept),),
        puts=(put(assignment),),
        events=(*told, qm_event(EventKind.QM_RELEASED, kept.record, reason="halted")),
    )


def release(
    kept: Kept[Assignment], reason: str, failed_on: Iterable[str] = (), told: Iterable[Event] = ()
) -> Transaction:
    """The owner gives up a queue manager of which nothing runs any more; `told`: what it had still to tell."""
    blamed = (*kept.record.failed_on, *(name for name in failed_on if name not in kept.record.failed_on))
    return Transaction(
        guards=(assignment_guard(kept),),
        puts=(put(_released(kept.record, reason, blamed)),),
        events=(*told, qm_event(EventKind.QM_RELEASED, kept.record, reason=reason)),
    )


def give_up(kept: Kept[Assignment], unproven: tuple[str, ...] = ()) -> Transaction:
    """Every member that could be asked has failed to start it, the last one for `reason`; `unproven`: see `assign`."""
    assignment = structs.replace(kept.record, phase=Phase.GIVEN_UP, unproven=_suspected(kept, unproven))
    event = qm_event(
        EventKind.QM_GIVEN_UP, assignment, failed_on=",".join(assignment.failed_on), reason=assignment.reason
    )
    return Transaction(guards=(assignment_guard(kept),), puts=(put(assignment),), events=(event,))


def aim(kept: Kept[Assignment], target: str | None, reason: str) -> Transaction:
    """Ask the owner to hand over to `target`, or (None) to stay."""
    assignment = structs.replace(kept.record, target=target, reason=reason)
    kind = EventKind.QM_MOVING if target else EventKind.QM_MOVE_ABANDONED
    event = qm_event(kind, assignment, to=target or kept.record.target, reason=reason)
    return Transaction(guards=(assignment_guard(kept),), puts=(put(assignment),), events=(event,))


def order(view: View, orders: Orders, kind: EventKind, subject: str) -> Transaction:
    """Change what operators told the cluster."""
    return Transaction(
        guards=(Guard(ORDERS_KEY, view.orders.revision),),
        puts=(Put(ORDERS_KEY, orders),),
        events=(Event(kind=kind, subject=subject),),
    )
