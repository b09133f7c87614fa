"""What is particular to OCF agents: their codes, their own words about themselves, and one that leaves no process."""

import signal
from pathlib import Path

import msgspec
import pytest

from standfast.errors import MachineError
from standfast.managers.ocf import Ocf
from standfast.managers.ocf_agent import CODES, SERVES, STARTED, STOPPED, agents_below, described
from standfast.managers.programs import number_of_seconds
from standfast.member.minder import EXIT_NOTHING_LEFT
from standfast.ports import STATUS_FILE, NotReady, Observed, Place, boottime_ns
from tests.managers.broker import place_in, started

ROOT = "/usr/lib/ocf"


def dummy(root: Path, **options: object) -> Place:
    return place_in(root, agent="heartbeat:Dummy", monitor_every_s=0.1, **options)


@pytest.mark.parametrize("code", [*CODES, 77, None])
async def test_every_code_of_a_monitor_is_judged(tmp_path: Path, code: int | None) -> None:
    place = dummy(tmp_path)
    answer = Observed(code=code, output="words of the agent", at_ns=boottime_ns())
    (place.run_dir / STATUS_FILE).write_bytes(msgspec.json.encode(answer))
    if code in SERVES:
        await Ocf().ready(place, 1.0)
    else:
        with pytest.raises(NotReady):
            await Ocf().ready(place, 1.0)


def test_the_codes_that_decide_are_codes_of_ocf() -> None:
    assert {*STARTED, *SERVES, *STOPPED} <= set(CODES)
    assert not set(SERVES) & set(STOPPED)


async def test_an_old_answer_counts_as_none(tmp_path: Path) -> None:
    place = dummy(tmp_path)
    long_ago = Observed(code=0, at_ns=boottime_ns() - 60 * 10**9)
    (place.run_dir / STATUS_FILE).write_bytes(msgspec.json.encode(long_ago))
    with pytest.raises(NotReady):
        await Ocf().ready(place, 1.0)


async def test_an_agent_that_leaves_no_process_is_refused_unless_that_is_wanted(tmp_path: Path) -> None:
    async with started(Ocf(), dummy(tmp_path)) as refused:
        assert await refused.process.wait() == EXIT_NOTHING_LEFT
    async with started(Ocf(), dummy(tmp_path, processless=True)) as runs:
        await runs.ready()
        await runs.stop()
        assert runs.process.returncode == 0


async def test_what_it_wrote_before_it_was_killed_does_not_make_it_look_alive(tmp_path: Path) -> None:
    place = dummy(tmp_path, processless=True)
    async with started(Ocf(), place) as first:
        await first.ready()
        first.process.send_signal(signal.SIGKILL)  # no stop: its state file says "running" still
        await first.process.wait()
    state = place.run_dir / "ocf" / f"Dummy-{place.name}.state"
    assert state.exists()
    state.write_text("not mine")
    async with started(Ocf(), place) as second:
        await second.ready()
        assert "not mine" not in state.read_text()


async def test_parameters_are_checked_against_what_the_agent_says(tmp_path: Path) -> None:
    place = place_in(tmp_path, agent="heartbeat:anything", parameters={"binfil": "/bin/true", "user": "root"})
    found = await Ocf().examine(place)
    assert [(("'binfil'" in one.text), ("'binfile'" in one.text), one.severe) for one in found] == [
        (True, True, True),
        (False, True, True),  # the one that it needs is missing
    ]


async def test_time_outs_shorter_than_advised_are_remarked(tmp_path: Path) -> None:
    place = msgspec.structs.replace(dummy(tmp_path), start_timeout_s=5.0)
    assert [one.severe for one in await Ocf().examine(place)] == [False]


def test_an_agent_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as missing:
        Ocf().launch(place_in(tmp_path, agent="heartbeat:anythin"))
    assert "heartbeat:anything" in str(missing.value)
    assert len(Ocf().problems(place_in(tmp_path, agent="anything"))) == 1


@pytest.mark.parametrize("name", ["Dummy", "anything", "nginx", "rabbitmq-cluster", "redis", "pgsql", "docker"])
async def test_agents_of_the_distribution_are_understood(name: str) -> None:
    found = await described(Path(ROOT, "resource.d/heartbeat", name), ROOT)
    assert found.parameters
    assert min(found.timeouts_s.get(action, 0) for action in ("start", "stop", "monitor")) > 0
    assert f"heartbeat:{name}" in agents_below(ROOT)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20s", 20), ("20", 20), ("1m", 60), ("500ms", 0.5), ("2min", 120), ("", 0), ("soon", 0)]
)
def test_intervals_are_read_as_pacemaker_writes_them(text: str, seconds: float) -> None:
    assert number_of_seconds(text) == seconds
