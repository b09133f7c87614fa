"""Who goes when data members lost each other: each rung of the ladder by itself, circles against a naive twin."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from standfast.quorum.circles import EXACT_UP_TO, circles
from standfast.quorum.ladder import LADDER, Merits, Rung
from standfast.quorum.parting import part

WITNESS = "w"


def merits(name: str, **better: int) -> Merits:
    data = name < "u"
    plain = {"able": data, "checks": data, "current": 2 * data, "runs": 0, "priority": 0}
    return Merits(name=name, data=data, **{**plain, **better})


def linked(names: str, *torn: str) -> dict[str, frozenset[str]]:
    lost = {frozenset(pair) for pair in torn}
    return {a: frozenset(b for b in names if b != a and frozenset((a, b)) not in lost) for a in names}


def gone(parting) -> dict[str, Rung]:
    return {} if parting is None else {loss.name: loss.by for loss in parting.losses}


def judged(names: str, *torn: str, **better: Merits) -> dict[str, Rung]:
    found = {name: better.get(name, merits(name)) for name in names}
    return gone(part(found, linked(names, *torn), len(names) // 2 + 1))


# ------------------------------------------------------------ the ladder


@pytest.mark.parametrize(
    ("a", "b", "goes", "by"),
    [
        (merits("a"), merits("b"), "b", Rung.NAME),
        (merits("a"), merits("b", priority=1), "a", Rung.PRIORITY),
        (merits("a", priority=9), merits("b", runs=1), "a", Rung.RUNS),
        (merits("a", runs=2), merits("b", runs=1), "b", Rung.RUNS),
        (merits("a", runs=9, current=1), merits("b"), "a", Rung.DATA),
        (merits("a", current=9, checks=False), merits("b"), "a", Rung.CHECKS),
    ],
    ids=["name", "priority", "runs", "runs more", "data", "checks"],
)
def test_of_two_the_first_rung_that_differs_decides(a, b, goes, by):
    assert judged("abw", "ab", a=a, b=b) == {goes: by}


def test_every_rung_is_in_the_ladder_beside_the_condition_and_the_name():
    assert [rung for rung, _ in LADDER] == [rung for rung in Rung if rung not in {Rung.MAJORITY, Rung.NAME}]


def test_one_direction_that_is_torn_is_enough_to_part_and_a_whole_link_is_not():
    assert judged("abw") == {}
    assert judged("abcvw", "ab") != {}


# ------------------------------------------------------------ circles


def test_the_larger_circle_stays_though_the_other_runs_everything():
    assert judged("abcvw", "ab", "ac", a=merits("a", runs=9)) == {"a": Rung.CIRCLE}


def test_of_equal_circles_the_sums_decide():
    torn = ("ac", "bc", "av", "bv")
    both = {"a": merits("a", current=1, runs=2), "b": merits("b", current=1, runs=2, checks=False)}
    assert judged("abcvw", *torn, **both, c=merits("c", runs=3)) == {"c": Rung.RUNS}
    assert judged("abcvw", *torn, **both, c=merits("c", runs=5)) == {"a": Rung.RUNS, "b": Rung.RUNS}


def test_without_a_circle_that_holds_a_majority_nobody_goes():
    assert judged("abcvw", "ab", "bc", "cv", "vw", "wa") == {}


def test_a_circle_that_could_run_nothing_sends_nobody_away():
    unable = {name: merits(name, able=False, checks=False) for name in "bc"}
    assert judged("abcvw", "ab", "ac", **unable) == {"b": Rung.CIRCLE, "c": Rung.CIRCLE}
    assert judged("abw", "ab", a=merits("a", able=False), b=merits("b", able=False)) == {}


def test_a_witness_never_goes_and_a_link_to_one_parts_nobody():
    assert judged("abw", "aw") == {}
    assert judged("abcvw", "aw", "bw", "vw") == {}


def test_who_is_outside_the_circle_for_a_witness_alone_stays():
    """d hears all data members, but lost both witnesses: nobody is harmed by it."""
    assert judged("abcdvwu", "ab", "dv", "dw", a=merits("a", runs=1)) == {"b": Rung.RUNS}


names_of = st.sampled_from(["abw", "abcvw", "abcduvw", "abcdeuvwx"])


@st.composite
def torn_clusters(draw):
    names = draw(names_of)
    torn = draw(st.sets(st.sampled_from([a + b for a, b in combinations(names, 2)])))
    found = {}
    for name in names:
        able = name < "u" and draw(st.booleans())
        checks = able and draw(st.booleans())
        found[name] = merits(name, runs=draw(st.integers(0, 2)), able=able, checks=checks)
    return names, linked(names, *torn), found


@given(torn_clusters())
def test_circles_are_exactly_the_sets_that_hear_each_other_and_could_not_be_larger(case):
    names, links, _ = case
    whole = [
        frozenset(some)
        for size in range(1, len(names) + 1)
        for some in combinations(names, size)
        if all(b in links[a] for a, b in combinations(some, 2))
    ]
    assert circles(tuple(names), links) == {one for one in whole if not any(one < other for other in whole)}


def test_with_very_many_members_every_member_is_still_in_a_circle():
    names = [f"m{i:02}" for i in range(EXACT_UP_TO + 2)]
    links = {name: frozenset(names) - {name, names[0]} for name in names[1:]} | {names[0]: frozenset()}
    found = circles(names, links)
    assert found == {frozenset(names[:1]), frozenset(names[1:])}


@given(torn_clusters())
def test_who_stays_is_a_majority_that_can_serve_and_whose_data_members_all_hear_each_other(case):
    names, links, found = case
    majority = len(names) // 2 + 1
    parting = part(found, links, majority)
    if parting is None:
        return
    leave = {loss.name for loss in parting.losses}
    data = [name for name in names if found[name].data and name not in leave]
    assert len(parting.circle) >= majority
    assert any(found[name].able for name in parting.circle)
    assert not leave & parting.circle
    assert all(found[name].data for name in leave)
    assert all(b in links[a] for a, b in combinations(data, 2))


@given(torn_clusters())
def test_who_went_by_priority_or_name_stays_when_it_runs_something(case):
    names, links, found = case
    equal = {name: structs.replace(one, checks=one.data, runs=0, able=one.data) for name, one in found.items()}
    parting = part(equal, links, len(names) // 2 + 1)
    if parting is None or parting.losses[0].by not in {Rung.PRIORITY, Rung.NAME}:
        return
    loser = parting.losses[0].name
    again = part({**equal, loser: structs.replace(equal[loser], runs=1)}, links, len(names) // 2 + 1)
    assert again is not None
    assert loser not in {loss.name for loss in again.losses}
