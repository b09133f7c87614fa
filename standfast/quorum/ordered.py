"""The side of the member that was ordered to run without a majority: its own override, from the order to its end.

Guarantees
- Granted only where nothing speaks against it, see granting.py.
- While in force its queue managers run under epochs of their own, and the warden is told of a lease that ends a term
  from now, again at every interval: whoever stops saying so has nothing left that runs.
- A lease that it gets meanwhile rests on voters that were told of the override first: it counts acknowledgements of
  heartbeats sent after the order alone, and each of those carries the word. Such a majority acknowledges nobody who
  would start the same. From then on nothing can run twice, whatever is cut off.
- It ends in an order that leaves no gap: first the store says of every queue manager that it is this member's, under
  the epoch that it runs under; then nothing is prolonged any more until the real lease lasts as long as what the
  warden was told; then, once this is on disk, the end is written. After that only the real lease counts.
- Ended for any other reason, it stops everything first and says afterwards that it is over.
Not guaranteed: that nobody else runs the same before this member was heard by one of every majority that could decide.
That is what the operator has to make sure of; see docs/override.md.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import structs

from standfast.model.events import Event, EventKind
from standfast.model.messages import Hop
from standfast.model.override import CONFLICTS, Ending, Override, Part, Stage, Stance, Word
from standfast.model.records import GONE, Assignment, MemberState, Phase, Transaction
from standfast.model.view import Kept, View
from standfast.quorum import conclusion
from standfast.quorum.adoption import Adoption
from standfast.quorum.copies import adopted
from standfast.quorum.fencing import suspect
from standfast.quorum.hearing import Hearing
from standfast.quorum.keeper import Keeper
from standfast.quorum.lease import Lease
from standfast.quorum.membership import Membership
from standfast.quorum.overrides import Overrides
from standfast.quorum.rules import Rules
from standfast.quorum.runs import RunState
from standfast.quorum.signals import Effect, Tell, Transact
from standfast.quorum.standing import Standing
from standfast.quorum.words import Words

MOST_TOLD = 20
"""Events of one queue manager that are kept for the store."""
INCARNATION = 1
"""In what the keeper goes by while the override is in force: one of its own, that no store knows."""


class Organs(NamedTuple):
    """The parts of a member that an override touches."""

    hearing: Hearing
    lease: Lease
    membership: Membership
    keeper: Keeper
    words: Words
    adoption: Adoption


class Ordered:
    """Of one member; `own`: the override on its disk."""

    def __init__(self, rules: Rules, overrides: Overrides, own: Override | None, organs: Organs) -> None:
        self._me = organs.membership.me
        self._rules = rules
        self._overrides = overrides
        self._hearing, self._lease, self._membership, self._keeper, _, self._adoption = organs
        self._told: dict[str, tuple[Event, ...]] = {}
        """By queue manager: events that were told here and not stored yet."""
        self.own = own
        """The override, until the store holds its end; None when there is none."""
        if own is not None:
            overrides.say(own.word(self._me))

    @property
    def binding(self) -> bool:
        """Whether the keeper goes by the override, and not by the store."""
        return self.own is not None and self.own.stage in (Stage.IN_FORCE, Stage.ENDING)

    @property
    def in_force(self) -> bool:
        """Whether queue managers are to run by it."""
        return self.own is not None and self.own.stage is Stage.IN_FORCE

    @property
    def claimant(self) -> int:
        """The incarnation under which storage is claimed for what is launched now; by an override one that it had."""
        own = self.own if self.binding else None
        return max(self._membership.incarnation, own.incarnation if own is not None else 0)

    # ------------------------------------------------------------ the order

    def begin(self, override: Override, now_ns: int) -> Iterator[Effect]:
        """It is granted. What it bypasses is told, one by one."""
        self.own = override
        self._overrides.say(override.word(self._me))
        self._lease.begin_again(now_ns)
        for event in self.story():
            yield Tell(event)

    def story(self) -> Iterator[Event]:
        """The order, and every guard that it bypasses."""
        assert self.own is not None
        own, me = self.own, self._me
        at: dict[str, str | int | float | bool | None] = {"number": own.number, "at_unix_ms": own.at_unix_ms}
        yield Event(kind=EventKind.OVERRIDE_GRANTED, subject=me, fields={**at, "reason": own.reason, "by": own.by})
        yield Event(kind=EventKind.GUARD_BYPASSED, subject=me, fields={**at, "guard": "majority"})
        for part in own.parts:
            for guard in ("start_record", "data_currency"):
                fields = {**at, "guard": guard, "epoch": part.epoch, "member": me}
                yield Event(kind=EventKind.GUARD_BYPASSED, subject=part.spec.name, fields=fields)

    def end(self) -> None:
        """An operator ends it here."""
        if self.own is not None and self.own.stage is Stage.IN_FORCE:
            self._change(Stage.ENDING, Ending.OPERATOR)

    def _change(self, stage: Stage, ending: Ending) -> None:
        assert self.own is not None
        self.own = structs.replace(self.own, stage=stage, ending=ending)
        self._overrides.say(self.own.word(self._me))
        self._overrides.changed = True

    # ------------------------------------------------------------ its course

    def proceed(self, view: View, now_ns: int, *, leased: bool) -> Iterator[Effect]:
        """What follows at this moment; Remember has to come before anything else that follows."""
        if self.own is None:
            return
        if self.own.stage is Stage.IN_FORCE:
            ending = self._contradiction(view, leased=leased)
            if ending is not Ending.NONE:
                self._change(Stage.ENDING, ending)
                if ending in CONFLICTS:
                    yield Tell(self._event(EventKind.OVERRIDE_CONFLICT))
            elif leased and self._all_mine(view):
                # Nothing is prolonged any more from here on, unless the lease is lost before it lasts as long.
                if self._lease.end_ns >= self._lease.prolonged_ns:
                    self._change(Stage.SETTLING, Ending.MAJORITY)
                return
        yield from self._finish(now_ns)
        if self.binding and self._lease.prolonged_ns - now_ns <= self._rules.term_ns - self._rules.interval_ns:
            self._lease.prolonged_ns = now_ns + self._rules.term_ns
            yield self._adoption.lease_moved()

    def _finish(self, now_ns: int) -> Iterator[Effect]:
        """Say that it is over when nothing runs by it any more; while settling, when the lease is lost."""
        assert self.own is not None
        stopped = self.own.stage is Stage.ENDING and not self._keeper.alive
        lost = self.own.stage is Stage.SETTLING and now_ns >= self._lease.end_ns
        if stopped or lost:
            self._lease.prolonged_ns = 0
            yield self._over()

    def _over(self) -> Tell:
        assert self.own is not None
        self._change(Stage.OVER, self.own.ending)
        return Tell(self._event(EventKind.OVERRIDE_ENDED))

    def _event(self, kind: EventKind) -> Event:
        assert self.own is not None
        return Event(kind=kind, subject=self._me, fields={"number": self.own.number, "why": str(self.own.ending)})

    def _contradiction(self, view: View, *, leased: bool) -> Ending:
        """Why it can not go on: what others say of it, another's override, what the store says."""
        assert self.own is not None
        own, said = self.own, self._overrides.of(self._me)
        if said is not None and (said.number > own.number or said.stance is Stance.REFUSED):
            return Ending.REFUSED
        if said is not None and said.stance is Stance.ENDED:
            return Ending.ELSEWHERE
        if any(w.stance is Stance.ON and w.member != self._me and not self.before(w) for w in self._overrides.words):
            return Ending.TWO
        kept = view.members.get(self._me)
        if kept is not None and kept.record.identity != self._membership.machine and kept.record.state not in GONE:
            return Ending.REPLACED
        if leased and any(self._decided_beyond(part, view) for part in own.parts):
            return Ending.STORE
        return Ending.NONE

    def before(self, other: Word) -> bool:
        """Whether this one was ordered before another member's: then that one has to yield."""
        return self.own is not None and (self.own.number, self._me) < (other.number, other.member)

    def _decided_beyond(self, part: Part, view: View) -> bool:
        kept = view.assignments.get(part.spec.name)
        return kept is not None and kept.record.epoch > part.epoch

    def refuses(self, word: Word) -> bool:
        """Whether this member can not go by another's override: it runs what that covers, or was ordered before."""
        return self.before(word) if self.binding else any(map(word.covers, self._keeper.living()))

    # ------------------------------------------------------------ the keeper

    def tend(self, normal: Standing) -> Iterator[Effect]:
        """The keeper's orders; while binding nothing of them goes to the store, and what fails is tried here again."""
        if not self.binding:
            yield from self._keeper.tend(normal)
            return
        yield from (effect for effect in self._keeper.tend(self._standing(normal)) if type(effect) is not Transact)
        for qm, run in self._keeper.runs.items():
            # The store is told of them, too, once it is back; of very many only the newest.
            told = self._told.get(qm, ())
            yield from (Tell(event) for event in run.told if event not in told)
            del run.told[:-MOST_TOLD]
            self._told[qm] = tuple(run.told)
            if run.failed:
                run.again(normal.now_ns)

    def shown(self, view: View) -> View:
        """The view with what runs here by the override in the place of what it says of that."""
        parts = self.own.parts if self.own is not None and self.in_force else ()
        specs = {part.spec.name: Kept(part.spec, 0) for part in parts}
        assignments = {
            part.spec.name: Kept(
                Assignment(
                    qm=part.spec.name,
                    epoch=part.epoch,
                    phase=Phase.RUNNING,
                    owner=self._me,
                    incarnation=INCARNATION,
                    reason="override",
                ),
                0,
            )
            for part in parts
        }
        return structs.replace(view, specs={**view.specs, **specs}, assignments={**view.assignments, **assignments})

    def _standing(self, normal: Standing) -> Standing:
        """What the keeper goes by: the override alone."""
        return Standing(
            normal.now_ns,
            self.shown(View()),
            dict,
            incarnation=INCARNATION,
            span=range(INCARNATION, INCARNATION + 1),
            lease_end_ns=self._lease.held_ns,
            may_stay=True,
            may_keep=True,
            sworn_off=False,
            called_off=False,
            leaving=normal.leaving,
            late=normal.leaving,
            hop=Hop.NONE,
        )

    # ------------------------------------------------------------ the store

    def steps(self, view: View, *, leased: bool) -> Iterator[Transact]:
        """What is to be written, once a majority is back: every queue manager as this member's, then the end."""
        own, me = self.own, self._membership.own(view)
        if own is None or me is None:
            return
        if me.record.overridden >= own.number and own.stage is not Stage.IN_FORCE:
            self._forget()
        elif leased and me.record.state is MemberState.ONLINE:
            if own.stage is Stage.IN_FORCE:
                for part in own.parts:
                    kept = view.assignments.get(part.spec.name)
                    if kept is not None and self._mine_to_take(part, kept, view):
                        yield Transact(f"adopt:{part.spec.name}", self._adopt(part, kept, view))
            elif own.stage in (Stage.SETTLING, Stage.OVER):
                told = (*self.story(), self._event(EventKind.OVERRIDE_ENDED))
                yield Transact("conclude", conclusion.conclude(me, own.number, told))

    def _forget(self) -> None:
        """The store has its end: only the word remains."""
        assert self.own is not None
        if self.own.stage is not Stage.OVER:
            self._change(Stage.OVER, self.own.ending)
        self._lease.prolonged_ns = 0
        self.own = None
        self._overrides.changed = True

    def _is_mine(self, part: Part, view: View) -> bool:
        kept = view.assignments.get(part.spec.name)
        if kept is None:
            return False
        a = kept.record
        return (a.owner, a.incarnation, a.epoch) == (self._me, self._membership.incarnation, part.epoch)

    def _all_mine(self, view: View) -> bool:
        assert self.own is not None
        me = self._membership.own(view)
        online = me is not None and me.record.state is MemberState.ONLINE
        return online and all(self._is_mine(part, view) for part in self.own.parts)

    def _mine_to_take(self, part: Part, kept: Kept[Assignment], view: View) -> bool:
        """Whether nothing of it runs, nor will start, under whoever owns it: nobody living, or one that knows."""
        a = kept.record
        if self._is_mine(part, view) or a.epoch > part.epoch:
            return False
        if view.orphaned(a) or a.owner == self._me:
            return True
        said = self._hearing.peers[a.owner or ""].heartbeat
        if said is None or said.incarnation != a.incarnation:
            return False
        word = next((w for w in said.overrides if w.member == self._me), None)
        return word is not None and self.own is not None and (word.number, word.stance) == (self.own.number, Stance.ON)

    def _adopt(self, part: Part, kept: Kept[Assignment], view: View) -> Transaction:
        run = self._keeper.runs.get(part.spec.name)
        serving = run is not None and run.state is RunState.SERVING
        taken = Kept(adopted(kept.record, part.spec, self._rules.cluster, self._me), kept.revision)
        suspects = suspect(kept.record, view) if kept.record.phase in (Phase.STARTING, Phase.RUNNING) else ()
        return conclusion.adopt(taken, view.members[self._me], part.epoch, serving=serving, suspects=suspects)


__all__ = ["Ordered", "Organs"]
