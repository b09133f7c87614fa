"""What counts against a queue manager, and what does not."""

import pytest

from standfast.model.cluster import QueueManagerSpec, StorageSpec
from standfast.model.records import Assignment
from standfast.quorum.runs import ENDED_BY_LEASE, NS_PER_S, Run, RunState, StopReason

SPEC = QueueManagerSpec(name="q", kind="nats", port=1, storage=StorageSpec(path="/q"), restart_limit=2)


def serving() -> Run:
    run = Run(SPEC, Assignment(qm="q", epoch=1), 0)
    run.enter(RunState.SERVING, 0)
    return run


@pytest.mark.parametrize(
    ("code", "asked", "blamed"),
    [
        ("signal_9", StopReason.NONE, True),
        ("exit_0", StopReason.MOVING, False),
        ("signal_9", StopReason.UNRESPONSIVE, True),
        # The warden stopped it at the lease's end while the daemon hung: it was counted as a crash.
        (ENDED_BY_LEASE, StopReason.NONE, False),
    ],
)
def test_only_an_end_that_nobody_asked_for_counts(code: str, asked: StopReason, blamed: bool):
    run = serving()
    if asked:
        run.begin_stop(asked, 1, 1)
    run.ended(code, 2)
    assert bool(run.restarts_ns) is blamed


def test_restarts_are_immediate_then_slower_then_no_more():
    run = serving()
    pauses = []
    for crash_ns in (0, NS_PER_S, 2 * NS_PER_S):
        run.enter(RunState.SERVING, crash_ns)
        run.ended("exit_1", crash_ns)
        pauses.append(run.not_before_ns - crash_ns if not run.failed else None)
    assert pauses[0] == 0
    assert pauses[1] > 0
    assert pauses[2] is None
    assert run.failed == "exit_1"


def test_one_that_is_stopped_for_its_own_fault_is_given_up_for_that_and_not_for_how_it_ended():
    run = serving()
    for crash_ns in (0, NS_PER_S, 2 * NS_PER_S):
        run.enter(RunState.LAUNCHING, crash_ns)
        run.complaint = "start_timeout"
        run.begin_stop(StopReason.UNRESPONSIVE, crash_ns, 1)
        run.ended("exit_0", crash_ns)
    assert run.failed == "start_timeout"
    run.enter(RunState.SERVING, 3 * NS_PER_S)
    run.ended("exit_1", 3 * NS_PER_S)
    assert run.failed == "exit_1"


def test_old_restarts_are_forgotten():
    run = serving()
    window_ns = int(SPEC.restart_window_s * NS_PER_S)
    for crash_ns in (0, window_ns, 2 * window_ns, 3 * window_ns):
        run.enter(RunState.SERVING, crash_ns)
        run.ended("exit_1", crash_ns)
    assert not run.failed
