"""What a launch gives to the queue manager, what it refuses, and that nothing is executed without lease and storage."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.errors import AlreadyRunning
from standfast.errors import Refused as RefusedError
from standfast.member import processes
from standfast.member import warden_kernel as kernel
from standfast.member.launch import LOG_LIMIT_BYTES, Launchpad, Order, become
from standfast.member.processes import Cgroup, children_of, own_cgroup, start_ticks
from standfast.member.warden_client import Warden
from standfast.member.warden_protocol import Containment
from standfast.member.warden_reports import Exited, Launched, LeaseKill, LeaseStop, NotUnderstood, Refused
from standfast.member.warden_run_dir import RunDir
from standfast.ports import boottime_ns
from standfast.storage import epoch_file
from standfast.storage.epoch_file import Stamp
from standfast.storage.refusal import MEANINGS, LaunchRefusal
from tests.member.warden_stage import GRACEFUL, MS, WHO, Stage, alive, stage_for, until

CONFESS = """
import json, os, signal, sys
listed = sorted(os.listdir("/proc/self/fd"), key=int)
fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in listed if os.path.exists(f"/proc/self/fd/{fd}")}
print(json.dumps({
    "env": dict(os.environ), "cwd": os.getcwd(), "fds": [path for fd, path in fds.items() if int(fd) > 2],
    "inputs": [fds[fd] for fd in ("0", "1", "2")], "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "ignored": [int(s) for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN],
    "blocked": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "policy": os.sched_getscheduler(0), "oom": open("/proc/self/oom_score_adj").read().strip(),
    "slack": open("/proc/self/timerslack_ns").read().strip()}))
