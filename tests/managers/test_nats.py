"""What is particular to the NATS driver: nothing may weaken its promise, nobody else may answer for it."""

from pathlib import Path

import pytest

from standfast.managers.nats import CONFIG, Nats
from standfast.ports import NotReady, Place
from tests.managers.broker import place_in, started


@pytest.mark.parametrize("name", ["sync", "sync_interval", "sync_always"])
def test_no_option_can_weaken_the_sync(name: str, tmp_path: Path) -> None:
    assert len(Nats().problems(place_in(tmp_path, **{name: "2m"}))) == 1
    assert "sync_interval: always" in Nats().launch(place_in(tmp_path)).files[CONFIG]


async def test_another_server_on_its_port_does_not_answer_for_it(tmp_path: Path) -> None:
    place = place_in(tmp_path, name="other")
    async with started(Nats(), place) as other:
        await other.ready()
        mine = Place(
            name="mine", data_dir=place.data_dir, run_dir=place.run_dir, address=place.address, port=place.port
        )
        with pytest.raises(NotReady):
            await Nats().ready(mine, 1.0)


async def test_a_server_without_jetstream_is_not_ready(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    launch = Nats().launch(place)
    stripped = launch.files[CONFIG].partition("jetstream {")[0]

    class WithoutJetStream(Nats):
        def launch(self, place: Place):
            return type(launch)(argv=launch.argv, files={CONFIG: stripped})

    async with started(WithoutJetStream(), place) as broker:
        with pytest.raises(NotReady):
            await broker.ready(0.5)
        assert broker.process.returncode is None


async def test_its_options_reach_the_server(tmp_path: Path) -> None:
    place = place_in(tmp_path, max_file_store="64MB", max_payload="2MB")
    assert Nats().problems(place) == []
    async with started(Nats(), place) as broker:
        await broker.ready()
        assert "64.00 MB" in await broker.output()
