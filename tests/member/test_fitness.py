"""What a member could run: looked at before anything may be placed there; a hindrance counts for all of it at once."""

import asyncio
from pathlib import Path

import pytest

from standfast.member.fitness import AT_ONCE, Fitness
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.events import Event, EventKind
from standfast.model.view import Kept, View
from standfast.ports import Place, Remark
from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from tests.member.warden_stage import until


async def test_a_hindrance_comes_and_goes():
    members = tuple(MemberSpec(name=name, role=Role.DATA, addresses=(f"127.0.91.{n}",)) for n, name in enumerate("abc"))
    hindrance = ["its watchdog is missing"]
    given: list[sig.Input] = []
    fitness = Fitness(
        Cluster(name="shop", id="0123456789abcdef", members=members),
        place=None,
        view=View,
        give=given.append,
        reporter=None,
        hindrance=lambda: hindrance[0],
    )
    running = asyncio.create_task(fitness.run())
    await until(lambda: given)
    for reason, unfit in (("", ()), ("gone again", (ALL,)), ("", ())):
        hindrance[0] = reason
        fitness.look_again()
        await until(lambda unfit=unfit: given[-1] == sig.FitnessChanged(unfit))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [change.unfit for change in given] == [(ALL,), (), (ALL,), ()]


class Notices:
    def notice(self, kind: object, subject: str = "", detail: str = "") -> None:
        pass


async def test_a_member_is_unfit_for_all_until_it_has_looked_and_looks_before_it_knows_the_store(tmp_path: Path):
    """A hung mount takes longer to show than a lease to get: until then nothing may be placed here."""
    specs = tuple(
        QueueManagerSpec(name=name, kind="nats", port=1, storage=StorageSpec(path=str(tmp_path / path)))
        for name, path in (("good", "here"), ("bad", "not/there"))
    )
    members = (MemberSpec(name="a", role=Role.DATA, addresses=("127.0.0.1",)),)
    given: asyncio.Queue[sig.Input] = asyncio.Queue()
    fitness = Fitness(
        Cluster(name="c", id="1", members=members, queue_managers=specs),
        lambda spec: Place(name=spec.name, data_dir=tmp_path, run_dir=tmp_path, address="127.0.0.1", port=1),
        View,
        given.put_nowait,
        Notices(),  # type: ignore[arg-type]
        hindrance=lambda: "",
    )
    looking = asyncio.create_task(fitness.run())
    async with asyncio.timeout(10):
        assert await given.get() == sig.FitnessChanged((ALL,))
        assert await given.get() == sig.FitnessChanged(("bad",))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


class Examined:
    """A driver that counts how often it is asked to look at the machine."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = [Remark("no licence on this machine"), Remark("an old version", severe=False)]
        self.times = 0

    def problems(self, place: Place) -> list[str]:
        return []

    def launch(self, place: Place) -> None:
        pass

    async def version(self, place: Place) -> str:
        return "unknown"

    async def examine(self, place: Place) -> list[Remark]:
        self.times += 1
        return self.remarks


async def test_what_a_driver_finds_in_the_way_counts_at_once_and_a_good_look_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = Examined()
    monkeypatch.setattr("standfast.member.fitness.driver", lambda _: found)
    spec = QueueManagerSpec(name="q", kind="examined", port=1, storage=StorageSpec(path=str(tmp_path)))
    members = (MemberSpec(name="a", role=Role.DATA, addresses=("127.0.0.1",)),)
    given: list[sig.Input] = []
    told: list[Event] = []
    fitness = Fitness(
        Cluster(name="c", id="1", members=members, queue_managers=(spec,)),
        lambda spec: Place(name=spec.name, data_dir=tmp_path, run_dir=tmp_path, address="127.0.0.1", port=1),
        View,
        given.append,
        Notices(),  # type: ignore[arg-type]
        hindrance=lambda: "",
        told=told.append,
    )
    looking = asyncio.create_task(fitness.run())
    await until(lambda: given[-1:] == [sig.FitnessChanged(("q",))])
    del found.remarks[0]
    fitness.look_again()
    await until(lambda: given[-1] == sig.FitnessChanged(()))
    assert [event.kind for event in told] == [EventKind.STANDBY_UNREADY, EventKind.STANDBY_READY]
    times = found.times
    for _ in range(5):
        fitness.look_again()
        await asyncio.sleep(0.05)
    assert found.times == times
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


class Slow(Examined):
    """A driver that takes its time to look, and notes how many wait for it at one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()
        self.most = self.now = 0

    async def examine(self, place: Place) -> list[Remark]:
        self.now += 1
        self.most = max(self.most, self.now)
        await (self.over.wait() if place.name == "q0" else asyncio.sleep(0.01))
        self.now -= 1
        return []


async def test_many_are_looked_at_side_by_side_and_not_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow, given = Slow(), list[sig.Input]()
    monkeypatch.setattr("standfast.member.fitness.driver", lambda _: slow)
    specs = tuple(
        QueueManagerSpec(name=f"q{n}", kind="slow", port=1, storage=StorageSpec(path=str(tmp_path))) for n in range(40)
    )
    members = (MemberSpec(name="a", role=Role.DATA, addresses=("127.0.0.1",)),)
    fitness = Fitness(
        Cluster(name="c", id="1", members=members, queue_managers=specs),
        lambda spec: Place(name=spec.name, data_dir=tmp_path, run_dir=tmp_path, address="127.0.0.1", port=1),
        View,
        given.append,
        Notices(),  # type: ignore[arg-type]
        hindrance=lambda: "",
    )
    looking = asyncio.create_task(fitness.run())
    await until(lambda: slow.now == 1 and slow.most > 1)
    assert given == [sig.FitnessChanged((ALL,))]  # q0 is not known yet, so this member may get nothing
    slow.over.set()
    await until(lambda: given[-1] == sig.FitnessChanged(()))
    assert slow.most == AT_ONCE
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_who_could_not_run_more_than_a_heartbeat_can_name_says_that_it_could_run_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Names of thousands made the datagram too long for the kernel, and the member silent: it was evicted."""
    specs = tuple(
        QueueManagerSpec(
            name=f"{n:0>64}", kind="nats", port=1, storage=StorageSpec(path=str(tmp_path / "not" / "there"))
        )
        for n in range(300)
    )
    members = (MemberSpec(name="a", role=Role.DATA, addresses=("127.0.0.1",)),)
    given: asyncio.Queue[sig.Input] = asyncio.Queue()
    fitness = Fitness(
        Cluster(name="c", id="1", members=members),
        lambda spec: Place(name=spec.name, data_dir=tmp_path, run_dir=tmp_path, address="127.0.0.1", port=1),
        lambda: View(specs={spec.name: Kept(spec, 1) for spec in now}, settings=Kept(None, 1)),  # type: ignore[type-var]
        given.put_nowait,
        Notices(),  # type: ignore[arg-type]
        hindrance=lambda: "",
    )
    now = specs[:2]
    looking = asyncio.create_task(fitness.run())
    async with asyncio.timeout(20):
        assert await given.get() == sig.FitnessChanged((ALL,))
        assert await given.get() == sig.FitnessChanged(tuple(spec.name for spec in now))
        now = specs
        fitness.look_again()
        assert await given.get() == sig.FitnessChanged((ALL,))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
