"""A queue manager that goes into the background: started, watched and stopped by commands, ended like any other."""

import asyncio
import contextlib
import json
import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from standfast.member.minder import EXIT_NOTHING_LEFT, EXIT_SAYS_STOPPED, EXIT_STOP_OVER
from standfast.member.minder_plan import Ladder, Stage
from standfast.member.warden_protocol import Cause
from standfast.member.warden_reports import Exited, Launched, LaunchOrder, TendedOrder
from standfast.ports import STATUS_FILE, StopStage, Tended, boottime_ns
from standfast.storage.directory import LOCK_FILE
from tests.member import warden_stage
from tests.member.test_warden_lease import CHECKOUT, DAEMON
from tests.member.warden_stage import MS, NAUGHTY, WHO, alive, stage_for, until

LEFT = 3
"""What NAUGHTY's main process ends with once its children beat: the exit code of a start command here."""
BACKGROUND = ("leave", "child", "detached")


@pytest.fixture(params=WHO)
async def stage(request) -> AsyncIterator[warden_stage.Stage]:
    async with stage_for(request.param) as stage:
        stage.lease(60_000)
        yield stage


def tending(stage: warden_stage.Stage, *, stop_s: float = 10.0, hurry_s: float = 1.0, **how) -> TendedOrder:
    how = {"started": (LEFT,), **how}
    status_file = str(stage.place("orders") / STATUS_FILE)
    return TendedOrder(how=Tended(**how), stop_s=stop_s, hurry_s=hurry_s, status_file=status_file)


def order(stage: warden_stage.Stage, plan: tuple[str, ...] = BACKGROUND, **how) -> LaunchOrder:
    return stage.order(plan=plan, script=how.pop("script", NAUGHTY), tended=tending(stage, **how))


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def opened(pid: int) -> list[str]:
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


async def in_background(stage: warden_stage.Stage, **how) -> Launched:
    stage.warden.launch(order(stage, **how))
    launched = await stage.report(Launched)
    await until(lambda: stage.beat("child") and stage.beat("detached"))
    return launched


async def test_all_that_a_start_command_leaves_behind_dies_with_the_lease(stage: warden_stage.Stage):
    launched = await in_background(stage)
    await asyncio.sleep(0.1)  # the start command has returned
    assert sorted(stage.living()) == ["child", "detached"]
    assert alive(launched.pid)
    end_ns = stage.lease(500)
    exited = await stage.report(Exited)
    assert exited.cause is Cause.LEASE
    assert stage.living() == []
    assert stage.last_beat() < end_ns


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_it_dies_with_the_lease_without_the_daemon(fate: signal.Signals):
    async with stage_for("myself", start=False) as stage:
        tended = msgspec.to_builtins(tending(stage))
        told = json.dumps([str(stage.run), str(stage.root / "lease"), tended, *order(stage).argv])
        daemon = await asyncio.create_subprocess_exec(sys.executable, "-m", DAEMON, told, cwd=CHECKOUT)
        try:
            await until(lambda: sorted(stage.living()) == ["child", "detached"])
            daemon.send_signal(fate)
            await until(lambda: not stage.living())
            assert stage.last_beat() < int((stage.root / "lease").read_text())
        finally:
            with contextlib.suppress(ProcessLookupError):
                daemon.kill()
            await daemon.wait()


@pytest.mark.parametrize("victim", ["warden", "minder"])
async def test_it_dies_with_its_warden_and_with_its_minder(stage: warden_stage.Stage, victim: str):
    launched = await in_background(stage)
    os.kill(stage.warden.state.pid if victim == "warden" else launched.pid, signal.SIGKILL)
    await stage.report(Exited)
    assert stage.living() == []


async def test_a_frozen_minder_is_killed_like_any_other(stage: warden_stage.Stage):
    launched = await in_background(stage)
    os.kill(launched.pid, signal.SIGSTOP)
    end_ns = stage.lease(400)
    await stage.report(Exited)
    assert stage.living() == []
    assert boottime_ns() < end_ns


async def test_what_it_leaves_holds_the_lock_and_its_other_commands_do_not(stage: warden_stage.Stage):
    listing = "ls -l /proc/self/fd; exit 0"
    await in_background(stage, status=shell(listing))
    assert any(path.endswith(LOCK_FILE) for path in opened(stage.beat("detached")[0]))
    await until(lambda: stage.observed().code == 0)
    assert "pipe" in stage.observed().output
    assert LOCK_FILE not in stage.observed().output


async def test_its_end_is_the_end_of_its_last_process(stage: warden_stage.Stage):
    await in_background(stage)
    await asyncio.sleep(0.1)
    os.kill(stage.beat("child")[0], signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert stage.living() == ["detached"]
    os.kill(stage.beat("detached")[0], signal.SIGKILL)
    exited = await stage.report(Exited)
    assert (exited.exit_code, exited.cause) == (128 + signal.SIGKILL, Cause.ITSELF)


async def test_the_end_of_one_in_the_foreground_is_its_own(stage: warden_stage.Stage):
    stage.warden.launch(order(stage, foreground=True, started=(), status=shell("exit 0")))
    exited = await stage.report(Exited)
    assert exited.exit_code == LEFT
    assert stage.living() == []


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (shell("exit 7"), 7),
        (("true",), EXIT_NOTHING_LEFT),  # it had something else started, which nobody here could end
        (("no-such-program",), 127),
    ],
)
async def test_a_start_that_has_failed_says_so(stage: warden_stage.Stage, argv: tuple[str, ...], code: int):
    stage.warden.launch(stage.order(argv=argv, tended=tending(stage, started=(0,))))
    assert (await stage.report(Exited)).exit_code == code


