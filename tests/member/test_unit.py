"""A unit of (a stand-in for) systemd under the warden: its processes are no children of ours, and end all the same."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from standfast.managers.systemd import Systemd
from standfast.managers.unit_child import EXIT_NOT_OURS, cgroup_of
from standfast.member.minder import EXIT_OUTSIDE_ENDED
from standfast.member.processes import Cgroup, cgroup_at
from standfast.member.warden_protocol import Cause
from standfast.member.warden_reports import Exited, Launched, LaunchOrder, TendedOrder, WardenGone
from standfast.ports import STATUS_FILE, Place, boottime_ns
from tests.member.warden_stage import NAUGHTY, Stage, parent_of, stage_for, until
from tests.standins.running import StandIn, stand_in

ALL = ("child", "detached", "main")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with stage_for("myself") as stage:
        stage.lease(60_000)
        yield stage


@pytest.fixture
def busy() -> Iterator[StandIn]:
    """A process 1 that has no time for starts, as long as its file `hold` is there."""
    made = StandIn()
    (made.base / "hold").touch()
    yield made
    made.close()


def unit_of(stage: Stage) -> str:
    return f"{stage.root.name}.service"


def order(stage: Stage, pid1: StandIn | None = None, *settings: str) -> LaunchOrder:
    """A launch of a unit that resists: it ignores SIGTERM, and its grandchild has left its session."""
    pid1, place = pid1 or stand_in(), stage.place("orders")
    script = stage.root / "naughty.py"
    script.write_text(NAUGHTY)
    pid1.write(unit_of(stage), f"{sys.executable} -IS {script} {place} child detached", *settings)
    options = {"unit": unit_of(stage), "systemctl": str(pid1.systemctl), "runtime_units": str(pid1.runtime)}
    where = Place(name="orders", data_dir=place, run_dir=place, address="127.0.42.1", port=1, options=options)
    assert Systemd().problems(where) == []
    launch = Systemd().launch(where)
    how = TendedOrder(how=launch.tended, stop_s=10, hurry_s=1, status_file=str(place / STATUS_FILE))
    return stage.order(argv=launch.argv, tended=how)


async def running(stage: Stage, *settings: str) -> Launched:
    stage.warden.launch(order(stage, None, *settings))
    launched = await stage.report(Launched)
    await until(lambda: sorted(stage.living()) == list(ALL))
    return launched


async def test_a_unit_ends_with_the_lease(stage: Stage):
    launched = await running(stage)
    box = Cgroup(cgroup_at(cgroup_of(unit_of(stage))))
    assert {stage.beat(name)[0] for name in ALL} <= set(box.pids())
    assert all(parent_of(stage.beat(name)[0]) != launched.pid for name in ALL)
    end_ns = stage.lease(600)
    exited = await stage.report(Exited)
    assert exited.cause is Cause.LEASE
    assert boottime_ns() < end_ns
    assert stage.living() == []
    assert not box.populated()


async def test_a_start_that_is_under_way_in_process_1_starts_nothing_after_the_kill(stage: Stage, busy: StandIn):
    stage.warden.launch(order(stage, busy))
    await stage.report(Launched)
    permit = stage.place("orders") / "unit-permit"
    await until(permit.exists)
    await until(busy.jobs)
    stage.warden.kill("orders")
    await stage.report(Exited)
    assert not permit.exists()
    (busy.base / "hold").unlink()
    await until(lambda: not busy.jobs())
    await asyncio.sleep(0.3)
    assert busy.ask("is-active", unit_of(stage)) == "inactive"
    assert stage.beat("main") is None


async def test_a_unit_ends_with_the_warden(stage: Stage):
    await running(stage)
    os.kill(stage.warden.state.pid, signal.SIGKILL)
    await stage.report(WardenGone)
    await stage.report(Exited)
    assert stage.living() == []


async def test_the_next_start_ends_a_unit_that_a_warden_killed_with_its_backstop_left(stage: Stage):
    await running(stage)
    backstop = parent_of(stage.warden.state.pid)
    os.kill(backstop, signal.SIGSTOP)  # so that it can do nothing between the two signals
    os.kill(stage.warden.state.pid, signal.SIGKILL)
    os.kill(backstop, signal.SIGKILL)
    await stage.report(WardenGone)
    await stage.report(Exited)
    assert stage.living() == []


async def test_a_unit_that_dies_is_not_restarted_by_systemd_but_reported(stage: Stage):
    await running(stage, "Restart=always")
    await until(lambda: stage.observed().code == 0)
    os.kill(stage.beat("main")[0], signal.SIGKILL)
    assert (await stage.report(Exited)).exit_code == EXIT_OUTSIDE_ENDED
    await asyncio.sleep(0.2)
    assert stage.living() == []


async def test_a_unit_that_runs_already_is_not_taken_for_ours(stage: Stage):
    wanted = order(stage, None, "TimeoutStopSec=0.2")
    stand_in().ask("start", unit_of(stage))
    stage.warden.launch(wanted)
    assert (await stage.report(Exited)).exit_code == EXIT_NOT_OURS
    assert sorted(stage.living()) == list(ALL)
    stand_in().ask("stop", unit_of(stage))
    await until(lambda: stage.living() == [])


@pytest.mark.parametrize("setting", ["Slice=system.slice", "Restart=always"])
async def test_a_unit_that_will_not_obey_the_lease_is_not_started(stage: Stage, setting: str):
    wanted = order(stage)
    stronger = stand_in().runtime / f"{unit_of(stage)}.d" / "99-local.conf"
    stronger.parent.mkdir()
    stronger.write_text(f"[Service]\n{setting}\n")
    stage.warden.launch(wanted)
    assert (await stage.report(Exited)).exit_code == EXIT_NOT_OURS
    assert stage.beat("main") is None


async def test_a_clean_stop_of_a_unit_is_systemds(stage: Stage):
    await running(stage, "TimeoutStopSec=0.2")
    stage.warden.stop("orders")
    exited = await stage.report(Exited)
    assert (exited.exit_code, exited.cause) == (0, Cause.STOP)
    assert stage.living() == []


def test_the_drop_in_is_where_systemd_looks_for_it(tmp_path: Path):
    assert cgroup_of("a@b.service") == "/standfast.slice/a@b.service"
