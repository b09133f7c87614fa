"""What a member knows of overrides, and what follows for those that it is not ordered by.

Guarantees, once it knows of an override in force (it is on its disk before anything follows from it, see Remember):
- it starts nothing that the override covers, and as coordinator gives it to nobody;
- it acknowledges no other member that does not say that it knows of it, too: a lease that rests on this voter belongs
  to a member that starts nothing of it either;
- it votes for no lapse of the ordered member, and as coordinator neither doubts it nor tells it to go;
until that member or an operator says that it is over, or the store does.
A member that runs what it covers at the moment at which it hears of it does so under a lease that no voter has taken
back: then there was a majority all along, and the override is refused. The ordered member is no longer spared a vote,
and it stops; until it says that it has, nothing that it runs is started or given away, for it may still run there.
Not guaranteed: anything for members that were not told. A majority of those decides as if there were no override.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from standfast.model.override import Stance, Word
from standfast.model.records import Assignment, MemberRecord
from standfast.model.view import Kept


class Overrides:
    """Of member `me`; `words`: from its disk."""

    __slots__ = ("_known", "_me", "changed", "words")

    def __init__(self, me: str, words: Iterable[Word] = ()) -> None:
        self._me = me
        self._known = {word.member: word for word in words}
        self.words = self._sorted()
        """The newest word on each member that ever had an override."""
        self.changed = False
        """Whether they are newer than what the disk is known to hold."""

    def _sorted(self) -> tuple[Word, ...]:
        return tuple(self._known[name] for name in sorted(self._known))

    def of(self, member: str) -> Word | None:
        """The newest word on that member's overrides."""
        return self._known.get(member)

    def say(self, word: Word) -> None:
        """This member's own word, or an operator's by it."""
        known = self._known.get(word.member)
        if known is None or word.replaces(known):
            self._known[word.member] = word
            self.words = self._sorted()
            self.changed = True

    def learn(self, words: Iterable[Word], refuses: Callable[[Word], bool]) -> None:
        """What another member says. `refuses`: whether this member can not go by an override that it hears of."""
        for word in words:
            known = self._known.get(word.member)
            if known is not None and not word.replaces(known):
                continue
            if word.stance is Stance.ON and word.member != self._me and refuses(word):
                word = structs.replace(word, stance=Stance.REFUSED)  # noqa: PLW2901 - the word as it is passed on
            self.say(word)

    def read(self, records: Mapping[str, Kept[MemberRecord]]) -> None:
        """What the store knows to be over. It is believed of others only: a member's own is ended by itself."""
        for name, kept in records.items():
            known = self._known.get(name)
            if known is not None and name != self._me and known.number <= kept.record.overridden:
                self.say(structs.replace(known, stance=Stance.ENDED))

    def in_force(self) -> Word | None:
        """An override that is not over, the first by name of its member; None when there is none."""
        return next((w for w in self.words if w.stance is not Stance.ENDED), None)

    def shields(self, member: str) -> bool:
        """Whether that member was ordered to run, and nobody may vote it out."""
        known = self._known.get(member)
        return known is not None and known.stance is Stance.ON

    def held(self, qm: str) -> bool:
        """Whether a queue manager is another member's by an override: it is given to nobody, and not started here."""
        return any(w.stance is not Stance.ENDED and w.member != self._me and w.covers(qm) for w in self.words)

    def placed(self, qm: str) -> bool:
        """Whether it is any member's by an override, this one's included: the coordinator leaves it alone."""
        return any(w.stance is not Stance.ENDED and w.covers(qm) for w in self.words)

    def aware(self, member: str, said: Iterable[Word]) -> bool:
        """Whether another member, by what it says, knows of every override in force that is not its own."""
        theirs = {word.member: word for word in said}
        for word in self.words:
            if word.stance is Stance.ENDED or word.member == member:
                continue
            other = theirs.get(word.member)
            if other is None or other.number < word.number:
                return False
        return True

    def floor(self, qm: str) -> int:
        """The largest epoch used for it under any override: its storage may refuse a smaller one."""
        return max((word.floor for word in self.words if word.covers(qm)), default=0)

    def raised(self, kept: Kept[Assignment]) -> Kept[Assignment]:
        """The assignment as the next one must follow on it: above every epoch used under an override."""
        floor = self.floor(kept.record.qm)
        if floor <= kept.record.epoch:
            return kept
        return Kept(structs.replace(kept.record, epoch=floor), kept.revision)


__all__ = ["Overrides"]
