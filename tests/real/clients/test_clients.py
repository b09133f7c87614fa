"""The examples for clients, as they are shipped, through a takeover of a real cluster: every message comes through.

Those of AMQP speak with RabbitMQ, and expect the queue to be there; that of OpenWire needs a JDK, and the libraries of
Debian's ActiveMQ.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aio_pika
import pytest

from tests.real.rabbit import noted
from tests.real.running import QM, Running, started

EXAMPLES = Path(__file__).parents[3] / "examples/clients"
MESSAGES = 400
WITHIN_S = 120.0

LIBRARIES = "/usr/share/activemq/lib"
JARS = (
    "activemq-client",
    "geronimo-jms_1.1_spec",
    "geronimo-j2ee-management-1.1-spec",
    "hawtbuf",
    "slf4j-api",
)


class Case(NamedTuple):
    """A cluster's settings; the program that is the example; how it is told of servers, and how it names one."""

    settings: dict[str, Any]
    program: tuple[str, ...]
    server: str
    words: tuple[str, ...] = ("--servers", "{servers}", "--messages", "{messages}")
    edits: Mapping[str, str] | None = None
    before: Callable[[Running], Awaitable[None]] | None = None


def python(example: str) -> tuple[str, ...]:
    return sys.executable, str(EXAMPLES / example)


async def declare(cluster: Running) -> None:
    """The queue, as whoever owns it does it once; until RabbitMQ would find it again after a crash."""
    address = cluster.lab.cluster.member(await cluster.owner()).addresses[0]
    connection = await aio_pika.connect(f"amqp://guest:guest@{address}:5672/")
    async with connection, await connection.channel() as channel:
        await channel.declare_queue("orders", durable=True)
    await noted(cluster, "orders")


JAVA = ("java", "-cp", ":".join(f"{LIBRARIES}/{jar}.jar" for jar in JARS), str(EXAMPLES / "OpenWireClient.java"))
RABBIT = {"kind": "rabbitmq", "port": 5672}
ACTIVE = {"kind": "activemq", "port": 61616}
CASES = {
    "nats": Case({"kind": "nats"}, python("nats_client.py"), "nats://{address}:4222"),
    "amqp": Case(RABBIT, python("amqp_client.py"), "amqp://guest:guest@{address}:5672/", before=declare),
    "amqp10": Case(
        RABBIT,
        python("amqp10_client.py"),
        "amqp://guest:guest@{address}:5672",
        edits={"[queue_manager.options]": '[queue_manager.options]\nplugins = ["rabbitmq_amqp1_0"]'},
        before=declare,
    ),
    "mqtt": Case({"kind": "mosquitto", "port": 1883}, python("mqtt_client.py"), "{address}:1883"),
    "stomp": Case(ACTIVE, python("stomp_client.py"), "{address}:61616"),
    "openwire": Case(ACTIVE, JAVA, "{address}:61616", words=("{servers}", "{messages}")),
}


@pytest.mark.parametrize("name", CASES)
async def test_an_example_gets_every_message_through_a_takeover(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    cluster = await started(tmp_path, case.edits, profile="fast", **case.settings)
    try:
        members = [cluster.lab.cluster.member(name).addresses[0] for name in cluster.data]
        if case.before is not None:
            await case.before(cluster)
        told_of = {"servers": ",".join(case.server.format(address=one) for one in members), "messages": MESSAGES}
        client = await asyncio.create_subprocess_exec(
            *(*case.program, *(word.format(**told_of) for word in case.words)), stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        try:
            async with asyncio.timeout(WITHIN_S):
                await until_acknowledged(client.stdout, MESSAGES // 2)
                owner, epoch = await cluster.placing()
                cluster.lab.nodes[owner].kill()
                await cluster.lab.until_running(QM, epoch=epoch + 1)
                told = (await client.stdout.read()).decode().splitlines()
                assert await client.wait() == 0
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        assert f"acknowledged {MESSAGES - 1}" in told, "it went on afterwards"
        assert json.loads(told[-1])["done"] == MESSAGES
        await cluster.back()
    finally:
        cluster.down()


async def until_acknowledged(said: asyncio.StreamReader, number: int) -> None:
    while (line := await said.readline()) and line.decode().strip() != f"acknowledged {number}":
        pass
    assert line, "the example ended early"
