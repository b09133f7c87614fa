"""What the coordinator does about itself."""

import pytest

from standfast.model.cluster import Role
from standfast.model.messages import Heartbeat
from standfast.model.records import MemberRecord, MemberState
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum.calm import Calm
from standfast.quorum.coordinator import Coordinator
from standfast.quorum.grants import Grants
from standfast.quorum.hearing import Hearing
from standfast.quorum.link_news import LinkNews
from standfast.quorum.overrides import Overrides
from standfast.quorum.rules import Rules
from standfast.quorum.settlement import Settlement
from standfast.quorum.words import Words
from standfast.sim.draws import cluster_of

TIMING = PROFILES["fast"]
CLUSTER = cluster_of(3, TIMING)


def view_of(states: dict[str, MemberState]) -> View:
    return View().merged(
        10,
        [
            (f"members/{name}", MemberRecord(name=name, role=Role.DATA, incarnation=1, identity=name, state=state), 5)
            for name, state in states.items()
        ],
    )


def coordinator_w(now_ns: int) -> Coordinator:
    """W, the first in rank, which hears both others."""
    rules = Rules(CLUSTER)
    hearing = Hearing("w", rules, 0)
    for name in "ab":
        everyone = 0b111
        hearing.heard(Heartbeat(name, 1, 1, 1, 0, TIMING.term_ns, everyone, 5, able=True, leased=True), now_ns)
    overrides = Overrides("w")
    return Coordinator(
        "w",
        rules,
        hearing,
        Grants(0, TIMING.term_ns, overrides),
        words=Words("w", rules, hearing),
        settlement=Settlement("w", rules, hearing),
        overrides=overrides,
        calm=Calm(rules),
        link_news=LinkNews("w", rules, hearing),
    )


@pytest.mark.parametrize("state", list(MemberState))
def test_a_doubt_about_the_coordinator_is_ended_by_itself(state: MemberState):
    """Found by the first demonstration: a witness that came back in time stayed in doubt for ever, for the
    coordinator judged all but itself, and nobody else was the coordinator.
    """
    view = view_of({"a": MemberState.ONLINE, "b": MemberState.ONLINE, "w": state})
    steps = coordinator_w(1).decide(view, {}, 1)
    written = {put.record.state for step in steps for put in step.transaction.puts if put.key == "members/w"}
    assert written == ({MemberState.ONLINE} if state is MemberState.IN_DOUBT else set())


@pytest.mark.parametrize(("later_ns", "doubted"), [(1, False), (2 * TIMING.in_doubt_ns, True)])
def test_a_member_that_has_just_joined_is_not_doubted_for_its_last_heartbeat_before(later_ns: int, doubted: bool):
    """Found by the first demonstration: the record of a new incarnation was read before its first heartbeat came,
    and the member that had just come back was put in doubt at once.
    """
    coordinator = coordinator_w(1)
    joined = View().merged(
        10,
        [
            (
                "members/a",
                MemberRecord(name="a", role=Role.DATA, incarnation=2, identity="a", state=MemberState.ONLINE),
                9,
            )
        ],
    )
    list(coordinator.decide(joined, {}, 1))
    for name in "ab":
        beat = Heartbeat(name, 1, 1, 2, 0, TIMING.term_ns, 0b111, 5, able=True, leased=True)
        coordinator._hearing.heard(beat, later_ns)
    tags = {step.tag for step in coordinator.decide(joined, {}, later_ns)}
    assert ("doubt:a" in tags) is doubted


def test_a_drained_member_coordinates_only_when_nobody_else_can():
    coordinator = coordinator_w(1)
    assert coordinator.leading(1, able=True) == "w"
    coordinator._rules.drained = ("w",)
    assert coordinator.leading(1, able=True) == "a"
    coordinator._rules.drained = ("w", "a", "b")
    assert coordinator.leading(1, able=True) == "w"
