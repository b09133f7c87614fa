"""RabbitMQ takes events in AMQP 1.0 and in AMQP 0.9.1, and has them again after it was down."""

import asyncio

import pytest

from standfast.errors import SinkError
from tests.alerts.receivers import Rabbit, RabbitAmqp10
from tests.alerts.test_sinks import delivered, reach


@pytest.fixture(scope="module", params=[Rabbit, RabbitAmqp10], ids=lambda kind: kind.__name__)
def rabbit(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("rabbit"))
    made.start()
    asyncio.run(made.prepare())
    yield made
    made.stop()


async def test_what_is_delivered_arrives_in_order_and_outlives_the_broker(rabbit):
    await delivered(rabbit.spec(), 1, 2, 3)
    assert await reach(rabbit, 3) == ["w.1.1", "w.1.2", "w.1.3"]
    rabbit.stop()
    with pytest.raises((OSError, SinkError)):
        await delivered(rabbit.spec(), 4)
    rabbit.start()
    await delivered(rabbit.spec(), 4)
    assert (await reach(rabbit, 4))[-1] == "w.1.4"


@pytest.mark.parametrize("rabbit", [Rabbit], indirect=True)
async def test_a_queue_that_is_none_is_a_refusal(rabbit):
    """In AMQP 0.9.1; the plugin for AMQP 1.0 accepts what no queue takes, and drops it."""
    with pytest.raises(SinkError):
        await delivered(rabbit.spec(target="nowhere"), 1)


async def test_a_wrong_password_is_a_refusal(rabbit, tmp_path):
    (tmp_path / "wrong").touch(mode=0o600)
    (tmp_path / "wrong").write_text("wrong\n")
    with pytest.raises(Exception):  # noqa: B017, PT011 - clients raise what they like
        await delivered(rabbit.spec(password_file=str(tmp_path / "wrong")), 1)
