"""May this member be stopped? Tables of situations and what they cost."""

import pytest

from standfast.quorum.can_stop import Cost, Reason, Situation, can_stop, weak_points


def seen(
    members: str, up: str, able: dict[str, str] | None = None, owners=None, *, frozen=False, stores: str | None = None
) -> Situation:
    return Situation(
        members=tuple(members),
        up=frozenset(up),
        stores=None if stores is None else frozenset(stores),
        able={qm: frozenset(names) for qm, names in (able or {}).items()},
        owners=owners or {},
        frozen=frozen,
    )


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
