"""An AMQP 0.9.1 client (RabbitMQ) that loses nothing when the queue manager moves: a producer and a consumer.

    python amqp_client.py --servers amqp://guest:guest@10.0.0.1/,amqp://guest:guest@10.0.0.2/ --messages 1000

What makes it safe: the list of all data members, tried in turn; a durable queue and persistent messages; publisher
confirms: a message counts as sent when the broker has confirmed it, and is sent again until then; the consumer
acknowledges what it has done, and knows by its id what it has done before. The queue exists already, made durable (a
quorum queue) by whoever owns it: RabbitMQ may forget one that it was told of less than a second or two ago.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity

QUEUE = "orders"
PAUSE_S = 0.1
ANSWER_S = 5.0
LOST = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What a lost connection looks like; aiormq raises RuntimeError for a channel that is closed already."""


@contextlib.asynccontextmanager
async def channel(servers: Iterator[str]) -> AsyncIterator[AbstractChannel]:
    """A channel with confirms on the next server in turn; raises what is in LOST when it does not run the broker.

    LookupError: it runs, and there is no such queue.
    """
    async with asyncio.timeout(ANSWER_S):
        connection = await aio_pika.connect(next(servers), heartbeat=2)
    try:
        opened = await connection.channel(publisher_confirms=True)
        await opened.set_qos(prefetch_count=50)
        await opened.get_queue(QUEUE)
        yield opened
    except ChannelNotFoundEntity:
        raise LookupError(f"There is no queue {QUEUE!r}: declare it first, durable.") from None
    finally:
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(PAUSE_S):
                await connection.close()


async def produce(servers: Iterator[str], messages: int) -> None:
    """Send every message until it is confirmed."""
    number = 0
    while number < messages:
        try:
            async with channel(servers) as opened:
                while number < messages:
                    body = json.dumps({"order": number}).encode()
                    lasting = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    await opened.default_exchange.publish(lasting, routing_key=QUEUE, timeout=ANSWER_S)
                    print(f"acknowledged {number}", flush=True)
                    number += 1
        except LOST:
            await asyncio.sleep(PAUSE_S)


async def consume(servers: Iterator[str], messages: int) -> dict[str, int]:
    """Do every order once, whatever is delivered twice."""
    done: set[int] = set()  # a real consumer keeps this with what the order changed, in one transaction
    again = 0
    while len(done) < messages:
        try:
            async with channel(servers) as opened:
                queue = await opened.get_queue(QUEUE, ensure=False)
                async with queue.iterator(timeout=ANSWER_S) as waiting:
                    async for message in waiting:
                        order = json.loads(message.body)["order"]
                        again += order in done
                        done.add(order)
                        await message.ack()
                        if len(done) == messages:
                            break
        except LOST:
            await asyncio.sleep(PAUSE_S)
    return {"done": len(done), "again": again}


async def main() -> None:
    """Both at once, until every message has come through."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--servers", required=True)
    arguments.add_argument("--messages", type=int, default=1000)
    given = arguments.parse_args()
    servers = given.servers.split(",")
    _, found = await asyncio.gather(
        produce(itertools.cycle(servers), given.messages), consume(itertools.cycle(servers), given.messages)
    )
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except LookupError as error:
        raise SystemExit(str(error)) from None
