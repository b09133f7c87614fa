"""RabbitMQ 4 takes events in its own AMQP 1.0: in order, again after it was down, and none is lost over takeovers."""

import asyncio
import random

import pytest

from standfast.errors import SinkError
from tests.alerts.test_sinks import delivered, reach
from tests.real.alerts.campaign import campaign
from tests.real.alerts.stage import staged
from tests.real.debian13.rabbit4 import Rabbit4

TAKEOVERS = 6


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory):
    made = Rabbit4(tmp_path_factory.mktemp("rabbit4"))
    made.start()
    asyncio.run(made.prepare())
    yield made
    made.stop()


async def test_no_event_is_lost_over_takeovers_in_which_it_hangs_and_dies(rabbit, tmp_path):
    async with staged(tmp_path, rabbit) as (running, receivers):
        await receivers["own"].prepare()
        queues = {"rabbit": rabbit, "own": receivers["own"]}
        found = await campaign(running, random.Random(4), TAKEOVERS, queues, receivers["hook"])
    assert found["lost"] == {"rabbit": 0, "own": 0}
    assert found["in_order"] == {"rabbit": True, "own": True}


async def test_what_it_does_not_take_is_a_refusal(rabbit, tmp_path):
    before = len(await rabbit.received())
    await delivered(rabbit.spec(), 1)
    assert (await reach(rabbit, before + 1))[-1] == "w.1.1"
    (tmp_path / "wrong").touch(mode=0o600)
    (tmp_path / "wrong").write_text("wrong\n")
    for wrong in ({"target": "/queues/nowhere"}, {"password_file": str(tmp_path / "wrong")}):
        with pytest.raises((OSError, SinkError)):
            await delivered(rabbit.spec(**wrong), 2)
    assert len(await rabbit.received()) == before + 1
