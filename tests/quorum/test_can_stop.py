"""May this member be stopped? Tables of situations and what they cost."""

import pytest

from standfast.quorum.can_stop import Cost, Count, Reason, Situation, can_stop, weak_points


def seen(
    members: str,
    up: str,
    able: dict[str, str] | None = None,
    owners=None,
    *,
    frozen=False,
    stores: str | None = None,
    hears: dict[str, str] | None = None,
) -> Situation:
    return Situation(
        members=tuple(members),
        up=frozenset(up),
        stores=None if stores is None else frozenset(stores),
        able={qm: frozenset(names) for qm, names in (able or {}).items()},
        owners=owners or {},
        frozen=frozen,
        hears={name: frozenset(heard) for name, heard in (hears or {}).items()},
    )


def torn(hears: dict[str, str]) -> Situation:
    return seen("abw", "abw", {"q": "ab"}, {"q": "a"}, hears=hears)


# two data members a, b; witnesses v, w, x
THREE = seen("abw", "abw", {"q": "ab"}, {"q": "a"})
FIVE = seen("abcvw", "abcvw", {"q": "abc"}, {"q": "a"})


@pytest.mark.parametrize(
    ("situation", "member", "costs"),
    [
        (THREE, "a", []),
        (THREE, "b", []),
        (THREE, "w", []),
        (FIVE, "a", []),
        (seen("abw", "ab", {"q": "ab"}), "a", [Cost.NO_MAJORITY]),
        (seen("abw", "ab", {"q": "ab"}), "w", []),  # it is down already
        (seen("abcvw", "abv", {"q": "ab"}), "v", [Cost.NO_MAJORITY]),
        (seen("abw", "abw", {"q": "a"}), "a", [Cost.NOWHERE_TO_RUN]),
        (seen("abw", "abw", {"q": "a"}), "b", []),
        (seen("abw", "abw", {"q": ""}), "a", []),  # it can run nowhere already: not the stop's doing
        (seen("abw", "abw", {"p": "a", "q": "ab", "r": "a"}), "a", [Cost.NOWHERE_TO_RUN] * 2),
        (seen("abw", "abw", {"q": "ab"}, {"q": "a"}, frozen=True), "a", [Cost.FROZEN]),
        (seen("abw", "abw", {"q": "ab"}, {"q": "a"}, frozen=True), "b", []),
        (seen("abw", "abw", {"q": "ab"}, stores="abw"), "a", []),
        (seen("abw", "abw", {"q": "ab"}, stores="bw"), "a", []),  # its etcd does not serve anyway
        (seen("abw", "abw", {"q": "ab"}, stores="bw"), "b", [Cost.NO_STORE]),
        (seen("abcvw", "abcvw", {"q": "ab"}, stores="abv"), "v", [Cost.NO_STORE]),
        # a and b lost each other: each is in touch by w alone
        (
            torn({"a": "aw", "b": "bw", "w": "abw"}),
            "w",
            [Cost.OUT_OF_TOUCH],
        ),
        (
            torn({"a": "abw", "b": "bw", "w": "abw"}),
            "w",
            [Cost.OUT_OF_TOUCH],
        ),
        (torn({"a": "aw", "b": "bw", "w": "abw"}), "a", []),
        (torn({"a": "ab", "b": "abw", "w": "bw"}), "a", []),
        (
            torn({"a": "ab", "b": "abw", "w": "bw"}),
            "b",
            [Cost.OUT_OF_TOUCH],
        ),
        # five, b torn from both witnesses: it could not take q over without c
        (seen("abcvw", "abcvw", {"q": "ab"}, {"q": "a"}, hears={"b": "abc"}), "a", [Cost.NOWHERE_TO_RUN]),
        (seen("abw", "a", {"q": "a"}), "b", [Cost.NO_MAJORITY]),  # no majority, with or without it
    ],
)
def test_what_a_stop_costs(situation, member, costs):
    safety = can_stop(situation, member)
    assert [reason.cost for reason in safety.reasons] == costs
    assert safety.safe is (not costs)
    assert safety.majority_kept is (Cost.NO_MAJORITY not in costs)
    assert safety.up is (member in situation.up)


@pytest.mark.parametrize(
    ("situation", "member", "survives"),
    [
        (THREE, "a", False),  # two of three are left: both are needed
        (FIVE, "w", True),
        (FIVE, "a", True),
        (seen("abcvw", "abcvw", {"q": "ab"}), "a", False),  # then only b could run q
        (seen("abcvw", "abcvw", {"q": "ab"}), "w", True),
    ],
)
def test_whether_a_further_loss_would_be_survived(situation, member, survives):
    safety = can_stop(situation, member)
    assert safety.survives_one_more is survives
    assert (not safety.further) is survives


def test_the_further_loss_names_the_member_that_must_not_be_lost_then():
    safety = can_stop(seen("abcvw", "abcvw", {"q": "ab"}), "a")
    assert safety.further == (Reason(Cost.NOWHERE_TO_RUN, "b", 0, 1),)


def test_a_healthy_cluster_has_no_weak_point():
    assert list(weak_points(THREE)) == []


