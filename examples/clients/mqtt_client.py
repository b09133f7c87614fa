"""An MQTT client that loses nothing when the queue manager moves: a producer and a consumer with quality of service 1.

    python mqtt_client.py --servers 10.0.0.1:1883,10.0.0.2:1883 --messages 1000

What makes it safe: the list of all data members, tried in turn; sessions that the broker keeps (a client id of its own,
clean session off), so that it keeps what arrives while the consumer is away; a message counts as sent when its PUBACK
has come, and is sent again until then; the consumer knows by its id what it has done before.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator

from aiomqtt import Client, MqttError

TOPIC = "orders/new"
PAUSE_S = 0.1
ANSWER_S = 2.0


@contextlib.asynccontextmanager
async def connected(servers: Iterator[tuple[str, int]], name: str) -> AsyncIterator[Client]:
    """A connection to the next server in turn; raises MqttError when it does not run the queue manager."""
    host, port = next(servers)
    async with Client(host, port, identifier=name, clean_session=False, keepalive=2, timeout=ANSWER_S) as client:
        yield client


async def produce(servers: Iterator[tuple[str, int]], messages: int) -> None:
    """Send every message until it is acknowledged."""
    number = 0
    while number < messages:
        try:
            async with connected(servers, "orders-producer") as client:
                while number < messages:
                    await client.publish(TOPIC, json.dumps({"order": number}), qos=1)
                    print(f"acknowledged {number}", flush=True)
                    number += 1
        except MqttError:
            await asyncio.sleep(PAUSE_S)


async def consume(servers: Iterator[tuple[str, int]], messages: int, ready: asyncio.Event) -> dict[str, int]:
    """Do every order once, whatever is delivered twice."""
    done: set[int] = set()  # a real consumer keeps this with what the order changed, in one transaction
    again = 0
    while len(done) < messages:
        try:
            async with connected(servers, "orders-consumer") as client:
                await client.subscribe(TOPIC, qos=1)
                ready.set()
                async for message in client.messages:
                    order = json.loads(message.payload)["order"]
                    again += order in done
                    done.add(order)
                    if len(done) == messages:
                        break
        except MqttError:
            await asyncio.sleep(PAUSE_S)
    return {"done": len(done), "again": again}


async def main() -> None:
    """Both at once, until every message has come through."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--servers", required=True)
    arguments.add_argument("--messages", type=int, default=1000)
    given = arguments.parse_args()
    servers = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in given.servers.split(","))]
    ready = asyncio.Event()  # the broker keeps messages for a consumer from its first subscription on
    consuming = asyncio.create_task(consume(itertools.cycle(servers), given.messages, ready))
    await ready.wait()
    await produce(itertools.cycle(servers), given.messages)
    print(json.dumps(await consuming), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
