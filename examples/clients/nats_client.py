"""A NATS client that loses nothing when the queue manager moves: a producer and a consumer of a JetStream stream.

    python nats_client.py --servers nats://10.0.0.1:4222,nats://10.0.0.2:4222 --messages 1000

What makes it safe: the list of all data members; reconnecting without end; a message counts as sent when JetStream has
acknowledged it, and is sent again under the same id until then, which JetStream stores once (within its duplicate
window); the consumer acknowledges what it has done, and knows by its id what it has done before.
"""

import argparse
import asyncio
import contextlib
import json

import nats
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import StreamConfig

STREAM, SUBJECT, WORKER = "ORDERS", "orders.new", "worker"
PAUSE_S = 0.1
ANSWER_S = 1.0
DUPLICATES_S = 120.0
"""For how long JetStream knows an id again: longer than the longest takeover that you expect."""


async def connected(servers: list[str]) -> Client:
    """A connection to whichever member runs the queue manager; it finds the next one by itself."""
    while True:
        with contextlib.suppress(Error, OSError, TimeoutError):
            return await nats.connect(
                servers=servers,
                connect_timeout=1,
                max_reconnect_attempts=-1,
                reconnect_time_wait=PAUSE_S,
                ping_interval=2,
                max_outstanding_pings=2,
                error_cb=ignore,
            )
        await asyncio.sleep(PAUSE_S)


async def ignore(_: Exception) -> None:
    """Lost connections are expected: the client reconnects."""


async def produce(servers: list[str], messages: int) -> None:
    """Send every message until it is acknowledged."""
    client = await connected(servers)
    stream = client.jetstream(timeout=ANSWER_S)
    for number in range(messages):
        told = {"Nats-Msg-Id": f"order-{number}"}
        while True:
            try:
                await stream.publish(SUBJECT, json.dumps({"order": number}).encode(), headers=told)
                break
            except (Error, OSError, TimeoutError):
                await asyncio.sleep(PAUSE_S)
        print(f"acknowledged {number}", flush=True)
    await client.close()


async def consume(servers: list[str], messages: int) -> dict[str, int]:
    """Do every order once, whatever is delivered twice."""
    client = await connected(servers)
    stream = client.jetstream(timeout=ANSWER_S)
    done: set[int] = set()  # a real consumer keeps this with what the order changed, in one transaction
    again = 0
    waiting = None
    while len(done) < messages:
        try:
            waiting = waiting or await stream.pull_subscribe(SUBJECT, durable=WORKER, stream=STREAM)
            for message in await waiting.fetch(50, timeout=ANSWER_S):
                order = json.loads(message.data)["order"]
                again += order in done
                done.add(order)
                await message.ack_sync(timeout=ANSWER_S)
        except (Error, OSError, TimeoutError):
            await asyncio.sleep(PAUSE_S)
    await client.close()
    return {"done": len(done), "again": again}


async def main() -> None:
    """Both at once, until every message has come through."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--servers", required=True)
    arguments.add_argument("--messages", type=int, default=1000)
    given = arguments.parse_args()
    servers = given.servers.split(",")
    client = await connected(servers)
    config = StreamConfig(name=STREAM, subjects=[SUBJECT], duplicate_window=DUPLICATES_S)
    await client.jetstream(timeout=10).add_stream(config)
    await client.close()
    _, found = await asyncio.gather(produce(servers, given.messages), consume(servers, given.messages))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