async def test_a_start_that_hangs_is_ended_with_the_lease(stage: warden_stage.Stage):
    stage.warden.launch(order(stage, plan=("child",)))  # its main process stays: a start command that does not return
    await stage.report(Launched)
    await until(lambda: stage.beat("main") and stage.beat("child"))
    end_ns = stage.lease(400)
    await stage.report(Exited)
    assert stage.living() == []
    assert boottime_ns() < end_ns


async def test_a_hanging_stop_goes_through_its_stages_and_then_all_is_killed(stage: warden_stage.Stage):
    stages = (
        StopStage(argv=shell("echo first >> stages; sleep 60"), share=0.3),
        StopStage(argv=shell("echo second >> stages; exit 1"), share=0.3),
        StopStage(signal=signal.SIGTERM, share=0.3),
    )
    await in_background(stage, stop_s=2.0, stop=stages)
    began_ns = boottime_ns()
    stage.warden.stop("orders")
    exited = await stage.report(Exited)
    took_ns = boottime_ns() - began_ns
    # 0.6 s for the one that hangs, none for the one that fails, 0.6 s for the signal that is ignored
    assert 1_150 * MS < took_ns < 1_950 * MS
    assert (exited.exit_code, exited.cause) == (EXIT_STOP_OVER, Cause.STOP)
    assert (stage.place("orders") / "stages").read_text().split() == ["first", "second"]
    assert stage.living() == []


async def test_a_stop_that_has_begun_is_hurried_when_the_lease_runs_out(stage: warden_stage.Stage):
    stages = (StopStage(argv=shell("sleep 60"), share=0.5), StopStage(argv=shell("touch last"), share=0.3))
    await in_background(stage, stop_s=60.0, hurry_s=0.4, stop=stages)
    stage.warden.stop("orders")
    end_ns = stage.lease(1_000, stop_ms=900, kill_ms=200)
    await stage.report(Exited)
    assert (stage.place("orders") / "last").exists()
    assert boottime_ns() < end_ns
    assert stage.living() == []


async def test_a_stop_command_that_works_ends_it_cleanly(stage: warden_stage.Stage):
    stages = (StopStage(argv=shell("kill -9 $(cut -d' ' -f1 child) $(cut -d' ' -f1 detached)"), share=0.9),)
    await in_background(stage, stop=stages)
    stage.warden.stop("orders")
    exited = await stage.report(Exited)
    assert (exited.exit_code, exited.cause) == (0, Cause.STOP)


async def test_one_that_says_it_stopped_but_left_children_is_over_and_they_are_killed(stage: warden_stage.Stage):
    status = shell("if [ -e crashed ]; then exit 4; else exit 0; fi")
    await in_background(stage, status=status, stopped=(4,), every_s=0.05)
    await until(lambda: stage.observed().code == 0)
    (stage.place("orders") / "crashed").touch()
    exited = await stage.report(Exited)
    assert (exited.exit_code, exited.cause) == (EXIT_SAYS_STOPPED, Cause.ITSELF)
    assert stage.living() == []


async def test_a_status_command_that_hangs_is_killed_and_counts_as_no_answer(stage: warden_stage.Stage):
    await in_background(stage, status=shell("echo $$ >asking; sleep 60"), deadline_s=0.1)
    await until(lambda: stage.observed().output)
    assert stage.observed().code is None
    first = int((stage.place("orders") / "asking").read_text())
    await until(lambda: not alive(first))
    assert sorted(stage.living()) == ["child", "detached"]


async def test_the_last_answer_does_not_outlive_it(stage: warden_stage.Stage):
    await in_background(stage, status=shell("exit 0"))
    await until(lambda: stage.observed().code == 0)
    for name in ("child", "detached"):
        os.kill(stage.beat(name)[0], signal.SIGKILL)
    await stage.report(Exited)
    assert stage.observed().code is None


async def test_commands_run_as_the_user_that_the_plan_names():
    async with stage_for("myself") as stage:
        stage.lease(60_000)
        user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        script = "import os, sys, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.environ['HOME']); sys.exit(5)"
        argv = ("/usr/bin/env", "python3", "-c", script)
        stage.warden.launch(stage.order(argv=argv, tended=tending(stage, user=user)))
        await stage.report(Exited)
        said = (stage.place("orders") / "log").read_text().split("\n")[0]
        assert said == f"{user} {pwd.getpwnam(user).pw_dir}"


def test_stages_share_the_time_and_what_is_left_of_it_in_a_hurry():
    ladder = Ladder([Stage((), 15, 0.5), Stage((), 15, 0.25), Stage((), 15, 0.15)], 1000, 1000)
    ends = []
    for ladder.index in range(3):
        ends.append(ladder.ends_ns)
    assert ends == [1500, 1750, 1900]
    ladder.index = 1
    ladder.hurry(1600, 200)  # half of the time was for this stage and what comes after it
    assert ladder.ends_ns == 1700
    ladder.index = 2
    assert ladder.ends_ns == 1760
    ladder.hurry(1600, 5000)  # more time than there was is no hurry
    assert ladder.ends_ns == 1760
    ladder.index = 3
    assert ladder.over
