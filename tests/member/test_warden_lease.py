"""No process that the warden started lives past the lease, whatever the processes, the daemon or the warden suffer."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.member.warden_client import Warden, clear
from standfast.member.warden_protocol import Cause, Containment
from standfast.member.warden_reports import Exited, Launched, LeaseKill, LeaseStop, State, WardenGone
from standfast.ports import boottime_ns
from tests.member.warden_stage import GRACEFUL, MS, WHO, Stage, alive, parent_of, stage_for, until

DAEMON = "tests.member.warden_daemon"
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(params=WHO)
async def stage(request) -> AsyncIterator[Stage]:
    async with stage_for(request.param) as stage:
        yield stage


async def test_root_has_cgroups_and_nobody_does_without(stage: Stage):
    assert stage.warden.state.backstop
    if stage.who == "nobody":
        assert stage.warden.state.containment is Containment.GROUP


async def test_when_the_lease_ends_nothing_is_left_of_a_queue_manager_that_resists(stage: Stage):
    stage.lease(60_000)
    launched = await stage.launch_naughty("child", "detached")
    end_ns = stage.lease(500)
    exited = await stage.report(Exited)
    assert boottime_ns() < end_ns
    assert stage.living() == []
    assert stage.last_beat() < end_ns
    assert (exited.pid, exited.signal, exited.cause) == (launched.pid, signal.SIGKILL, Cause.LEASE)
    assert [type(report) for report in stage.seen] == [Launched, LeaseStop, LeaseKill, Exited]


async def test_a_graceful_queue_manager_is_asked_first_even_when_it_was_stopped(stage: Stage):
    stage.lease(60_000)
    stage.warden.launch(stage.order(script=GRACEFUL))
    launched = await stage.report(Launched)
    await until((stage.place("orders") / "up").exists)
    os.kill(launched.pid, signal.SIGSTOP)
    end_ns = stage.lease(2_000, stop_ms=1_900, kill_ms=100)
    exited = await stage.report(Exited)
    assert boottime_ns() < end_ns - 100 * MS
    assert (stage.place("orders") / "bye").exists()
    assert (exited.exit_code, exited.cause) == (0, Cause.LEASE)


async def test_a_renewed_lease_disturbs_nothing(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty()
    first_end_ns = stage.lease(400)
    while boottime_ns() < first_end_ns + 100 * MS:
        end_ns = stage.lease(400)
        await asyncio.sleep(0.05)
    await until(lambda: stage.warden.held_end_ns == end_ns)
    assert stage.living() == ["main"]
    assert [type(report) for report in stage.seen] == [Launched]


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_lease_is_kept_without_the_daemon(fate: signal.Signals):
    async with stage_for("myself", start=False) as stage:
        order = json.dumps(
            [str(stage.run), str(stage.root / "lease"), None, *stage.order(plan=("child", "detached")).argv]
        )
        daemon = await asyncio.create_subprocess_exec(sys.executable, "-m", DAEMON, order, cwd=CHECKOUT)
        try:
            await until(lambda: set(stage.living()) == {"main", "child", "detached"})
            daemon.send_signal(fate)
            await until(lambda: not stage.living())
            assert stage.last_beat() < int((stage.root / "lease").read_text())
        finally:
            with contextlib.suppress(ProcessLookupError):
                daemon.kill()
            await daemon.wait()


async def test_everything_dies_with_the_warden(stage: Stage):
    stage.lease(60_000)
    launched = await stage.launch_naughty("child", "detached")
    os.kill(stage.warden.state.pid, signal.SIGKILL)
    gone = await stage.report(WardenGone)
    exited = await stage.report(Exited)
    assert gone.running == ("orders",)
    assert (exited.pid, exited.cause) == (launched.pid, Cause.WARDEN_GONE)
    assert stage.living() == []


async def test_a_stopped_warden_is_woken_and_keeps_the_lease(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child", "detached")
    end_ns = stage.lease(400)
    while boottime_ns() < end_ns - 150 * MS:
        os.kill(stage.warden.state.pid, signal.SIGSTOP)
        await asyncio.sleep(0.02)
    await stage.report(Exited)
    assert stage.last_beat() < end_ns


async def test_a_signal_to_the_backstops_group_does_not_reach_the_warden(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child")
    os.killpg(parent_of(stage.warden.state.pid), signal.SIGSTOP)
    end_ns = stage.lease(300)
    await stage.report(Exited)
    assert stage.last_beat() < end_ns


async def test_the_client_ends_what_a_warden_killed_with_its_backstop_leaves(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child")
    backstop = parent_of(stage.warden.state.pid)
    os.kill(backstop, signal.SIGSTOP)  # so that it can do nothing between the two signals
    os.kill(stage.warden.state.pid, signal.SIGKILL)
    os.kill(backstop, signal.SIGKILL)
    await stage.report(WardenGone)
    await stage.report(Exited)
    assert stage.living() == []


async def test_the_main_process_dies_even_when_nobody_is_left_to_kill_it(stage: Stage):
    stage.lease(60_000)
    launched = await stage.launch_naughty()
    stage.warden.close()
    backstop = parent_of(stage.warden.state.pid)
    os.kill(backstop, signal.SIGSTOP)
    os.kill(stage.warden.state.pid, signal.SIGKILL)
    await until(lambda: not alive(launched.pid))
    os.kill(backstop, signal.SIGKILL)


async def test_the_loss_of_the_backstop_is_told_and_costs_nothing_else(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty()
    backstop = parent_of(stage.warden.state.pid)
    os.kill(backstop, signal.SIGKILL)
    assert not (await stage.report(State)).backstop
    assert stage.living() == ["main"]
    end_ns = stage.lease(300)
    await stage.report(Exited)
    assert stage.last_beat() < end_ns


async def test_an_end_is_reported_only_when_no_descendant_is_left(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child", "detached", "leave")
    exited = await stage.report(Exited)
    assert stage.living() == []
    assert (exited.exit_code, exited.cause) == (3, Cause.ITSELF)


async def test_killing_one_queue_manager_leaves_the_others_alone(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child", "detached", qm="one")
    detached = ("detached",) if stage.warden.state.containment is Containment.CGROUP else ()
    await stage.launch_naughty("child", *detached, qm="two")
    stage.warden.kill("one")
    exited = await stage.report(Exited)
    assert (exited.qm, exited.cause) == ("one", Cause.KILL)
    assert stage.living("one") == []
    assert stage.living("two") == ["main", "child", *detached]


async def test_a_former_life_is_found_and_ended(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child", "detached")
    stage.warden.close()
    ended = await clear(stage.run)
    assert (ended.warden, ended.queue_managers) == (stage.warden.state.pid, ("orders",))
    assert stage.living() == []
    assert not alive(stage.warden.state.pid)
    assert (await clear(stage.run)) == (None, ())


async def test_a_hung_former_warden_is_ended_too(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child")
    stage.warden.close()
    backstop = parent_of(stage.warden.state.pid)
    for pid in (backstop, stage.warden.state.pid):
        os.kill(pid, signal.SIGSTOP)
    await clear(stage.run)
    assert stage.living() == []
    assert not alive(stage.warden.state.pid)
    assert not alive(backstop)


async def test_a_restarted_daemon_finds_the_warden_and_all_it_runs(stage: Stage):
    stage.lease(60_000)
    launched = await stage.launch_naughty()
    stage.warden.close()
    stage.warden = await Warden.attach(stage.run, stage.reports.put_nowait)
    (charged,) = stage.warden.state.running
    assert (charged.qm, charged.epoch, charged.pid) == ("orders", 1, launched.pid)
    stage.warden.stop("orders")
    stage.warden.kill("orders")
    assert (await stage.report(Exited)).cause is Cause.KILL
