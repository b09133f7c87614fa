"""Whether an override may be granted, and what it covers: the questions that this member alone can answer.

An override is granted only to a data member that holds no lease, is in touch with no majority, runs nothing, knows of
no other data member that lives, be it by the network, the shared disk or the word of others, and has heard none for as
long as a lease may last. All of that is necessary, and not enough: a rival that is cut off from this member together
with a majority can not be seen from here. Only the operator can exclude it.
"""

from collections.abc import Iterable

from standfast.model.cluster import QueueManagerSpec, Role
from standfast.model.override import STRIDE, Override, Part, Stage
from standfast.model.timing import NS_PER_MS, lapse_ns
from standfast.model.view import View
from standfast.quorum.ordered import Ordered, Organs
from standfast.quorum.overrides import Overrides
from standfast.quorum.rules import Rules
from standfast.quorum.signals import GrantOverride, Verdict


class Granting:
    """Of one member, since `now_ns`."""

    def __init__(self, rules: Rules, overrides: Overrides, ordered: Ordered, organs: Organs, now_ns: int) -> None:
        self._me = organs.membership.me
        self._rules = rules
        self._overrides = overrides
        self._ordered = ordered
        self._since_ns = now_ns
        self._hearing, self._lease, self._membership, self._keeper, self._words, _ = organs

    def refusal(self, order: GrantOverride, view: View, now_ns: int, *, in_touch: bool) -> Verdict:
        """Why the order can not be carried out now, the first reason of this list; DONE when it can."""
        own = self._ordered.own
        if order.cluster != self._rules.cluster.name:
            return Verdict.WRONG_CLUSTER
        if self._me not in self._rules.bits:
            return Verdict.NO_SUCH_MEMBER
        if self._rules.cluster.member(self._me).role is not Role.DATA:
            return Verdict.NOT_A_DATA_MEMBER
        if self._overrides.in_force() is not None or (own is not None and own.stage is not Stage.OVER):
            return Verdict.OVERRIDDEN
        if in_touch or now_ns < self._lease.end_ns:
            return Verdict.MAJORITY_IN_TOUCH
        if any(self._somebody_hears(name, now_ns) for name in self._rivals()):
            return Verdict.ANOTHER_HEARD
        if self.wait_ns(view, now_ns) > 0:
            return Verdict.RIVAL_LEASE
        if self._keeper.alive:
            return Verdict.STILL_RUNNING
        known = {spec.name for spec in self._specs(order, view)}
        if not known or not known >= set(order.queue_managers):
            return Verdict.NO_SUCH_QUEUE_MANAGER
        return Verdict.DONE

    def _rivals(self) -> list[str]:
        return [m.name for m in self._rules.cluster.members if m.role is Role.DATA and m.name != self._me]

    def _somebody_hears(self, name: str, now_ns: int) -> bool:
        bit = self._rules.bits[name]
        ears = [self._hearing.ears(other, now_ns) or 0 for other in self._rules.names if other != name]
        return any(mask & bit for mask in ears) or self._words.isolated(name, now_ns)

    def wait_ns(self, view: View, now_ns: int) -> int:
        """How long a lease of another data member may still last, as far as this one can know, in nanoseconds."""
        ceiling_ns = view.settings.record.term_ceiling_ms * NS_PER_MS if view.settings is not None else 0
        rivals = self._rivals()
        heard_ns = [self._hearing.peers[name].at_ns for name in rivals]
        read_ns = [self._words.read_ns(name) or 0 for name in rivals]
        last_ns = max([self._since_ns, *heard_ns, *read_ns])
        return last_ns + lapse_ns(max(ceiling_ns, self._rules.term_ns)) - now_ns

    def _specs(self, order: GrantOverride, view: View) -> list[QueueManagerSpec]:
        """The newest known: of the store, of what its own etcd still holds, of the cluster file."""
        specs = {spec.name: spec for spec in self._rules.cluster.queue_managers}
        for older in (order.known, view):
            specs |= {name: kept.record for name, kept in older.specs.items()}
        wanted = set(order.queue_managers)
        return [spec for name, spec in sorted(specs.items()) if not wanted or name in wanted]

    def override(self, order: GrantOverride, view: View) -> Override:
        """What is granted: every queue manager under an epoch far above the newest known one."""
        known = self._overrides.of(self._me)
        incarnations = [self._membership.incarnation, *(self._incarnation(one) for one in (view, order.known))]
        return Override(
            number=max(order.at_unix_ms, known.number + 1 if known else 1),
            reason=order.reason,
            by=order.by,
            at_unix_ms=order.at_unix_ms,
            incarnation=max(incarnations),
            whole=not order.queue_managers,
            parts=tuple(
                Part(spec=spec, epoch=self._newest_epoch(spec.name, (view, order.known)) + STRIDE)
                for spec in self._specs(order, view)
            ),
        )

    def _incarnation(self, view: View) -> int:
        kept = view.members.get(self._me)
        return kept.record.incarnation if kept is not None else 0

    def _newest_epoch(self, qm: str, views: Iterable[View]) -> int:
        known = [view.assignments[qm].record.epoch for view in views if qm in view.assignments]
        return max([*known, self._overrides.floor(qm)])


__all__ = ["Granting"]