def test_after_one_loss_every_member_of_three_is_a_weak_point():
    assert [r.subject for r in weak_points(seen("abw", "aw", {"q": "a"}))] == ["a", "w"]


def test_a_member_of_another_cluster_is_refused():
    with pytest.raises(KeyError):
        can_stop(THREE, "z")


def mixed(data: int, witnesses: int, up: str = "", **more) -> Situation:
    """All up (or `up`), every data member able to run q, which the first one does."""
    names, runners = "abcd"[:data] + "uvw"[:witnesses], "abcd"[:data]
    up = up or names
    ranked = tuple("uvw"[:witnesses] + runners)
    return Situation(
        members=tuple(names),
        up=frozenset(up),
        stores=frozenset(more.pop("stores", up)),
        able={"q": frozenset(runners) & frozenset(up)},
        owners={"q": runners[0]},
        rank=ranked,
        coordinator=next(name for name in ranked if name in up),
        store_leader=next(name for name in ranked if name in up),
        **more,
    )


@pytest.mark.parametrize(
    ("situation", "safe"),
    [
        # every mix whole: who may be stopped, and whose loss after that would cost something
        (mixed(2, 1), {"a": "bu", "b": "au", "u": "ab"}),
        (mixed(2, 3), {"a": "b", "b": "a", "u": "", "v": "", "w": ""}),
        (mixed(3, 2), {"a": "", "b": "", "c": "", "u": "", "v": ""}),
        (mixed(4, 1), {"a": "", "b": "", "c": "", "d": "", "u": ""}),
        # one down already
        (mixed(2, 3, "abuv"), {"a": "buv", "b": "auv", "u": "abv", "v": "abu", "w": ""}),
        (mixed(2, 3, "auvw"), {"a": None, "u": "avw", "b": "a"}),  # nobody else could run q
        (mixed(3, 2, "abcu"), {"a": "bcu", "u": "abc"}),
        (mixed(4, 1, "abcd"), {"a": "bcd", "u": ""}),
        # two down: the majority is just there
        (mixed(2, 3, "abu"), {"a": None, "b": None, "u": None, "v": "abu"}),
        (mixed(4, 1, "abu"), {"a": None, "u": None, "c": "abu"}),
        # votes are there, servers of the store are not
        (mixed(2, 3, stores="abu"), {"a": None, "u": None, "v": "abu"}),
        (mixed(3, 2, stores="abcu"), {"a": "bcu", "v": ""}),
        # four members, on the way from three to five or back: three are needed
        (mixed(3, 1), {"a": "bcu", "u": "abc"}),
        (mixed(2, 2, "abu"), {"a": None, "u": None, "v": "abu"}),
    ],
)
def test_every_mix_of_data_members_and_witnesses(situation, safe):
    for member, then in safe.items():
        safety = can_stop(situation, member)
        assert safety.safe is (then is not None), member
        if then is not None:
            assert {reason.subject for reason in safety.further} == set(then), member


def test_votes_store_and_coordination_without_a_witness_are_counted():
    safety = can_stop(mixed(2, 3, stores="abuv"), "u")
    assert (safety.votes, safety.stores) == (Count(4, 3, 5), Count(3, 3, 5))
    assert (safety.coordinates, safety.successor, safety.leads_store) == (True, "v", True)
    safety = can_stop(mixed(2, 1), "u")
    assert (safety.votes, safety.successor) == (Count(2, 2, 3), "a")
    assert not can_stop(mixed(2, 3), "v").coordinates


def grouped(owners: str, *, mates: str = "", rivals: str = "", able: dict[str, str] | None = None) -> Situation:
    """Queue managers p, q, r on these of the data members a, b, c; names of `mates`, and of `rivals`, are one group."""
    found = {qm: frozenset((able or {}).get(qm, "abc")) for qm in "pqr"}
    return Situation(
        members=tuple("abcuv"),
        up=frozenset("abcuv"),
        able=found,
        owners=dict(zip("pqr", owners, strict=True)),
        mates={qm: frozenset(mates) - {qm} for qm in mates},
        rivals={qm: frozenset(rivals) - {qm} for qm in rivals},
    )


@pytest.mark.parametrize(
    ("situation", "down"),
    [
        (grouped("abc"), ""),
        (grouped("abc", rivals="pqr"), "p"),  # whoever could run it runs one of its group
        (grouped("abb", rivals="pq"), ""),
        (grouped("abc", rivals="pq", able={"p": "ab"}), "p"),
        (grouped("aaa", mates="pqr"), ""),
        (grouped("aaa", mates="pqr", able={"p": "ab", "q": "ac"}), "q"),
        (grouped("aaa", mates="pq", able={"p": "abc", "q": "ac"}), ""),  # all of it goes to c
        (grouped("abb", mates="pq", able={"p": "ac"}), "p"),  # it would have to be on b
    ],
)
def test_a_stop_costs_what_strict_groups_keep_down(situation, down):
    safety = can_stop(situation, "a")
    assert [(r.cost, r.subject) for r in safety.reasons] == [(Cost.GROUP, qm) for qm in down]
