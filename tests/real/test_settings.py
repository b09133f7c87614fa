"""The configuration of a cluster changed while it serves: under load, with what an operator types at a terminal."""

import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from standfast.clusterfile import read
from standfast.drill.audit import Verdict, audit
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings, Tick
from standfast.errors import ClusterFileError, Outdated, Refused, UsageError
from standfast.managers.nats import Nats
from standfast.model.events import EventKind
from standfast.model.records import Phase
from standfast.model.timing import NS_PER_MS, PROFILES
from standfast.ports import boottime_ns
from tests.real.running import QM, Running, proxy, standfast, started, until

LONGEST_GAP_MS = 1000
"""Between two acknowledgements while nothing is stopped; a busy machine stalls for some hundred milliseconds."""


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Running]:
    running = await started(tmp_path / "lab", profile="normal")
    yield running
    running.down()


def config(cluster: Running, *words: object, by: str = "w") -> tuple[int, str]:
    done = standfast("config", words[0], "--socket", cluster.lab.sockets[by], *words[1:])
    return done.returncode, done.stdout + done.stderr


def shown(cluster: Running, by: str = "w") -> dict:
    code, told = config(cluster, "show", "--json", by=by)
    assert code == 0, told
    return json.loads(told)


async def apply(cluster: Running, *changes: tuple[str, str], by: str = "w") -> tuple[int, str]:
    """Apply what is in force with these texts replaced."""
    code, text = config(cluster, "show", "--toml", by=by)
    assert code == 0
    for old, new in changes:
        assert old in text, (old, text)
        text = text.replace(old, new, 1)
    file = cluster.lab.directory / "wanted.toml"
    file.write_text(text)
    return config(cluster, "apply", file, "--yes", by=by)


async def settled(cluster: Running, profile: str, by: str = "w") -> None:
    """Everybody goes by it, and nothing is left of what was before."""
    term_ms = PROFILES[profile].term_ms

    def done() -> bool:
        report = shown(cluster, by)
        return report["waited_for"] == [] and report["term_ceiling_ms"] == term_ms

    await until(done, within_s=40)


async def test_other_timers_move_nothing_lose_nothing_and_count_from_then_on(
    cluster: Running, record_property: Callable[[str, object], None]
) -> None:
    """Normal, fast, cautious, fast again, under load; a node that was down for a change comes back into it."""
    ticks: list[Tick] = []
    with proxy(cluster.lab) as port:
        load_of = LoadSettings(kind="nats", address="127.0.0.1", port=port, run="settings", every_ms=5, drain_s=5)
        async with LoadProcess(load_of, ticks.append) as load:
            await until(lambda: any(tick.acked for tick in ticks))
            before = await cluster.placing()
            for old, new in (("normal", "fast"), ("fast", "cautious"), ("cautious", "fast")):
                code, told = await apply(cluster, (f'profile = "{old}"', f'profile = "{new}"'))
                assert code == 0, told
                await settled(cluster, new)
            assert await cluster.placing() == before
            unwanted = {EventKind.QM_RELEASED, EventKind.QM_FAILED, EventKind.MEMBER_IN_DOUBT, EventKind.QM_ASSIGNED}
            log = await cluster.log()
            changed = next(i for i, line in enumerate(log) if line.kind == EventKind.SETTINGS_CHANGED)
            assert not unwanted & {line.kind for line in log[changed:]}
            changed_ns = boottime_ns()
            owner, epoch = before
            cluster.lab.nodes[owner].kill()
            died_ns = boottime_ns()
            other = cluster.other(owner)
            await cluster.lab.until_running(QM, on=other, epoch=epoch + 1)
            assert (boottime_ns() - died_ns) / 1e6 < PROFILES["normal"].term_ms
            code, told = await apply(cluster, ('profile = "fast"', 'profile = "normal"'))
            assert code == 0, told
            await cluster.back(owner)
            await settled(cluster, "normal", by=owner)
            record = await load.finish()
    assert audit(record, Nats.durability).verdict is Verdict.KEPT
    acks = sorted(sent.acked_ns for row in record.sent for sent in row if 0 < sent.acked_ns < changed_ns)
    record_property("longest_gap_ms", gap_ms := round(max(b - a for a, b in pairwise(acks)) / NS_PER_MS))
    assert gap_ms < LONGEST_GAP_MS


async def test_queue_managers_come_halt_and_go(cluster: Running) -> None:
    before = await cluster.queue_manager()
    code, told = await apply(cluster, (f'name = "{QM}"', f'name = "{QM}"\nhalted = true'))
    assert code == 0, told
    await cluster.lab.until(lambda report: all(qm.phase is Phase.HALTED for qm in report.queue_managers))
    code, told = await apply(cluster, ("halted = true", "halted = false"))
    assert code == 0, told
    after = await cluster.lab.until_running(QM)
    assert after.epoch == before.epoch + 1
    _, text = config(cluster, "show", "--toml")
    ours = text[text.index("[[queue_manager]]") :]
    more = (
        ours.replace(f'"{QM}"', '"second"').replace(f"/{QM}", "/second").replace(str(after.port), str(after.port + 1))
    )
    code, told = await apply(cluster, (ours, ours + "\n" + more))
    assert code == 0, told
    epoch = (await cluster.lab.until_running("second")).epoch
    assert (await apply(cluster, (more, "")))[0] == Refused.exit_code
    code, told = await apply(cluster, ('name = "second"', 'name = "second"\nhalted = true'))
    assert code == 0, told
    await cluster.lab.until(lambda report: any(qm.phase is Phase.HALTED for qm in report.queue_managers))
    _, text = config(cluster, "show", "--toml")
    code, told = await apply(cluster, (text[text.rindex("[[queue_manager]]") :], ""))
    assert code == 0, told
    await cluster.lab.until(lambda report: len(report.queue_managers) == 1)
    code, told = await apply(cluster, (ours, ours + "\n" + more))
    assert code == 0, told
    assert (await cluster.lab.until_running("second")).epoch > epoch
    kinds = [line.kind for line in await cluster.log() if line.subject == "second"]
    assert [k for k in kinds if k in {EventKind.QM_ADDED, EventKind.QM_HALTED, EventKind.QM_REMOVED}] == [
        EventKind.QM_ADDED,
        EventKind.QM_HALTED,
        EventKind.QM_REMOVED,
        EventKind.QM_ADDED,
    ]


async def test_what_can_not_be_is_refused_with_an_exit_code(cluster: Running) -> None:
    edition = shown(cluster)["edition"]
    assert (await apply(cluster, ('profile = "normal"', 'profile = "quick"')))[0] == ClusterFileError.exit_code
    assert (await apply(cluster, ('name = "w"', 'name = "x"')))[0] == UsageError.exit_code
    file = cluster.lab.directory / "wanted.toml"
    file.write_text(config(cluster, "show", "--toml")[1])
    assert config(cluster, "apply", file, "--yes", "--expect", edition + 7)[0] == Outdated.exit_code
    assert config(cluster, "apply", file)[0] == 0
    assert shown(cluster)["edition"] == edition
    assert read(file.read_bytes()).problems == ()
