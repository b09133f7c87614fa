"""What an operator wants to be in force, as one guarded transaction, or a refusal with its reason.

Guarantees: all of a change is written, or nothing; a queue manager is removed only when it is halted and nobody owns
it; one that comes back under a name that was removed goes on with the larger epoch.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import structs

from standfast.model.cluster import Cluster, Policy, QueueManagerSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, Guard, Phase, Put, Transaction, assignment_key, spec_key
from standfast.model.timing import PROFILES
from standfast.model.view import Kept, View
from standfast.quorum import transactions as tx
from standfast.quorum.overrides import Overrides
from standfast.quorum.signals import Configure, Verdict

MOST_CHANGES = tx.MOVES_PER_TRANSACTION
"""Queue managers that one change may touch: a transaction of the store holds only so much."""
Values = dict[str, str | int | float | bool | None]


def configuration(order: Configure, now: Cluster, view: View, overrides: Overrides) -> Transaction | Verdict:
    """The transaction that carries the order out, or why there is none; `now`: what is in force."""
    kept = view.settings
    if kept is None:
        return Verdict.NOT_FOUNDED
    if kept.record.edition != order.edition:
        return Verdict.OTHER_EDITION
    before, wanted = in_force(now, view), order.wanted
    if fixed(wanted) != fixed(before):
        return Verdict.MEMBERS_DIFFER
    changed = [*_changed(before, wanted)]
    if len(changed) > MOST_CHANGES:
        return Verdict.TOO_MANY_CHANGES
    if any(new is None and not _at_rest(old, view) for old, new in changed if old is not None):
        return Verdict.NOT_HALTED
    if any(new is None and overrides.placed(old.name) for old, new in changed if old is not None):
        return Verdict.OVERRIDDEN
    record = structs.replace(kept.record, timing=wanted.timing, policy=wanted.policy, sinks=wanted.sinks)
    if record == kept.record and not changed:
        return Verdict.ALREADY_SO
    fields: dict[str, str | int] = {"by": order.by, "change": "; ".join(differences(before, wanted))}
    return tx.configure(kept, record, fields, [_part(old, new, view) for old, new in changed])


def in_force(now: Cluster, view: View) -> Cluster:
    """All that the store says, queue managers too, by name; `now` says the rest."""
    specs = tuple(view.specs[name].record for name in sorted(view.specs))
    cluster = view.settings.record.in_force(now) if view.settings is not None else now
    return structs.replace(cluster, queue_managers=specs)


def fixed(cluster: Cluster) -> Cluster:
    """What of it is not changed this way, members by name; the rest is blank."""
    members = tuple(sorted(cluster.members, key=lambda member: member.name))
    return structs.replace(
        cluster, members=members, timing=PROFILES["normal"], policy=Policy(), queue_managers=(), sinks=()
    )


def _at_rest(spec: QueueManagerSpec, view: View) -> bool:
    return spec.halted and view.assignments[spec.name].record.owner is None


def _changed(before: Cluster, wanted: Cluster) -> Iterator[tuple[QueueManagerSpec | None, QueueManagerSpec | None]]:
    """Queue managers that differ, as they are and as they shall be; None: it is none."""
    old, new = ({qm.name: qm for qm in cluster.queue_managers} for cluster in (before, wanted))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield old.get(name), new.get(name)


def _part(old: QueueManagerSpec | None, new: QueueManagerSpec | None, view: View) -> Transaction:
    """What the change of one queue manager writes and tells."""
    if new is None:
        assert old is not None
        kept = view.assignments[old.name]
        a = kept.record
        gone = Assignment(qm=a.qm, epoch=a.epoch, phase=Phase.REMOVED, reason="removed", unproven=a.unproven)
        return _written(kept, gone, EventKind.QM_REMOVED, {"epoch": gone.epoch})
    if old is None:
        return _added(new, view.removed.get(new.name))
    kept = view.assignments[new.name]
    told = "; ".join(_of_one(old, new))
    part = Transaction(
        guards=(), puts=(Put(spec_key(new.name), new),), events=(_event(EventKind.QM_CHANGED, new, change=told),)
    )
    if old.halted is new.halted:
        return part
    kind = EventKind.QM_HALTED if new.halted else EventKind.QM_RESUMED
    if kept.record.owner is not None:
        return structs.replace(part, events=(*part.events, _event(kind, new)))
    phase = Phase.HALTED if new.halted else Phase.UNPLACED
    rest = structs.replace(kept.record, phase=phase, failed_on=(), reason="halted" if new.halted else "resumed")
    return _both(part, _written(kept, rest, kind, {}))


def _added(spec: QueueManagerSpec, former: Kept[Assignment] | None) -> Transaction:
    """A queue manager that was none; one of its name that was removed has left its epoch, and whom to fence."""
    epoch = former.record.epoch if former is not None else 0
    unproven = former.record.unproven if former is not None else ()
    phase, reason = (Phase.HALTED, "halted") if spec.halted else (Phase.UNPLACED, "")
    fresh = Assignment(qm=spec.name, epoch=epoch, phase=phase, reason=reason, unproven=unproven)
    part = _written(former or Kept(fresh, 0), fresh, EventKind.QM_ADDED, {"kind": spec.kind, "epoch": epoch})
    return structs.replace(part, puts=(Put(spec_key(spec.name), spec), *part.puts))


def _written(kept: Kept[Assignment], assignment: Assignment, kind: EventKind, fields: Values) -> Transaction:
    key = assignment_key(assignment.qm)
    event = Event(kind=kind, subject=assignment.qm, fields=fields)
    return Transaction(guards=(Guard(key, kept.revision),), puts=(Put(key, assignment),), events=(event,))


def _event(kind: EventKind, spec: QueueManagerSpec, **fields: str) -> Event:
    return Event(kind=kind, subject=spec.name, fields={**fields})


def _both(one: Transaction, other: Transaction) -> Transaction:
    return Transaction(guards=one.guards + other.guards, puts=one.puts + other.puts, events=one.events + other.events)


# ---------------------------------------------------------------- what differs


def differences(before: Cluster, after: Cluster) -> Iterator[str]:
    """What differs in what can be changed live, a phrase each: `timing.interval_ms 250 -> 100`."""
    for table in ("timing", "policy"):
        old, new = (msgspec.to_builtins(getattr(cluster, table)) for cluster in (before, after))
        yield from _values(table, old, new)
    for one, other in _changed(before, after):
        if one is not None and other is not None:
            yield from _of_one(one, other)
        elif other is not None:
            yield f"{other.name} added"
        elif one is not None:
            yield f"{one.name} removed"
    yield from _of_sinks(before, after)


def _of_sinks(before: Cluster, after: Cluster) -> Iterator[str]:
    """Names of keys alone: what stands in them may be nobody else's business."""
    old, new = ({sink.name: sink for sink in cluster.sinks} for cluster in (before, after))
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            yield f"sink {name} {'added' if one is None else 'removed'}"
        elif one != other:
            keys = [key for key in one.__struct_fields__ if getattr(one, key) != getattr(other, key)]
            yield f"sink {name}: {', '.join(keys)} changed"


def _of_one(old: QueueManagerSpec, new: QueueManagerSpec) -> Iterator[str]:
    """Of options the names alone: the event log is no place for what they may hold."""
    before, after = (_flat(msgspec.to_builtins(structs.replace(spec, options={}))) for spec in (old, new))
    yield from _values(new.name, before, after)
    for key in sorted(old.options.keys() | new.options.keys()):
        if old.options.get(key) != new.options.get(key):
            yield f"{new.name}.options.{key} changed"


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    return table | {f"storage.{key}": value for key, value in table.pop("storage").items()}


def _values(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name}.{key} {old.get(key)} -> {new.get(key)}" for key in new if old.get(key) != new.get(key))
