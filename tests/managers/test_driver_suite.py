"""What every driver must pass, with its real broker. A new driver joins by its line in the registry and a witness."""

import asyncio
from pathlib import Path

import pytest

from standfast.errors import ClusterFileError, KeyFileError
from standfast.managers.registry import DRIVERS, driver
from standfast.ports import Durability, NotReady, Place, QueueManager
from tests.managers.broker import ADDRESS, place_in, started
from tests.managers.witness import WITNESSES

MESSAGES = [b"message %d" % number for number in range(20)]


@pytest.fixture(params=sorted(DRIVERS))
def manager(request: pytest.FixtureRequest) -> QueueManager:
    return driver(request.param)


async def test_starts_from_nothing_and_serves(manager: QueueManager, tmp_path: Path) -> None:
    async with started(manager, place_in(tmp_path)) as broker:
        assert await broker.ready() < 5
        await WITNESSES[manager.kind].store(broker.place, MESSAGES)


async def test_is_not_ready_before_it_is_started(manager: QueueManager, tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        await manager.ready(place_in(tmp_path), 1.0)


async def test_is_not_ready_while_it_is_frozen(manager: QueueManager, tmp_path: Path) -> None:
    async with started(manager, place_in(tmp_path)) as broker:
        await broker.ready()
        broker.freeze()  # the kernel still accepts connections in its name
        with pytest.raises(NotReady):
            await manager.ready(broker.place, 0.2)
        broker.thaw()
        await broker.ready()


async def test_data_are_intact_after_what_its_durability_promises_to_survive(
    manager: QueueManager, tmp_path: Path
) -> None:
    place, witness = place_in(tmp_path), WITNESSES[manager.kind]
    async with started(manager, place) as broker:
        await broker.ready()
        await witness.store(place, MESSAGES)
        await (broker.stop() if manager.durability is Durability.NONE else broker.kill())
    async with started(manager, place) as broker:
        await broker.ready()
        assert await asyncio.wait_for(witness.stored(place, len(MESSAGES)), 5) == MESSAGES


async def test_starts_again_after_kill_9(manager: QueueManager, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    for _ in range(3):
        async with started(manager, place) as broker:
            await broker.ready()
            await broker.kill()


async def test_stops_gracefully_and_at_once(manager: QueueManager, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    async with started(manager, place) as broker:
        await broker.ready()
        await WITNESSES[manager.kind].store(place, MESSAGES)
        assert await broker.stop() < 2
    with pytest.raises(NotReady):
        await manager.ready(place, 1.0)


async def test_ends_with_a_complaint_when_the_port_is_taken(manager: QueueManager, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    squatter = await asyncio.start_server(lambda _, __: None, ADDRESS, place.port)
    async with squatter, started(manager, place) as broker:
        assert await asyncio.wait_for(broker.process.wait(), 5) != 0
        assert "in use" in (await broker.output()).lower()


async def test_is_not_ready_when_something_else_answers_on_its_port(manager: QueueManager, tmp_path: Path) -> None:
    async def say_hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    place = place_in(tmp_path)
    async with await asyncio.start_server(say_hello, ADDRESS, place.port):
        with pytest.raises(NotReady):
            await manager.ready(place, 1.0)


async def test_ends_with_a_complaint_when_it_can_not_write(manager: QueueManager, tmp_path: Path) -> None:
    usable = place_in(tmp_path)
    # Below /proc nobody can write, not even the superuser that tests may run as.
    place = Place(
        name="qm1", data_dir=Path("/proc/standfast"), run_dir=usable.run_dir, address=ADDRESS, port=usable.port
    )
    async with started(manager, place) as broker:
        assert await asyncio.wait_for(broker.process.wait(), 5) != 0
        assert "/proc/standfast" in await broker.output()


async def test_a_user_with_a_password_is_demanded_of_everyone_and_known_to_the_member(
    manager: QueueManager, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text('s3 "cret\n')
    secret.chmod(0o600)
    place = place_in(tmp_path, user="shop", password_file=str(secret))
    assert manager.problems(place) == []
    async with started(manager, place) as broker:
        await broker.ready()
        stranger = Place(
            name=place.name, data_dir=place.data_dir, run_dir=place.run_dir, address=ADDRESS, port=place.port
        )
        with pytest.raises(NotReady):
            await manager.ready(stranger, 1.0)


def test_a_password_that_others_can_read_is_refused(manager: QueueManager, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o644)
    with pytest.raises(KeyFileError):
        manager.launch(place_in(tmp_path, user="shop", password_file=str(secret)))


def test_options_are_complete_known_and_of_the_right_type(manager: QueueManager, tmp_path: Path) -> None:
    assert manager.problems(place_in(tmp_path)) == []
    assert {"user", "password_file"} <= manager.option_names
    for wrong in ({"passwd_file": "x"}, {"user": 7}, {"user": "only"}, {"password_file": "only"}):
        assert len(manager.problems(place_in(tmp_path, **wrong))) == 1, wrong
    assert "password_file" in manager.problems(place_in(tmp_path, passwd_file="x"))[0]  # the nearest name


async def test_tells_its_version(manager: QueueManager) -> None:
    assert (await manager.version())[0].isdigit()


def test_says_what_an_acknowledgement_is_worth() -> None:
    assert {kind: one.durability for kind, one in DRIVERS.items()} == {
        "nats": Durability.SYNCED,
        "mosquitto": Durability.NONE,
    }


def test_an_unknown_kind_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ClusterFileError) as refused:
        driver("mosquito")
    assert "'mosquitto'" in str(refused.value)
