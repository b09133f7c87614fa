"""The rules that groups of queue managers, together or apart, must keep so that all of them can be held."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from standfast.clusterfile.places import Fault, Path, Problem
from standfast.clusterfile.words import name
from standfast.model.choices import Tie
from standfast.model.cluster import Cluster, QueueManagerSpec, Role

KINDS = ("together", "apart")
MOST_TOGETHER = 30
"""Queue managers that move in one transaction of the store."""
ALIKE = ("preferred", "failback", "failback_after_s", "failback_window")
"""What those that stay together have in common: they can not be on two members that each prefers."""
MOST_TRIES = 10_000


class Grouped(NamedTuple):
    """One queue manager of a group, and where it stands in the file."""

    number: int
    spec: QueueManagerSpec


Group = list[Grouped]


def problems(cluster: Cluster) -> Iterator[Problem]:
    """Everything that is wrong with them."""
    found = [problem for kind in KINDS for problem in _of_kind(cluster, kind)]
    found += _contradictions(cluster)
    yield from found or _too_few_members(cluster)


def warnings(cluster: Cluster) -> Iterator[Problem]:
    """Groups of one: mostly a slip in the name."""
    for kind in KINDS:
        for group, held in _groups(cluster, kind).items():
            if len(held) == 1:
                yield Problem(
                    Fault.LONELY_GROUP,
                    _path(held[0], kind),
                    f"{kind} = {group!r} holds {held[0].spec.name} alone: name the group alike at the others.",
                )


def _path(one: Grouped, key: str) -> Path:
    return ("queue_manager", one.number, key)


def _groups(cluster: Cluster, kind: str) -> dict[str, Group]:
    groups: dict[str, Group] = defaultdict(list)
    for number, spec in enumerate(cluster.queue_managers):
        if getattr(spec, kind):
            groups[getattr(spec, kind)].append(Grouped(number, spec))
    return groups


def _of_kind(cluster: Cluster, kind: str) -> Iterator[Problem]:
    """Names of groups, and what all of a group must have in common."""
    for number, spec in enumerate(cluster.queue_managers):
        path: Path = ("queue_manager", number, kind)
        if getattr(spec, kind):
            yield from name(path, getattr(spec, kind))
        elif getattr(spec, f"{kind}_rule") is not Tie.STRICT:
            yield Problem(Fault.MISSING, path, f'{kind}_rule is of no group: add {kind} = "NAME", or leave it out.')
    for group, held in _groups(cluster, kind).items():
        keys = (f"{kind}_rule", *(ALIKE if kind == "together" and _strict(held, kind) else ()))
        for key in keys:
            yield from _unlike(group, held, kind, key)
        if kind == "together" and len(held) > MOST_TOGETHER:
            yield Problem(
                Fault.BAD_VALUE,
                _path(held[MOST_TOGETHER], kind),
                f"together = {group!r} holds {len(held)} queue managers: {MOST_TOGETHER} move at once at most. "
                "Make several groups of them.",
            )


def _strict(held: Group, kind: str) -> bool:
    return all(getattr(one.spec, f"{kind}_rule") is Tie.STRICT for one in held)


def _unlike(group: str, held: Group, kind: str, key: str) -> Iterator[Problem]:
    first = held[0].spec
    for one in held[1:]:
        if getattr(one.spec, key) != getattr(first, key):
            yield Problem(
                Fault.CONTRADICTION,
                _path(one, key),
                f"{key} differs from that of {first.name}, and both are in the group {kind} = {group!r}: "
                "write the same at all of it.",
            )


def _contradictions(cluster: Cluster) -> Iterator[Problem]:
    """No two are to be together and apart."""
    data = sum(member.role is Role.DATA for member in cluster.members)
    for group, held in _groups(cluster, "apart").items():
        seen: dict[str, str] = {}
        for one in held:
            other = seen.setdefault(one.spec.together, one.spec.name) if one.spec.together else ""
            if other and other != one.spec.name:
                yield Problem(
                    Fault.CONTRADICTION,
                    _path(one, "apart"),
                    f"{one.spec.name} and {other} are to be apart ({group!r}) and together "
                    f"({one.spec.together!r}): leave one of the two out.",
                )
        if _strict(held, "apart") and len(held) > data:
            yield Problem(
                Fault.CONTRADICTION,
                _path(held[data], "apart"),
                f"apart = {group!r} holds {len(held)} queue managers, and only {data} members run any: not all of them "
                'could run. Add data members, make the group smaller, or write apart_rule = "preferred" at all of it.',
            )


def _too_few_members(cluster: Cluster) -> Iterator[Problem]:
    """Groups that could each be held, but not all of them at once: what is together counts as one."""
    blocks = [one.spec.together if _bound(one.spec) else one.spec.name for one in _all(cluster)]
    foes: dict[str, set[str]] = defaultdict(set)
    for held in _groups(cluster, "apart").values():
        if _strict(held, "apart"):
            mine = {blocks[one.number] for one in held}
            for block in mine:
                foes[block] |= mine - {block}
    data = sum(member.role is Role.DATA for member in cluster.members)
    if foes and not _spread(sorted(foes, key=lambda block: -len(foes[block])), foes, data):
        first = next(one for one in _all(cluster) if one.spec.apart)
        yield Problem(
            Fault.CONTRADICTION,
            _path(first, "apart"),
            f"all strict groups together need more than {data} data members, though each of them alone does not: "
            'add data members, or write apart_rule = "preferred" at one of the groups.',
        )


def _all(cluster: Cluster) -> list[Grouped]:
    return [Grouped(number, spec) for number, spec in enumerate(cluster.queue_managers)]


def _bound(spec: QueueManagerSpec) -> bool:
    return bool(spec.together) and spec.together_rule is Tie.STRICT


def _spread(order: list[str], foes: dict[str, set[str]], members: int) -> bool:
    """Whether the blocks fit on so many members; where that takes too long to see, it is taken for granted."""
    at: dict[str, int] = {}
    tries = 0

    def fits(place: int) -> bool:
        nonlocal tries
        tries += 1
        if place == len(order) or tries > MOST_TRIES:
            return True
        block = order[place]
        for member in range(min(members, place + 1)):  # a new member is as good as any other
            if all(at.get(foe) != member for foe in foes[block]):
                at[block] = member
                if fits(place + 1):
                    return True
                del at[block]
        return False

    return fits(0)
