"""What the coordinator does: doubts, evicts, takes back, and places what has no living owner.

The coordinator is a rank, not an election: the first in rank (witnesses, then data members, by name) that is able
and heard. Two at once are harmless, because every step is a guarded transaction.
"""

from collections.abc import Iterator

from standfast.model.cluster import Role
from standfast.model.events import EventKind
from standfast.model.records import BALLOT, MemberRecord, MemberState, Transaction
from standfast.model.view import Kept, View
from standfast.quorum import transactions as tx
from standfast.quorum.arbiter import Arbiter, Grounds, Judgement, grantless
from standfast.quorum.calm import Calm
from standfast.quorum.distribution import Distribution
from standfast.quorum.grants import Grants
from standfast.quorum.hearing import Hearing
from standfast.quorum.ladder import Rung
from standfast.quorum.link_news import LinkNews
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.quorum.quarantine import Quarantine
from standfast.quorum.rules import Rules
from standfast.quorum.settlement import Settlement
from standfast.quorum.signals import Transact
from standfast.quorum.standing import Standing
from standfast.quorum.verdicts import verdict
from standfast.quorum.words import Words


class Coordinator:
    """The coordinating part of member `me`."""

    def __init__(
        self,
        me: str,
        rules: Rules,
        hearing: Hearing,
        grants: Grants,
        *,
        words: Words,
        settlement: Settlement,
        overrides: Overrides,
        calm: Calm,
        link_news: LinkNews,
    ) -> None:
        self._me = me
        self._overrides = overrides
        self._rules = rules
        self._hearing = hearing
        self._grants = grants
        self._words = words
        self._settlement = settlement
        self._incomplete_since_ns: int | None = None
        self._quarantine = Quarantine(rules)
        self._calm = calm
        self._link_news = link_news
        self._distribution = Distribution(overrides)
        self._arbiter = Arbiter(me, rules, hearing, calm)

    def forgive(self) -> None:
        """This member was not listening until now: nothing that it missed counts against others."""
        self._arbiter.forgive()

    def acting(self, now_ns: int, *, able: bool) -> bool:
        """Whether this member is the one to act now."""
        return self.leading(now_ns, able=able) == self._me

    def leading(self, now_ns: int, *, able: bool) -> str | None:
        """The first in rank that is heard and able, as this member sees it; None when there is none."""
        for name in sorted(self._rules.rank, key=self._rules.drained.__contains__):
            if name == self._me:
                if able:
                    return name
                continue
            heartbeat = self._hearing.fresh(name, now_ns)
            if heartbeat is not None and heartbeat.able:
                return name
        return None

    def in_touch(self, view: View, now_ns: int) -> bool:
        """Whether this member is in two-way contact with a majority."""
        return self._hearing.contacts(self._me, now_ns, grantless(view.members))[0] >= self._rules.majority

    def steps(self, view: View, standing: Standing, now_ns: int) -> Iterator[Transact]:
        """Every transaction that is due now of a member that is able; all but one only if it is the one to act."""
        yield from self._settlement.steps(view, now_ns)
        if self.acting(now_ns, able=True):
            yield from self.decide(view, standing.candidates, now_ns)

    def decide(self, view: View, candidates: dict[str, Candidate], now_ns: int) -> Iterator[Transact]:
        """Every transaction that is due now."""
        founding = tx.found(self._rules.cluster, view)
        if founding is not None:
            yield Transact("found", founding)
        yield from self._myself(view)
        judgements = self._arbiter.arbitrate(view.members, now_ns)
        for name, judgement in judgements.items():
            yield from self._member(view, view.members[name], judgement, candidates, now_ns)
        yield from self._quarantine.decide(view, now_ns)
        if not view.orders.record.frozen and not self._more_to_come(view, candidates, now_ns):
            yield from self._distribution.steps(view, candidates)

    def _more_to_come(self, view: View, candidates: dict[str, Candidate], now_ns: int) -> bool:
        """Whether a data member is here that has no lease yet: it may be the preferred one. For the doubt time at most.

        At a cold start the first lease of all would else decide where everything runs, and after the quick restart of
        a member that member would be passed over. Takeovers do not come here: an eviction gives away by itself.
        """
        data = [m.name for m in self._rules.cluster.members if m.role is Role.DATA and m.name not in candidates]
        if not any(self._without_lease(name, view.members.get(name), now_ns) for name in data):
            self._incomplete_since_ns = None
            return False
        if self._incomplete_since_ns is None:
            self._incomplete_since_ns = now_ns
        return now_ns - self._incomplete_since_ns < self._rules.in_doubt_ns

    def _without_lease(self, name: str, kept: Kept[MemberRecord] | None, now_ns: int) -> bool:
        if kept is not None and kept.record.state is not MemberState.ONLINE:
            return False
        heartbeat = self._hearing.fresh(name, now_ns)
        return name == self._me or (heartbeat is not None and not heartbeat.leased)

    def _myself(self, view: View) -> Iterator[Transact]:
        """A doubt about the coordinator itself: it acts, so a majority is in touch with it, and nobody else would."""
        kept = view.members.get(self._me)
        if kept is not None and kept.record.state is MemberState.IN_DOUBT:
            back = tx.member_state(kept, MemberState.ONLINE, EventKind.MEMBER_BACK, "heard_again")
            yield Transact(f"back:{self._me}", back)

    def _member(
        self,
        view: View,
        kept: Kept[MemberRecord],
        judgement: Judgement,
        candidates: dict[str, Candidate],
        now_ns: int,
    ) -> Iterator[Transact]:
        name, state = kept.record.name, kept.record.state
        frozen = view.orders.record.frozen
        if state in BALLOT and not frozen:
            proof = self._proof(kept, now_ns)
            if proof:
                yield Transact(f"evict:{name}", self._evict(view, kept, proof, candidates))
                return
        if state is MemberState.IN_DOUBT and judgement is Judgement.FINE:
            back = tx.member_state(kept, MemberState.ONLINE, EventKind.MEMBER_BACK, "heard_again")
            yield Transact(f"back:{name}", back)
        elif frozen or judgement is Judgement.FINE or self._overrides.shields(name):
            return
        elif state is MemberState.ONLINE and judgement is Judgement.SILENT:
            if not self._may_be_back(name, now_ns):
                grounds = Grounds.ISOLATED if self._words.isolated_by(name, now_ns) else Grounds.SILENT
                doubt = tx.member_state(kept, MemberState.IN_DOUBT, EventKind.MEMBER_IN_DOUBT, grounds)
                yield Transact(f"doubt:{name}", doubt)
        elif state is not MemberState.EVICTING and judgement is Judgement.DEAF:
            told = verdict(kept, self._rules, Grounds.DEAF, Rung.MAJORITY, self._calm.evictions(kept.record))
            yield Transact(f"doubt:{name}", told)

    def _may_be_back(self, name: str, now_ns: int) -> bool:
        """Whether its link comes and goes, and it was silent for less than three quarters of the way to the lapse.

        A doubt in every gap would only fill the log: there is time for the ballot until the grants lapse.
        """
        late_ns = (self._rules.in_doubt_ns + 3 * self._rules.term_ns) // 4
        return name in self._link_news.flapping and self._hearing.silence_ns(name, now_ns) < late_ns

    def _proof(self, kept: Kept[MemberRecord], now_ns: int) -> str:
        """What proves that the member's lease is over: its own word, or a majority of lapse votes; else empty."""
        name, ballot = kept.record.name, kept.revision
        if self._words.stopped(kept):
            return "stopped"
        votes = int(self._grants.vote(name, ballot, now_ns))
        for voter, peer in self._hearing.peers.items():
            if voter != name and peer.heartbeat is not None:
                votes += any(v.member == name and v.ballot == ballot for v in peer.heartbeat.votes)
        return tx.LAPSED if votes >= self._rules.majority else ""

    def _evict(self, view: View, kept: Kept[MemberRecord], proof: str, candidates: dict[str, Candidate]) -> Transaction:
        moves = self._distribution.inheritance(view, kept.record.name, candidates)
        told = kept.record.state is MemberState.EVICTING
        evictions = kept.record.evictions if told else self._calm.evictions(kept.record)
        return tx.evict(kept, self._rules, moves, {"proof": proof}, evictions=evictions)
