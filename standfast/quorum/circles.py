"""Circles: sets of members that all hear each other in both directions, and that nobody could be added to.

Exact up to EXACT_UP_TO members, of whom there are then at most 3 ** (15 / 3) = 243 circles (the bound of Moon and
Moser); the search is that of Bron and Kerbosch. With more members only one circle is grown from each: begun with that
member, the others added in the given order when they hear all that are in it. It may then miss the largest one, which
costs a member that could have stayed, never safety.
"""

from collections.abc import Iterator, Mapping, Sequence

EXACT_UP_TO = 15


def circles(names: Sequence[str], linked: Mapping[str, frozenset[str]]) -> frozenset[frozenset[str]]:
    """Every circle among `names`; `linked`: whom each hears and is heard by."""
    if len(names) > EXACT_UP_TO:
        return frozenset(_grown(name, names, linked) for name in names)
    return frozenset(_search(frozenset(), frozenset(names), frozenset(), linked))


def _search(
    inside: frozenset[str], open_to: frozenset[str], done: frozenset[str], linked: Mapping[str, frozenset[str]]
) -> Iterator[frozenset[str]]:
    """Circles that hold all of `inside`, some of `open_to` and none of `done`."""
    if not open_to and not done:
        yield inside
    for name in sorted(open_to):
        yield from _search(inside | {name}, open_to & linked[name], done & linked[name], linked)
        open_to, done = open_to - {name}, done | {name}


def _grown(first: str, names: Sequence[str], linked: Mapping[str, frozenset[str]]) -> frozenset[str]:
    circle = {first}
    for name in names:
        if name != first and linked[name] >= circle:
            circle.add(name)
    return frozenset(circle)
