"""The parts of a member's core, put together: each knows only those that it is given here."""

from standfast.model.cluster import Cluster
from standfast.model.override import Remembered
from standfast.quorum.adoption import Adoption
from standfast.quorum.calm import Calm
from standfast.quorum.coordinator import Coordinator
from standfast.quorum.desk import Desk
from standfast.quorum.dialogue import Dialogue
from standfast.quorum.grants import Grants
from standfast.quorum.hearing import Hearing
from standfast.quorum.hold import Hold
from standfast.quorum.keeper import Keeper
from standfast.quorum.lease import Lease
from standfast.quorum.link_news import LinkNews
from standfast.quorum.membership import Identity, Membership
from standfast.quorum.ordered import Ordered, Organs
from standfast.quorum.overrides import Overrides
from standfast.quorum.reception import Reception
from standfast.quorum.rules import Rules
from standfast.quorum.settlement import Settlement
from standfast.quorum.umpire import Umpire
from standfast.quorum.voice import Voice
from standfast.quorum.words import Words


class Parts:
    """Of one member; `now_ns` is its clock at the start, `remembered` what its disk holds."""

    def __init__(self, identity: Identity, cluster: Cluster, now_ns: int, remembered: Remembered) -> None:
        rules = self.rules = Rules(cluster)
        self.identity = identity
        me = self.me = identity.name
        self.desk = Desk(rules, now_ns)
        self.membership = Membership(cluster.member(me), identity.machine, rules)
        self.hearing = Hearing(me, rules, now_ns)
        self.overrides = Overrides(me, remembered.words)
        self.grants = Grants(now_ns, rules.term_ns, self.overrides)
        self.lease = Lease(rules)
        self.keeper = Keeper(me, rules, self.overrides)
        self.words = Words(me, rules, self.hearing)
        self.adoption = Adoption(rules, self.hearing, self.lease)
        self.settlement = Settlement(me, rules, self.hearing)
        organs = Organs(self.hearing, self.lease, self.membership, self.keeper, self.words, self.adoption)
        self.ordered = Ordered(rules, self.overrides, remembered.own, organs)
        self.reception = Reception(rules, self.overrides, self.ordered, organs, self.settlement, now_ns=now_ns)
        calm = Calm(rules)
        self.link_news = LinkNews(me, rules, self.hearing)
        self.umpire = Umpire(me, rules, self.hearing, calm, self.overrides)
        self.hold = Hold(me, rules, self.hearing)
        self.coordinator = Coordinator(
            me,
            rules,
            self.hearing,
            self.grants,
            words=self.words,
            settlement=self.settlement,
            overrides=self.overrides,
            calm=calm,
            link_news=self.link_news,
        )
        self.voice = Voice(me, identity.process, rules, now_ns)
        self.dialogue = Dialogue(
            me,
            desk=self.desk,
            membership=self.membership,
            hearing=self.hearing,
            grants=self.grants,
            lease=self.lease,
            adoption=self.adoption,
            voice=self.voice,
            words=self.words,
            overrides=self.overrides,
        )
