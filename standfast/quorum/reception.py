"""Takes what operators order, and says how it ends: at once, or when the store has taken note of it."""

from collections.abc import Iterator

from msgspec import structs

from standfast.model.events import Event, EventKind
from standfast.model.override import Ending, Stance
from standfast.model.records import Outcome, Transaction
from standfast.model.view import View
from standfast.quorum.commands import CopyOrder, Outdate
from standfast.quorum.configuration import configuration
from standfast.quorum.copies import change_of_copies
from standfast.quorum.granting import Granting
from standfast.quorum.ordered import Ordered, Organs
from standfast.quorum.orders import transaction_for
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.quorum.rules import Rules
from standfast.quorum.settlement import Settlement
from standfast.quorum.signals import (
    Answer,
    Configure,
    Effect,
    EndOverride,
    GrantOverride,
    LeaveCluster,
    Order,
    Tell,
    Transact,
    Verdict,
)
from standfast.quorum.voter_orders import Change
from standfast.quorum.voters import change_of_voters, online

ORDER_ENDS = {
    Outcome.COMMITTED: Verdict.DONE,
    Outcome.REFUSED: Verdict.CHANGED_MEANWHILE,
    Outcome.UNKNOWN: Verdict.STORE_UNREACHABLE,
}
"""How an order ended that became a transaction."""


class Reception:
    """Of one member."""

    def __init__(
        self,
        rules: Rules,
        overrides: Overrides,
        ordered: Ordered,
        organs: Organs,
        settlement: Settlement,
        *,
        now_ns: int,
    ) -> None:
        self._rules = rules
        self._settlement = settlement
        self._overrides = overrides
        self._ordered = ordered
        self.granting = Granting(rules, overrides, ordered, organs, now_ns)
        self._hearing, self._membership = organs.hearing, organs.membership

    def take(
        self,
        ticket: int,
        order: Order,
        view: View,
        candidates: dict[str, Candidate],
        now_ns: int,
        *,
        in_touch: bool,
    ) -> Iterator[Effect]:
        """What follows from an order: its answer, or the transaction with whose end that comes."""
        if isinstance(order, LeaveCluster):
            self._membership.leave(now_ns, 2 * self._rules.term_ns)
            yield Answer(ticket, Verdict.DONE)
        elif isinstance(order, GrantOverride):
            verdict = self.granting.refusal(order, view, now_ns, in_touch=in_touch)
            if verdict is Verdict.DONE and not order.dry:
                yield from self._ordered.begin(self.granting.override(order, view), now_ns)
            yield Answer(ticket, verdict)
        elif isinstance(order, EndOverride):
            yield from self._end(ticket, order.member, now_ns)
        elif isinstance(order, Outdate) and self._ordered.in_force:
            yield Answer(ticket, Verdict.DONE)  # there is no store to say it to; `data_currency` was told as bypassed
        else:
            kind = "order"
            if isinstance(order, Configure):
                kind, result = "configure", configuration(order, self._rules.cluster, view, self._overrides)
            elif isinstance(order, CopyOrder):
                result = change_of_copies(order, self._rules.cluster, view, self._membership)
            elif isinstance(order, Change):
                kind, result = "members", self._change_of_voters(order, view, now_ns)
            else:
                result = transaction_for(order, self._rules.cluster, view, candidates, self._overrides)
            if isinstance(result, Verdict):
                yield Answer(ticket, result)
            else:
                yield Transact(f"{kind}:{ticket}", result)

    def _change_of_voters(self, order: Change, view: View, now_ns: int) -> Transaction | Verdict:
        """Not while a member runs by an override: nobody can tell then who is needed."""
        if self._overrides.in_force() is not None:
            return Verdict.OVERRIDDEN
        hearing, me = self._hearing, self._membership
        heard = {name: said for name in hearing.peers if (said := hearing.fresh(name, now_ns)) is not None}
        incarnations = {name: said.incarnation for name, said in heard.items()} | {me.me: me.incarnation}
        settled = self._settlement.settled(view, now_ns)
        return change_of_voters(order, self._rules.cluster, view, online(view, incarnations), settled=settled)

    def _end(self, ticket: int, member: str, now_ns: int) -> Iterator[Effect]:
        """End the own override, or another member's, of which the operator knows that nothing runs there."""
        word = self._overrides.of(member)
        verdict = Verdict.DONE
        if word is None or word.stance is Stance.ENDED:
            verdict = Verdict.NO_OVERRIDE
        elif member == self._membership.me and self._ordered.own is not None:
            self._ordered.end()
        elif member != self._membership.me and self._hearing.hears(member, now_ns):
            verdict = Verdict.MEMBER_HEARD
        else:
            self._overrides.say(structs.replace(word, stance=Stance.ENDED))
            yield Tell(
                Event(
                    kind=EventKind.OVERRIDE_ENDED,
                    subject=member,
                    fields={"number": word.number, "why": str(Ending.ELSEWHERE)},
                )
            )
        yield Answer(ticket, verdict)


__all__ = ["ORDER_ENDS", "Reception"]
