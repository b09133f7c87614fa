"""The examples for clients, as they are shipped, through a takeover of a real cluster: every message comes through."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.running import QM, started

EXAMPLES = Path(__file__).parents[3] / "examples/clients"
MESSAGES = 400
WITHIN_S = 120.0

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "nats": ({"kind": "nats"}, "nats_client.py", "nats://{address}:4222"),
    "amqp": ({"kind": "rabbitmq", "port": 5672}, "amqp_client.py", "amqp://guest:guest@{address}:5672/"),
    "mqtt": ({"kind": "mosquitto", "port": 1883}, "mqtt_client.py", "{address}:1883"),
}
"""Settings of the cluster, the example, and how it names a server."""


@pytest.mark.parametrize("case", CASES)
async def test_an_example_gets_every_message_through_a_takeover(tmp_path: Path, case: str) -> None:
    settings, example, server = CASES[case]
    cluster = await started(tmp_path, profile="fast", **settings)
    try:
        members = [cluster.lab.cluster.member(name).addresses[0] for name in cluster.data]
        servers = ",".join(server.format(address=address) for address in members)
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, str(EXAMPLES / example), "--servers", servers, "--messages", str(MESSAGES)),
            stdout=asyncio.subprocess.PIPE,
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
