"""Next hops: judged steadily, a reason to hand over while another has its own, never a reason to move everything."""

import pytest
from msgspec import structs

from standfast.model.cluster import Policy, QueueManagerSpec, StorageSpec
from standfast.model.messages import Hop
from standfast.model.records import Assignment
from standfast.model.timing import NS_PER_MS
from standfast.model.view import Kept, View
from standfast.quorum import signals as sig
from standfast.quorum.hop_judge import MOST_DOUBLINGS, HopJudge
from standfast.quorum.placement import Candidate, place
from standfast.quorum.ties import Ties
from tests.quorum.play import TERM_S, Play

MISSED, FOUND = 3, 5
QUICK = Policy(hop_interval_ms=100, hop_missed=2, hop_found=4)
HOPS = ("10.0.0.254",)


def judged(judge: HopJudge, rounds: str) -> Hop:
    """`+` is a round with an answer, `-` one without."""
    for one in rounds:
        judge.round(MISSED, FOUND, answered=one == "+")
    return judge.state


# ------------------------------------------------------------ the judge


@pytest.mark.parametrize(
    ("rounds", "state"),
    [
        ("", Hop.UNKNOWN),
        ("+", Hop.FOUND),
        ("--", Hop.UNKNOWN),
        ("---", Hop.LOST),
        ("+--", Hop.FOUND),
        ("+--+--+--", Hop.FOUND),
        ("+---", Hop.LOST),
        ("+---+-+-+-+-+-", Hop.LOST),
        ("+---+++", Hop.RETURNING),
        ("+---++++", Hop.RETURNING),
        ("+---+++++", Hop.FOUND),
        ("+---++++-+++++", Hop.FOUND),
        ("+---++++---", Hop.LOST),
    ],
)
def test_a_hop_is_lost_and_found_steadily(rounds, state):
    assert judged(HopJudge(), rounds) is state


def test_one_that_is_lost_again_and_again_must_answer_for_longer_each_time():
    judge, needed = HopJudge(), []
    judged(judge, "+")
    for _ in range(MOST_DOUBLINGS + 3):
        judged(judge, "-" * MISSED)
        count = 0
        while judge.state is not Hop.FOUND:
            judged(judge, "+")
            count += 1
        needed.append(count)
    assert needed == [FOUND << min(n, MOST_DOUBLINGS) for n in range(MOST_DOUBLINGS + 3)]


# ------------------------------------------------------------ who is chosen

SPEC = QueueManagerSpec(name="q", kind="k", port=1, storage=StorageSpec(path="/q"), preferred=("a", "b"))


@pytest.mark.parametrize(
    ("a", "b", "chosen"),
    [
        (Hop.FOUND, Hop.FOUND, "a"),
        (Hop.NONE, Hop.FOUND, "a"),
        (Hop.LOST, Hop.FOUND, "b"),
        (Hop.RETURNING, Hop.FOUND, "b"),
        (Hop.LOST, Hop.RETURNING, "b"),
        (Hop.LOST, Hop.LOST, "a"),
        (Hop.UNKNOWN, Hop.UNKNOWN, "a"),
    ],
)
def test_a_member_without_its_hop_is_chosen_only_when_no_other_has_one(a, b, chosen):
    among = {"a": Candidate("a", (), hop=a), "b": Candidate("b", (), hop=b)}
    view = View(specs={"q": Kept(SPEC, 1)}, assignments={"q": Kept(Assignment(qm="q"), 1)})
    assert place(SPEC, among, Ties(view)).name == chosen


# ------------------------------------------------------------ who hands over


def play(name: str) -> Play:
    found = Play(name, policy=QUICK)
    members = tuple(structs.replace(m, hops=HOPS if m.name in "ab" else ()) for m in found.cluster.members)
    found.cluster = found.around.cluster = structs.replace(found.cluster, members=members)
    for machine in found.machines:
        machine.hop = Hop.FOUND if machine.name in "ab" else Hop.NONE
    return found.settled()


def hop(on: Play, state: Hop, *machines: str) -> None:
    on.act(f"the next hop of {' and '.join(machines)} is {state}")
    for i, name in enumerate(machines):
        on.world.after(i * 90 * NS_PER_MS, on.machine(name).next_hop, state, 1)


WAIT_S = 3 * 0.1 + 2 * TERM_S


def test_an_owner_that_lost_its_hop_hands_over_when_the_other_has_had_time_to_lose_its_own():
    found = play("hop_lost")
    hop(found, Hop.LOST, "a")
    found.wait(WAIT_S + 1)
    assert found.owner() == "b"
    (moved,) = found.said("qm_moving q0")
    assert WAIT_S <= moved <= WAIT_S + 0.2
    found.ends()


def test_when_all_lost_theirs_nothing_moves_and_nothing_when_all_have_them_back():
    found = play("gateway_lost")
    hop(found, Hop.LOST, "a", "b")
    found.wait(5)
    for state in (Hop.RETURNING, Hop.FOUND):
        hop(found, state, "b", "a")
        found.wait(0.2)
    found.wait(5)
    assert not found.said("revision")
    found.ends()


def test_the_move_is_given_up_when_the_target_loses_its_hop_too():
    found = play("hop_of_the_target_lost")
    found.draws.manners.stop_ns = (500 * NS_PER_MS,) * 2
    hop(found, Hop.LOST, "a")
    found.wait(WAIT_S + 0.15)
    assert found.said("qm_moving q0")
    hop(found, Hop.LOST, "b")
    found.wait(3)
    assert found.owner() == "a"
    assert found.said("qm_move_abandoned q0")
    found.ends()


def test_an_operator_is_refused_what_would_come_back_at_once():
    found = play("move_to_a_member_without_its_hop")
    hop(found, Hop.LOST, "b")
    found.wait(0.5).order(sig.Move("q0", "b")).wait(0.5)
    assert list(found.answers.values()) == [sig.Verdict.TARGET_WITHOUT_HOP]
    found.ends()
