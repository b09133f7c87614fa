"""How many queue managers one member starts at one moment; the others come after them, also when some of them hang."""

from standfast.model.cluster import Policy
from standfast.quorum import signals as sig
from standfast.sim.world import NS_PER_S
from tests.quorum.play import TERM_S, Play

TWO = Policy(starts_at_once=2)


def begun(play: Play) -> list[float]:
    """When each process began on b."""
    return sorted(play.said(" begins under epoch 2"))


def test_a_member_starts_so_many_at_once_and_the_others_as_soon_as_one_serves():
    play = Play("starts_at_once", queue_managers=5, policy=TWO).settled().die("a").wait(3 * TERM_S)
    at = begun(play)
    start_s = 0.05
    assert len(at) == 5
    assert [at[n + 2] - at[n] >= start_s for n in range(3)] == [True] * 3
    assert at[4] - at[0] < 2.5 * start_s
    play.ends()


def test_starts_that_hang_keep_the_others_waiting_for_a_while_only():
    play = Play("-", queue_managers=3, policy=TWO, start_timeout_s=60.0).settled()
    play.machine("b").warden.manners.ready_ns = (50 * NS_PER_S,) * 2
    play.die("a").wait(5)
    assert len(begun(play)) == 2
    play.wait(8)
    assert len(begun(play)) == 3


def test_the_version_that_runs_is_in_the_store_and_told_when_it_is_another_one():
    play = Play("-").settled()
    for version, told in (("2.1", 1), ("2.1", 1), ("2.2", 2)):
        play.machine("a").take(sig.Versioned("q0", 1, version))
        play.wait(TERM_S / 2)
        assert play.assignments["q0"].version == version
        assert len(play.said("qm_version q0")) == told
    play.die("a").wait(3 * TERM_S)
    assert (play.owner(), play.assignments["q0"].version) == ("b", "2.2")
    play.machine("b").take(sig.Versioned("q0", 1, "1.0"))  # of another life
    play.wait(TERM_S / 2)
    assert play.assignments["q0"].version == "2.2"
