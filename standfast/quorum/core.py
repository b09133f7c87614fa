"""The member core: `step(now, input) -> effects`. The whole protocol of one member, without clock, I/O or await.

Guarantees, together with the warden that enforces the lease's end: see design section 2, promises 1 to 3 and 5.
Every decision is made anew from what is known (level-triggered): nothing here waits for a particular answer.

The runtime, or the simulator, carries out the effects and gives their results back as inputs. It calls `step` with
`Woke` at `wake_at_ns` at the latest.
"""

from collections.abc import Iterator

from standfast.model.cluster import Cluster
from standfast.model.events import Event, EventKind
from standfast.model.messages import Ack, Heartbeat, Hop
from standfast.model.override import NOTHING, Remembered
from standfast.model.records import SETTINGS_KEY, MemberRecord, Outcome, Transaction
from standfast.model.view import View
from standfast.quorum import signals as sig
from standfast.quorum.membership import Identity
from standfast.quorum.parts import Parts
from standfast.quorum.placement import ALL, Candidate, candidates
from standfast.quorum.reception import ORDER_ENDS
from standfast.quorum.standing import Standing


class Core(Parts):
    """One member. `now_ns` is its clock at the start; `cluster` what its file says, until the store was read.

    `remembered`: what its disk holds by the last `Remember`.
    """

    def __init__(self, identity: Identity, cluster: Cluster, now_ns: int, remembered: Remembered = NOTHING) -> None:
        super().__init__(identity, cluster, now_ns, remembered)
        self.held_ns = 0
        """How long this member is held back, if nothing changes; 0: not at all."""
        self.leased = False
        """Whether the lease lasts longer than the stop budget, so that queue managers may run."""
        self.unfit: tuple[str, ...] = ()
        """Queue managers that this member could not run now; "*" for all."""
        self.hop = Hop.UNKNOWN if cluster.member(self.me).hops else Hop.NONE
        """How it stands with this member's next hop."""
        self.wake_at_ns = now_ns
        self._last_ns = now_ns
        self._read_once = False
        self._out: list[sig.Effect] = []

    @property
    def view(self) -> View:
        """What this member knows of the store."""
        return self.desk.view

    @property
    def able(self) -> bool:
        """Whether it may act as coordinator: restart rule fulfilled, store and majority in reach, welcome.

        Who is held back has no vote of its own, and misses those of members that it is torn from: it lets others act.
        """
        now_ns = self._last_ns
        return (
            self.desk.ok
            and self.grants.settled(now_ns)
            and not self.membership.must_go(self.view)
            and not self.membership.stranger(self.view)
            and not self.held_ns
            and self.coordinator.in_touch(self.view, now_ns)
        )

    # ------------------------------------------------------------ step

    def step(self, now_ns: int, given: sig.Input) -> list[sig.Effect]:
        """Take one input at this moment; the orders that follow from it, in the order to carry them out."""
        out = self._out = []
        if now_ns - self._last_ns > self.rules.in_doubt_ns:
            self._forgive(now_ns)
        self._last_ns = now_ns
        if type(given) is sig.Received:
            if not self._received(given.message, now_ns):
                return out
        elif type(given) is sig.SeenOnDisk:
            self._hear_of_overrides(given.heartbeat)
            if not self.words.read(given.heartbeat, now_ns) and not out:
                return out
        elif type(given) is not sig.Woke:
            self._fact(given, now_ns)
            self._confirm()
        self._decide(now_ns)
        return out

    def _forgive(self, now_ns: int) -> None:
        """This member was not listening until now: nothing that it missed counts against others."""
        self.hearing.forgive(now_ns)
        self.coordinator.forgive()
        self.umpire.forgive()
        self.hold.forgive()
        self.keeper.removal.forgive()

    def _fact(self, given: sig.Input, now_ns: int) -> None:
        match given:
            case sig.ViewRead(view):
                self._view_read(view, now_ns)
            case sig.StoreStirred():
                self.desk.want()
            case sig.ReadFailed():
                self.desk.read_failed(now_ns)
            case sig.Transacted(tag, outcome, revision):
                self._transacted(tag, outcome, revision, now_ns)
            case sig.Inherited(survivors, lease_end_ns):
                self.membership.heir = bool(survivors)
                self.keeper.heritage.found(survivors)
                self.lease.inherit(lease_end_ns)
            case sig.FitnessChanged(unfit, hop):
                self.unfit = self.unfit if unfit is None else unfit
                self._out += self._next_hop(hop)
            case sig.FailbackWindows(opened):
                self.keeper.removal.windows = opened
            case sig.Ordered(ticket, order):
                self._ordered(ticket, order, now_ns)
            case sig.Received() | sig.SeenOnDisk() | sig.Woke():
                pass
            case fact:
                self._out += self.keeper.hear(fact, now_ns)

    def _next_hop(self, hop: Hop | None) -> Iterator[sig.Tell]:
        """Take note of how it stands with the next hop, None: as it did."""
        before, self.hop = self.hop, self.hop if hop is None else hop
        if self.hop is Hop.LOST and before is not Hop.LOST:
            yield sig.Tell(Event(kind=EventKind.HOP_LOST, subject=self.me))
        elif self.hop is Hop.FOUND and before in {Hop.LOST, Hop.RETURNING}:
            yield sig.Tell(Event(kind=EventKind.HOP_FOUND, subject=self.me))

    # ------------------------------------------------------------ messages

    def _received(self, message: Heartbeat | Ack, now_ns: int) -> bool:
        """Whether anything changed that decisions rest on."""
        if isinstance(message, Heartbeat):
            self._hear_of_overrides(message)
            return self.dialogue.heard(message, now_ns, self._out, leased=self.leased)
        if not self.dialogue.acknowledged(message, now_ns, self._out):
            return False
        self._confirm()
        return not self.leased

    def _beat(self, now_ns: int) -> None:
        """Send a heartbeat when it is time, or when there is something new to say."""
        heartbeat = self.voice.heartbeat(
            (
                self.membership.incarnation,
                self.hearing.mask(now_ns),
                self.view.newest,
                self.able,
                self.leased,
                self.grants.votes(self.view.members, now_ns),
                self.membership.stopped_word,
                (ALL,) if self.membership.leaving or self.ordered.binding else self.unfit,
                self.words.ballots(self.view),
                self.words.mask(now_ns),
                self.rules.revision,
                self.overrides.words,
                self.hop,
            ),
            lambda: self.hearing.fit(self._leased(now_ns)),
            now_ns,
            self.hearing.pace_ns,
        )
        if heartbeat is not None:
            self._out.append(sig.Broadcast(heartbeat))

    def _hear_of_overrides(self, heartbeat: Heartbeat) -> None:
        """Its words on them stay true, however old it is."""
        self.overrides.learn(heartbeat.overrides, self.ordered.refuses)
        self._remember()

    def _remember(self) -> None:
        """What overrides rest on is on disk before anything follows from it."""
        if self.overrides.changed:
            self.overrides.changed = False
            self._out.append(sig.Remember(Remembered(words=self.overrides.words, own=self.ordered.own)))

    # ------------------------------------------------------------ store

    def _confirm(self) -> None:
        """Until when this member is the voter of its name: a term from the last proof that nobody took its place."""
        asked_ns, until_ns = self.desk.read_asked_ns, 0
        if asked_ns is not None and self.membership.speaks(self.view):
            until_ns = max(self.lease.end_ns, asked_ns + self.rules.term_ns)
        self.grants.speaks_until_ns = until_ns

    def _view_read(self, view: View, now_ns: int) -> None:
        self.desk.was_read(view, now_ns)
        self._read_once = True
        asked_ns = self.desk.read_asked_ns
        assert asked_ns is not None
        self._out += self.adoption.adopt(self.view, now_ns)
        self.overrides.read(self.view.members)
        self.grants.bind(view.members, asked_ns, self.adoption.ceiling_ns(self.view))

    def _transacted(self, tag: str, outcome: Outcome, revision: int, now_ns: int) -> None:
        transaction = self.desk.ended(tag, outcome, revision, now_ns)
        if outcome is Outcome.COMMITTED and any(put.key == SETTINGS_KEY for put in transaction.puts):
            self.desk.want()
        kind, _, subject = tag.partition(":")
        if kind in {"order", "configure", "members"}:
            self._out.append(sig.Answer(int(subject), ORDER_ENDS[outcome]))
        elif outcome is not Outcome.COMMITTED:
            return
        elif kind == "join":
            self._joined(transaction, now_ns)

    def _joined(self, transaction: Transaction, now_ns: int) -> None:
        record = next(put.record for put in transaction.puts if isinstance(put.record, MemberRecord))
        self.membership.joined(record)
        (self.lease.carry_on if record.since else self.lease.begin_again)()
        self.voice.hurry(now_ns)
        if record.replaced:
            self.grants.take_over(now_ns)

    def _carry_out(self, effect: sig.Effect, now_ns: int) -> None:
        if type(effect) is not sig.Transact or self.desk.admit(effect, now_ns):
            self._out.append(effect)

    # ------------------------------------------------------------ decisions

    def _decide(self, now_ns: int) -> None:
        """Everything that follows from what is known at this moment."""
        self.rules.drained = self.view.orders.record.drained
        self._out += map(sig.Tell, (*self.link_news.look(now_ns), *self.words.news(now_ns)))
        self._out += self.adoption.catch_up(now_ns, idle=not self.leased and not self.keeper.alive)
        self._watch_lease(now_ns)
        told = list(self.ordered.proceed(self.view, now_ns, leased=self.leased))
        self._remember()
        self._out += told
        self.settlement.look(self.view, self.membership.incarnation, now_ns)
        called = self._called_off(now_ns) if self._read_once else 0
        if self._read_once or self.ordered.binding:
            standing = self._standing(now_ns, called_off=bool(called))
            for effect in self.ordered.tend(standing):
                self._carry_out(effect, now_ns)
        if self._read_once:
            self._stand(now_ns, called)
            for step in self.coordinator.steps(self.view, standing, now_ns) if self.able else ():
                self._carry_out(step, now_ns)
            self._judge(standing, now_ns)
        if not self.leased:
            self.desk.confirm()
        self._out += self.desk.reads(now_ns)
        self._beat(now_ns)
        self._set_alarm(now_ns)

    def _called_off(self, now_ns: int) -> int:
        """The ballot for which this member, out of touch, must stop at the word of others; 0: none.

        One that has nothing to stop need not hurry: its word would save nobody's wait, and it may be back soon.
        """
        own = self.membership.own(self.view)
        ballot = self.words.call(own, now_ns) if own is not None else 0
        if not ballot or self.coordinator.in_touch(self.view, now_ns):
            return 0
        return ballot if self.keeper.alive or any(self.keeper.owned(self.view, self.membership.span(self.view))) else 0

    def _judge(self, standing: Standing, now_ns: int) -> None:
        """Who goes for a lost link, if this member is the one to say so."""
        if not self.umpire.judges():
            self.umpire.forgive()
            return
        self.umpire.watch(self.view, self.membership.incarnation, now_ns)
        for step in self.umpire.decide(self.view, lambda: standing.candidates, self.unfit, now_ns, able=self.able):
            self._carry_out(step, now_ns)

    def _stand(self, now_ns: int, called: int) -> None:
        """Join, join again after an eviction, or leave; give the word `stopped` where it is due."""
        view, overridden = self.view, self.ordered.in_force and not self.membership.leaving
        alive = self.keeper.alive and not overridden
        span = self.membership.span(view)
        in_touch = self.coordinator.in_touch(view, now_ns)
        self.held_ns = 0 if overridden else self.hold.left_ns(view, self.unfit, now_ns, in_touch=in_touch)
        for effect in self.membership.steps(
            view,
            now_ns,
            alive=alive,
            owns=bool(self.membership.incarnation) and any(self.keeper.owned(view, span)),
            in_touch=in_touch,
            outwaited=self.grants.outwaited(now_ns),
            overridden=overridden,
            carried=self.membership.heir_of(view) is not None and self.keeper.carried(view, span),
            held_ns=self.held_ns,
        ):
            self._carry_out(effect, now_ns)
        for step in self.ordered.steps(view, leased=self.leased):
            self._carry_out(step, now_ns)
        self._remember()
        if not self.ordered.binding:
            self.membership.swear_off(view, alive=alive, leased=self.leased, called=called)
        self._confirm()

    def _watch_lease(self, now_ns: int) -> None:
        leased = bool(self.membership.incarnation) and now_ns < self.lease.end_ns - self.rules.stop_ns
        if leased is not self.leased:
            self.leased = leased
            kind = EventKind.LEASE_REGAINED if leased else EventKind.LEASE_LOST
            self._out.append(sig.Tell(Event(kind=kind, subject=self.me)))

    def _standing(self, now_ns: int, *, called_off: bool) -> Standing:
        return Standing(
            now_ns,
            self.view,
            lambda: self._candidates(now_ns),
            lease_end_ns=self.lease.held_ns,
            called_off=called_off,
            **self.membership.standing(self.view, now_ns),
            hop=self.hop,
        )

    def _leased(self, now_ns: int) -> dict[str, tuple[str, ...]]:
        """Members that hold a lease, each by its own fresh word, and what they are unfit for."""
        leased = self.hearing.leased(self.view.members, now_ns)
        if self.leased and not self.membership.leaving and self.membership.may_stay(self.view):
            leased[self.me] = (ALL,) if self.ordered.binding else self.unfit
        return leased

    def _candidates(self, now_ns: int) -> dict[str, Candidate]:
        leased = self._leased(now_ns)
        hops = {name: said.hop for name in leased if (said := self.hearing.fresh(name, now_ns)) is not None}
        hops[self.me] = self.hop
        return candidates(self.view, leased, self.hearing.told_of(now_ns), hops)

    def _set_alarm(self, now_ns: int) -> None:
        lapses = [at for at in self.grants.lapses(self.view.members) if at > now_ns]
        self.wake_at_ns = min(self.voice.beat_at_ns, self.keeper.wake_at_ns(now_ns, self.lease.held_ns), *lapses)

    # ------------------------------------------------------------ orders

    def _ordered(self, ticket: int, order: sig.Order, now_ns: int) -> None:
        found, in_touch = self._candidates(now_ns), self.coordinator.in_touch(self.view, now_ns)
        effects = list(self.reception.take(ticket, order, self.view, found, now_ns, in_touch=in_touch))
        self._remember()
        for effect in effects:
            self._carry_out(effect, now_ns)


__all__ = ["Core", "Identity"]