"""


def lock_data(directory: Path) -> int:
    """Hold the lock as a queue manager on another machine would."""
    directory.mkdir(exist_ok=True)
    handle = os.open(directory / ".standfast-lock", os.O_RDWR | os.O_CREAT)
    os.fchmod(handle, 0o666)
    fcntl.fcntl(handle, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
    return handle


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def run(argv: tuple[str, ...]) -> str:
    return subprocess.check_output(argv, text=True)


@pytest.fixture(params=WHO)
async def stage(request) -> AsyncIterator[Stage]:
    async with stage_for(request.param) as stage:
        yield stage


async def refusal(stage: Stage) -> LaunchRefusal:
    while not isinstance(report := await stage.reports.get(), Refused):
        assert isinstance(report, LeaseStop | LeaseKill), report
    return report.code


def test_every_refusal_has_a_meaning_and_a_next_step():
    assert set(MEANINGS) == set(LaunchRefusal)
    assert all(meaning.meaning and meaning.action for meaning in MEANINGS.values())


async def test_a_queue_manager_starts_clean_and_holds_the_lock(stage: Stage):
    stage.lease(60_000)
    log = stage.place("orders") / "log"
    log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    log.chmod(0o666)
    order = stage.order(script=CONFESS, env={"ONLY": "this"}, storage=stage.claim(make=("store/deep",)))
    stage.warden.launch(order)
    assert (await stage.report(Exited)).exit_code == 0
    told = json.loads(log.read_text())
    data = stage.place("orders") / "data"
    assert told["env"].items() - {("LC_CTYPE", "C.UTF-8")} == {("ONLY", "this")}  # Python itself adds the locale
    assert told["cwd"] == str(stage.place("orders"))
    assert told["fds"] == [str(data / ".standfast-lock")]
    assert told["inputs"] == ["/dev/null", str(log), str(log)]
    assert told["leads"]
    assert (told["blocked"], told["policy"], told["oom"]) == ([], os.SCHED_OTHER, kernel.ORDINARY_OOM_SCORE)
    assert told["slack"] == str(kernel.ORDINARY_TIMER_SLACK_NS)
    assert set(told["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}  # Python's own
    assert (data / "store" / "deep").is_dir()
    assert log.stat().st_mode & 0o777 == 0o640
    assert log.with_name("log.1").stat().st_size > LOG_LIMIT_BYTES


async def test_nothing_is_launched_without_enough_lease(stage: Stage):
    stage.warden.launch(stage.order())
    assert await refusal(stage) is LaunchRefusal.LEASE_ENDED
    stage.lease(1_000, stop_ms=2_000)
    stage.warden.launch(stage.order())
    assert await refusal(stage) is LaunchRefusal.LEASE_SHORT
    assert not (stage.place("orders") / "data").exists()


async def test_a_launch_paused_before_its_exec_dies_with_the_lease(stage: Stage):
    lock = lock_data(stage.place("orders") / "data")
    if stage.who == "nobody":
        os.chown(stage.place("orders") / "data", 65534, 65534)
    stage.lease(60_000)
    stage.warden.launch(stage.order(storage=stage.claim(wait_until_ns=boottime_ns() + 60_000 * MS)))
    await until(lambda: children_of(stage.warden.state.pid))
    (child,) = children_of(stage.warden.state.pid)
    os.kill(child, signal.SIGSTOP)
    os.close(lock)
    end_ns = stage.lease(600, stop_ms=500)
    assert await refusal(stage) is LaunchRefusal.KILLED
    assert boottime_ns() < end_ns - 100 * MS  # there is nothing to stop gracefully: it need not wait for the kill
    assert not alive(child)
    assert stage.beat("main") is None


def test_the_last_look_before_exec_sees_a_lease_that_has_run_down(tmp_path: Path):
    """The lease is good at the fork and runs down while the claim waits for the lock: the child itself must see it."""
    run_dir = RunDir(tmp_path)
    run_dir.launched.mkdir()
    lock = lock_data(tmp_path / "data")
    moment = kernel.SharedMoment()
    moment.set(boottime_ns() + 60_000 * MS)
    storage = {"kind": "directory", "path": str(tmp_path / "data"), "mount": False, "cluster": "c", "member": "a"}
    storage |= {"incarnation": 1, "make": [], "wait_until_ns": boottime_ns() + 60_000 * MS}
    order = Order.parse(
        {"qm": "q", "epoch": 1, "argv": ["touch", str(tmp_path / "executed")], "env": {}, "cwd": "/"}
        | {"log": str(tmp_path / "log"), "stop_signal": 15, "storage": storage}
    )
    answer, tell = os.pipe()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        become(order, Launchpad(me, None, True, moment, run_dir), tell)
    os.close(tell)
    moment.set(boottime_ns() - 1)
    os.close(lock)
    said = [json.loads(line) for line in os.fdopen(answer).read().splitlines()]
    os.waitpid(child, 0)
    assert said[-1]["refused"] == LaunchRefusal.LEASE_SHORT
    assert not (tmp_path / "executed").exists()


async def test_the_lock_is_held_for_as_long_as_the_queue_manager_runs(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty()
    rival = stage.order("rival", storage=stage.claim("orders"))
    stage.warden.launch(rival)
    assert await refusal(stage) is LaunchRefusal.LOCKED
    stage.warden.kill("orders")
    await stage.report(Exited)
    stage.warden.launch(stage.order(epoch=2))
    assert isinstance(await stage.report(Launched), Launched)


async def test_a_claim_waits_for_the_lock_that_a_dying_holder_gives_up(stage: Stage):
    data = stage.place("orders") / "data"
    lock = lock_data(data)
    if stage.who == "nobody":
        os.chown(data, 65534, 65534)
    stage.lease(60_000)
    stage.warden.launch(stage.order(storage=stage.claim(wait_until_ns=boottime_ns() + 60_000 * MS)))
    await until(lambda: children_of(stage.warden.state.pid))
    os.close(lock)
    assert (await stage.report(Launched)).claim_us >= 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"argv": ("no-such-program",)}, LaunchRefusal.EXEC_FAILED),
        ({"cwd": "/no/such/place"}, LaunchRefusal.EXEC_FAILED),
        ({"log": "/no/such/place/log"}, LaunchRefusal.LOG),
        ({"argv": ()}, LaunchRefusal.BAD_REQUEST),
        ({"qm": "../escape"}, LaunchRefusal.BAD_REQUEST),
        ({"stop_signal": 4711}, LaunchRefusal.BAD_REQUEST),
    ],
)
async def test_a_launch_that_can_not_work_is_refused(change: dict, code: LaunchRefusal):
    async with stage_for("myself") as stage:
        stage.lease(60_000)
        stage.warden.launch(stage.order(**change))
        assert await refusal(stage) is code
        stage.warden.launch(stage.order())
        assert isinstance(await stage.report(Launched), Launched)


async def test_a_second_launch_is_refused_while_anything_of_the_first_is_left(stage: Stage):
    stage.lease(60_000)
    launched = await stage.launch_naughty()
    stage.warden.launch(stage.order(epoch=2))
    assert await refusal(stage) is LaunchRefusal.ALREADY_RUNNING
    stage.warden.kill("orders")
    assert (await stage.report(Exited)).pid == launched.pid


async def test_nonsense_is_answered_and_harms_nothing(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty()
    for nonsense in (
        b"{",
        b"[]",
        b'{"do": "dance"}',
        b'{"do": "lease"}',
        b'{"do":"lease","end_ns":9,"stop_ns":1,"kill_ns":2}',
    ):
        stage.warden._connection.send(nonsense)
        assert isinstance(await stage.reports.get(), NotUnderstood)
    assert stage.living() == ["main"]


async def test_one_run_directory_has_one_warden(stage: Stage):
    with pytest.raises(AlreadyRunning):
        await Warden.start(stage.run, "another", stage.reports.put_nowait, interpreter=stage.interpreter)


async def test_quit_ends_an_idle_warden_and_a_busy_one_only_on_demand(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child")
    with pytest.raises(RefusedError):
        await stage.warden.quit(kill=False)
    await stage.warden.quit(kill=True)
    assert stage.living() == []
    assert not alive(stage.warden.state.pid)
    assert not stage.run.joinpath("warden.sock").exists()


async def test_the_warden_is_small_and_needs_the_standard_library_only(stage: Stage):
    assert resident_kib(stage.warden.state.pid) < 15 * 1024
    listing = "import sys; sys.path.append(sys.argv[1]); import standfast.member.warden_start; print(*sys.modules)"
    argv = (sys.executable, "-I", "-S", "-c", listing, str(Path(processes.__file__).parents[2]))
    loaded = {name.split(".")[0] for name in run(argv).split()}
    assert loaded - {"standfast", "__main__", "cython_runtime"} <= sys.stdlib_module_names
    assert not loaded & {"asyncio", "logging", "subprocess", "dataclasses", "argparse"}


async def test_a_later_generation_is_found_in_the_epoch_file(stage: Stage):
    stage.lease(60_000)
    stage.warden.launch(stage.order(script=GRACEFUL, epoch=7))
    await stage.report(Launched)
    stamp = epoch_file.read(stage.place("orders") / "data")
    assert isinstance(stamp, Stamp)
    assert (stamp.cluster, stamp.qm, stamp.epoch, stamp.member, stamp.incarnation) == ("c1", "orders", 7, "a", 1)
    stage.warden.stop("orders")
    await stage.report(Exited)
    stage.warden.launch(stage.order(epoch=6))
    assert await refusal(stage) is LaunchRefusal.EPOCH_LARGER


def test_children_are_found_with_and_without_the_kernels_list():
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert child.pid in children_of(os.getpid())
        assert {*processes._children_by_scan(os.getpid())} == {*children_of(os.getpid())}
        assert child.pid in processes.members_of([os.getsid(0)])
    finally:
        child.kill()
        child.wait()
    assert start_ticks(child.pid) is None


async def test_a_kernel_without_cgroup_kill_is_served_too(stage: Stage):
    stage.lease(60_000)
    await stage.launch_naughty("child", "detached")
    if stage.warden.state.containment is Containment.CGROUP:
        box = Cgroup(own_cgroup() / f"standfast-{stage.root.name}" / "orders")
        assert len(box.pids()) >= 3
        box.kill_each()
    else:
        stage.warden.kill("orders")
    await stage.report(Exited)
    assert stage.living() == []
