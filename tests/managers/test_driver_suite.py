"""What every driver must pass, with its real broker. A new driver joins by its line in the registry and a witness."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from standfast.errors import ClusterFileError, KeyFileError
from standfast.managers.registry import DRIVERS, driver
from standfast.ports import Durability, NotReady, QueueManager
from tests.managers.broker import ADDRESS, KINDS, TRIED, fitted, place_for, place_in, started, within_s
from tests.managers.witness import WITNESSES

OTHER_ADDRESS = "127.0.42.2"
TOLD_WHERE = {
    "command": "its words say it; `examine` says which do not",
    "ocf": "its parameters say it",
    "systemd": "its unit says it",
    "ibmmq": "MQ's listener takes every address unless it is told another; its stand-in takes one",
}
MESSAGES = [b"message %d" % number for number in range(20)]


@pytest.fixture(params=TRIED)
def manager(request: pytest.FixtureRequest) -> QueueManager:
    return driver(request.param)


@pytest.fixture(params=KINDS)
def every(request: pytest.FixtureRequest) -> QueueManager:
    """The slow ones too, whatever is run."""
    return driver(request.param)


@pytest.fixture(params=sorted(kind for kind, one in DRIVERS.items() if "password_file" in one.option_names))
def guarded(request: pytest.FixtureRequest) -> QueueManager:
    """Those that let a user in by name and password."""
    return driver(request.param)


async def test_starts_from_nothing_and_serves(manager: QueueManager, tmp_path: Path) -> None:
    async with started(manager, place_for(manager, tmp_path)) as broker:
        assert await broker.ready() < within_s(manager, 5)
        await WITNESSES[manager.kind].store(broker.place, MESSAGES)


async def test_is_not_ready_before_it_is_started(every: QueueManager, tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        await every.ready(place_for(every, tmp_path), 1.0)


async def test_is_not_ready_while_it_is_frozen(manager: QueueManager, tmp_path: Path) -> None:
    async with started(manager, place_for(manager, tmp_path)) as broker:
        await broker.ready()
        broker.freeze()  # the kernel still accepts connections in its name
        await broker.until_not_ready()
        broker.thaw()
        await broker.ready()


async def test_data_are_intact_after_what_its_durability_promises_to_survive(
    every: QueueManager, tmp_path: Path
) -> None:
    """And it listens on every address when it must: the second time it is told to, and asked by two others."""
    place, witness = place_for(every, tmp_path), WITNESSES[every.kind]
    async with started(every, place) as broker:
        await broker.ready()
        await witness.store(place, MESSAGES)
        await (broker.stop() if every.durability is Durability.NONE else broker.kill())
    async with started(every, structs.replace(place, everywhere=True)) as broker:
        await broker.ready()
        assert await asyncio.wait_for(witness.stored(place, len(MESSAGES)), 5) == MESSAGES
        if every.kind not in TOLD_WHERE:
            for address in (OTHER_ADDRESS, "::1"):
                await every.ready(structs.replace(place, address=address), 5.0)


async def test_starts_again_after_kill_9(manager: QueueManager, tmp_path: Path) -> None:
    place = place_for(manager, tmp_path)
    for _ in range(3):
        async with started(manager, place) as broker:
            await broker.ready()
            await broker.kill()


async def test_stops_gracefully_and_at_once(manager: QueueManager, tmp_path: Path) -> None:
    place = place_for(manager, tmp_path)
    async with started(manager, place) as broker:
        await broker.ready()
        await WITNESSES[manager.kind].store(place, MESSAGES)
        assert await broker.stop() < within_s(manager, 2)
    with pytest.raises(NotReady):
        await manager.ready(place, 1.0)


async def test_ends_with_a_complaint_when_the_port_is_taken(manager: QueueManager, tmp_path: Path) -> None:
    place = place_for(manager, tmp_path)
    squatter = await asyncio.start_server(lambda _, __: None, ADDRESS, place.port)
    async with squatter, started(manager, place) as broker:
        assert await asyncio.wait_for(broker.process.wait(), within_s(manager, 5)) != 0
        assert "in use" in (await broker.output()).lower()


async def test_is_not_ready_when_something_else_answers_on_its_port(every: QueueManager, tmp_path: Path) -> None:
    async def say_hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    place = place_for(every, tmp_path)
    async with await asyncio.start_server(say_hello, ADDRESS, place.port):
        with pytest.raises(NotReady):
            await every.ready(place, 1.0)


async def test_ends_with_a_complaint_when_it_can_not_write(manager: QueueManager, tmp_path: Path) -> None:
    usable = place_in(tmp_path)
    # Below /proc nobody can write, not even the superuser that tests may run as.
    place = fitted(manager, structs.replace(usable, data_dir=Path("/proc/standfast")))
    async with started(manager, place) as broker:
        assert await asyncio.wait_for(broker.process.wait(), within_s(manager, 5)) != 0
        assert "/proc/standfast" in await broker.output()


async def test_a_user_with_a_password_is_demanded_of_everyone_and_known_to_the_member(
    guarded: QueueManager, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text('s3 "cret\n')
    secret.chmod(0o600)
    place = place_for(guarded, tmp_path, user="shop", password_file=str(secret))
    assert guarded.problems(place) == []
    async with started(guarded, place) as broker:
        await broker.ready()
        stranger = structs.replace(place, options={})
        with pytest.raises(NotReady):
            await guarded.ready(stranger, 1.0)


def test_a_password_that_others_can_read_is_refused(guarded: QueueManager, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o644)
    with pytest.raises(KeyFileError):
        guarded.launch(place_for(guarded, tmp_path, user="shop", password_file=str(secret)))


def test_options_are_complete_known_and_of_the_right_type(every: QueueManager, tmp_path: Path) -> None:
    assert every.problems(place_for(every, tmp_path)) == []
    for name in sorted(every.option_names):
        assert len(every.problems(place_for(every, tmp_path, **{name: object()}))) == 1, name
        (problem,) = every.problems(place_for(every, tmp_path, **{f"{name}_": "x"}))
        assert f"'{name}'" in problem.partition(":")[2]  # the nearest name


def test_user_and_password_file_go_together(guarded: QueueManager, tmp_path: Path) -> None:
    for wrong in ({"user": "only"}, {"password_file": "only"}):
        assert len(guarded.problems(place_for(guarded, tmp_path, **wrong))) == 1, wrong


async def test_nothing_on_this_machine_is_in_its_way(every: QueueManager, tmp_path: Path) -> None:
    assert await every.examine(place_for(every, tmp_path)) == []


async def test_tells_its_version(every: QueueManager, tmp_path: Path) -> None:
    assert (await every.version(place_for(every, tmp_path)))[0].isdigit()


def test_says_what_an_acknowledgement_is_worth() -> None:
    assert {kind: one.durability for kind, one in DRIVERS.items()} == {
        "activemq": Durability.SYNCED,
        "command": Durability.UNKNOWN,
        "ibmmq": Durability.SYNCED,
        "nats": Durability.SYNCED,
        "ocf": Durability.UNKNOWN,
        "systemd": Durability.UNKNOWN,
        "mosquitto": Durability.NONE,
        "rabbitmq": Durability.SYNCED,
    }


def test_an_unknown_kind_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ClusterFileError) as refused:
        driver("mosquito")
    assert "'mosquitto'" in str(refused.value)
