"""Groups of queue managers: who must, or should, run on one member with whom, or on another, and where they are.

Guarantees: whoever gives a queue manager of a strict group to a member has looked at where the others of the group are,
and `guards` has the store refuse it when one of them, or the settings, changed since. So of a strict `apart` group no
two are ever given to one member, and a queue manager of a strict `together` group is given to no member but one where
others of it are, while there is one.

Does not guarantee: that what ran already when the groups were changed, what an override started, or what one half of a
group did not reach because a move failed half-way, is as the groups want it. That is told (`Untied`), and stays.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from standfast.model.choices import Tie
from standfast.model.cluster import QueueManagerSpec
from standfast.model.records import SETTINGS_KEY, Assignment, Guard, Phase, assignment_key
from standfast.model.view import Kept, View


class Untied(StrEnum):
    """In which way a group of a queue manager is not held; stands in its assignment once it was told."""

    NONE = ""
    APART = "apart"  # it runs where another one runs that it is to be apart from
    TOGETHER = "together"  # it runs elsewhere than another one that it is to be together with
    WAITS_APART = "waits_apart"  # it is down: whoever could run it runs one that it must be apart from
    WAITS_TOGETHER = "waits_together"  # it is down: it can not run where its group runs


class Groups(NamedTuple):
    """Names of queue managers by name of their group."""

    together: dict[str, list[str]]
    apart: dict[str, list[str]]


def _grouped(view: View) -> Groups:
    groups = Groups({}, {})
    for name in sorted(view.specs):
        spec = view.specs[name].record
        if spec.together and name in view.assignments:
            groups.together.setdefault(spec.together, []).append(name)
        if spec.apart and name in view.assignments:
            groups.apart.setdefault(spec.apart, []).append(name)
    return groups


class Ties:
    """Of one view. A member `gone` owns nothing; queue managers `lifted` are taken for placed nowhere."""

    __slots__ = ("_groups", "_home", "_there", "_view")

    def __init__(
        self, view: View, *, gone: str = "", groups: Groups | None = None, lifted: tuple[str, ...] = ()
    ) -> None:
        self._view = view
        self._groups = groups or _grouped(view)
        self._home: dict[str, str] = {}
        """Where each one of a group is, or will be when its move is done."""
        self._there: dict[str, tuple[str, ...]] = {}
        """Every member where each one of a group is or is about to be."""
        for name in {*chain(*self._groups.together.values(), *self._groups.apart.values())}.difference(lifted):
            a = view.assignments[name].record
            if a.owner is not None and a.owner != gone and not view.orphaned(a):
                self._home[name] = a.target or a.owner
                self._there[name] = (a.owner, a.target) if a.target else (a.owner,)

    def __bool__(self) -> bool:
        return any(self._groups)

    def lifted(self, names: tuple[str, ...]) -> "Ties":
        """The same, were these placed nowhere."""
        return Ties(self._view, groups=self._groups, lifted=names) if self else self

    def put(self, qm: str, member: str) -> None:
        """That queue manager is being given to that member."""
        if self:
            self._home[qm], self._there[qm] = member, (member,)

    # ------------------------------------------------------------ who

    def _spec(self, qm: str) -> QueueManagerSpec:
        return self._view.specs[qm].record

    def _peers(self, qm: str, group: str, groups: dict[str, list[str]]) -> list[str]:
        return [name for name in groups.get(group, ()) if name != qm] if group else []

    def mates(self, qm: str) -> list[str]:
        """Those that must be where it is, by name."""
        spec = self._spec(qm)
        return self._peers(qm, spec.together, self._groups.together) if spec.together_rule is Tie.STRICT else []

    def rivals(self, qm: str) -> list[str]:
        """Those that must not be where it is, by name."""
        spec = self._spec(qm)
        return self._peers(qm, spec.apart, self._groups.apart) if spec.apart_rule is Tie.STRICT else []

    def bound(self, qm: str) -> list[str]:
        """All that its place decides about."""
        return [*self.mates(qm), *self.rivals(qm)] if self else []

    def circle(self, qm: str) -> str:
        """The first by name of all whose places hang together with its own."""
        seen, ahead = {qm}, [qm]
        while ahead:
            fresh = [name for name in self.bound(ahead.pop()) if name not in seen]
            seen.update(fresh)
            ahead += fresh
        return min(seen)

    def wanted(self, qm: str) -> bool:
        """Whether it is to run."""
        return not self._spec(qm).halted

    def company(self, qm: str, owner: str) -> tuple[str, ...]:
        """It and those of its mates that this member owns: what moves as a whole, by name."""
        mates = (n for n in self.mates(qm) if n in self._there and self._there[n][0] == owner and self.wanted(n))
        return tuple(sorted({qm, *mates})) if self else (qm,)

    def whole(self, qm: str) -> tuple[str, ...]:
        """It and all of its mates that are to run, by name."""
        return tuple(sorted({qm, *filter(self.wanted, self.mates(qm))})) if self else (qm,)

    # ------------------------------------------------------------ where

    def down(self, qm: str) -> bool:
        """Whether it is to run, and is placed nowhere."""
        return qm not in self._home and self.wanted(qm)

    def apart(self, qm: str, member: str) -> bool:
        """Whether none is there that it must be apart from."""
        return not any(member in self._there.get(name, ()) for name in self.rivals(qm))

    def open_to(self, qm: str, member: str) -> bool:
        """Whether the strict groups let it be there."""
        if not self:
            return True
        homes = {self._home[name] for name in self.mates(qm) if name in self._home}
        return self.apart(qm, member) and (not homes or member in homes)

    def crowd(self, qm: str, member: str) -> int:
        """How many are there that it had better be apart from."""
        spec = self._spec(qm)
        return sum(member in self._there.get(n, ()) for n in self._peers(qm, spec.apart, self._groups.apart))

    def away(self, qm: str, member: str) -> int:
        """How many are elsewhere that it had better be together with."""
        spec = self._spec(qm)
        peers = self._peers(qm, spec.together, self._groups.together)
        return sum(self._home.get(name, member) != member for name in peers)

    def guards(self, qm: str, *, released_to: str | None = None) -> Iterator[Guard]:
        """What must not have changed when it is given to a member, or to none for the time being.

        The settings: every change of a group goes through them. `released_to`: its own move ends there, and so do those
        of its mates, any of which may arrive first. Else even a mate on its way is guarded: it may be called back.
        """
        settings = self._view.settings
        yield Guard(SETTINGS_KEY, settings.revision if settings is not None else 0)
        for name in self.bound(qm):
            kept = self._view.assignments[name]
            if released_to is None or kept.record.target != released_to:
                yield Guard(assignment_key(name), kept.revision)

    # ------------------------------------------------------------ what is not held

    def broken(self, qm: str) -> tuple[Untied, str]:
        """How a group of a queue manager that runs is not held, and by which other one; of two, the later by name."""
        spec, here = self._spec(qm), self._settled(qm)
        for name in self._peers(qm, spec.apart, self._groups.apart):
            if name < qm and here and self._settled(name) == here:
                return Untied.APART, name
        for name in self._peers(qm, spec.together, self._groups.together):
            if name < qm and here and self._settled(name) not in {"", here}:
                return Untied.TOGETHER, name
        return Untied.NONE, ""

    def _settled(self, qm: str) -> str:
        """Where it runs, if it runs and is not being moved; else empty."""
        a = self._view.assignments[qm].record
        at_rest = a.phase is Phase.RUNNING and a.target is None and qm in self._home
        return self._home[qm] if at_rest else ""

    def judged(self, qm: str) -> bool:
        """Whether there is something to say about it now: it runs and stays, or is of no group, or not to run."""
        spec = self._spec(qm)
        return spec.halted or not (spec.together or spec.apart) or bool(self._settled(qm))

    def told(self, qm: str) -> Kept[Assignment]:
        """Its assignment, with what was told last."""
        return self._view.assignments[qm]
