"""Where clients are led: to whom owns, past the start guard, and to nobody who has asked for the release."""

import pytest

from standfast.endpoints.vip import Vip
from standfast.member.presence import leads
from standfast.model.cluster import QueueManagerSpec, StorageSpec
from standfast.model.records import Assignment, Phase
from standfast.model.view import Kept
from standfast.quorum.runs import Run, RunState, StopReason

SPEC = QueueManagerSpec(name="q", kind="nats", port=1, storage=StorageSpec(path="/q"))


def kept(phase: Phase, epoch: int = 5, revision: int = 10) -> Kept[Assignment]:
    return Kept(Assignment(qm="q", epoch=epoch, owner="a", incarnation=1, phase=phase), revision)


def run(state: RunState = RunState.IDLE, reason: StopReason = StopReason.NONE) -> Run:
    made = Run(SPEC, kept(Phase.RUNNING).record, 0)
    made.enter(state, 0)
    made.stop_reason = reason
    return made


AWAY = {StopReason.LEASE, StopReason.TOLD_TO_GO, StopReason.NOT_OWNER}


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_stop_that_others_wait_for_sends_clients_away_first_and_another_one_last(reason):
    assert leads(run(RunState.STOPPING, reason), kept(Phase.RUNNING)) is (reason not in AWAY)


@pytest.mark.parametrize("state", [RunState.LAUNCHING, RunState.SERVING])
def test_what_runs_here_has_its_clients_here(state):
    assert leads(run(state), kept(Phase.STARTING))


@pytest.mark.parametrize("phase", list(Phase))
def test_what_is_started_again_keeps_them_and_what_was_never_started_has_none(phase):
    assert leads(run(), kept(phase)) is (phase in (Phase.STARTING, Phase.RUNNING))


def test_who_has_asked_for_the_release_leads_nobody_here_whatever_became_of_it():
    released = run()
    released.asked_revision = 10
    assert not leads(released, kept(Phase.RUNNING, revision=10))
    assert leads(released, kept(Phase.RUNNING, revision=11))


def test_what_is_another_epochs_or_failed_here_leads_nobody_here():
    assert not leads(run(), kept(Phase.RUNNING, epoch=6))
    assert not leads(run(), None)
    failed = run()
    failed.failed = "exit_1"
    assert not leads(failed, kept(Phase.RUNNING))


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ({"address": "10.0.0.100"}, True),
        ({"address": "fd77::100", "interface": "eth0"}, True),
        ({}, False),
        ({"address": "10.0.0.100/24"}, False),
        ({"address": "vip.example.com"}, False),
        ({"address": "0.0.0.0"}, False),
        ({"address": "127.0.0.1"}, False),
        ({"address": "224.0.0.1"}, False),
        ({"address": "fe80::1"}, False),
        ({"address": 7}, False),
        ({"address": "10.0.0.100", "interface": "../etc"}, False),
        ({"address": "10.0.0.100", "netmask": 24}, False),
    ],
)
def test_what_a_virtual_ip_may_be(options, good):
    assert (Vip().problems(options) == []) is good
