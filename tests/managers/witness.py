"""Stores and reads back messages with the usual client library of each broker: an independent witness of its data."""

import asyncio
from collections.abc import Awaitable, Callable

import aio_pika
import aiomqtt
import nats
from msgspec import Struct

from standfast.managers.rabbitmq import NOTED_S
from standfast.ports import Place

TOPIC, SESSION = "kept", "keeper"


class Witness(Struct, frozen=True):
    store: Callable[[Place, list[bytes]], Awaitable[None]]
    stored: Callable[[Place, int], Awaitable[list[bytes]]]


async def _store_nats(place: Place, messages: list[bytes]) -> None:
    client = await nats.connect(f"nats://{place.address}:{place.port}")
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept"])
    for message in messages:
        await stream.publish("kept", message)
    await client.close()


async def _stored_nats(place: Place, count: int) -> list[bytes]:
    client = await nats.connect(f"nats://{place.address}:{place.port}")
    stream = client.jetstream()
    found = [(await stream.get_msg("KEPT", seq=n + 1)).data or b"" for n in range(count)]
    await client.close()
    return found


def _session(place: Place) -> aiomqtt.Client:
    return aiomqtt.Client(place.address, place.port, identifier=SESSION, clean_session=False)


async def _store_mqtt(place: Place, messages: list[bytes]) -> None:
    async with _session(place) as keeper:
        await keeper.subscribe(TOPIC, qos=1)
    async with aiomqtt.Client(place.address, place.port) as client:
        for message in messages:
            await client.publish(TOPIC, message, qos=1)


async def _stored_mqtt(place: Place, count: int) -> list[bytes]:
    found: list[bytes] = []
    async with _session(place) as keeper:
        async for message in keeper.messages:
            found.append(bytes(message.payload))
            if len(found) == count:
                break
    return found


async def _store_amqp(place: Place, messages: list[bytes]) -> None:
    connection = await aio_pika.connect(host=place.address, port=place.port)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(TOPIC, durable=True)
        # As long as that is what it became without being asked for.
        await channel.declare_queue(TOPIC, durable=True, arguments={"x-queue-type": "quorum"})
        await asyncio.sleep(NOTED_S)  # on the disk, unseen from outside
        for message in messages:
            kept = aio_pika.Message(message, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(kept, routing_key=TOPIC, mandatory=True)


async def _stored_amqp(place: Place, count: int) -> list[bytes]:
    connection = await aio_pika.connect(host=place.address, port=place.port)
    async with connection:
        queue = await (await connection.channel()).declare_queue(TOPIC, durable=True)
        return [(await queue.get(timeout=5)).body for _ in range(count)]


_NATS = Witness(_store_nats, _stored_nats)


async def _talk_mq(place: Place, lines: list[bytes], answers: int) -> list[bytes]:
    reader, writer = await asyncio.open_connection(place.address, place.port)
    found = []
    for line in lines:
        writer.write(line + b"\n")
        found += [(await reader.readline()).rstrip(b"\n") for _ in range(answers)]
    writer.close()
    return found


async def _store_mq(place: Place, messages: list[bytes]) -> None:
    """What the stand-in's port speaks: see `tests/standins/ibmmq.py`."""
    assert set(await _talk_mq(place, [b"PUT " + message for message in messages], 1)) == {b"OK"}


async def _stored_mq(place: Place, count: int) -> list[bytes]:
    return await _talk_mq(place, [b"GET %d" % count], count)


async def _talk_stomp(place: Place, frames: list[str], until: str, times: int) -> list[bytes]:
    """Say these and give the frames that begin with `until`. By hand: bodies here hold no NUL."""
    reader, writer = await asyncio.open_connection(place.address, place.port)
    for frame in ("CONNECT\naccept-version:1.2\nhost:x\n\n", *frames):
        writer.write(frame.encode() + b"\0")
    found: list[bytes] = []
    while len(found) < times:
        frame = (await reader.readuntil(b"\0")).strip(b"\0\n")
        assert not frame.startswith(b"ERROR"), frame
        found += [frame] if frame.startswith(until.encode()) else []
    writer.close()
    return found


async def _store_stomp(place: Place, messages: list[bytes]) -> None:
    sends = [f"SEND\ndestination:/queue/{TOPIC}\npersistent:true\nreceipt:1\n\n{text.decode()}" for text in messages]
    await _talk_stomp(place, sends, "RECEIPT", len(sends))


async def _stored_stomp(place: Place, count: int) -> list[bytes]:
    subscribe = f"SUBSCRIBE\nid:1\ndestination:/queue/{TOPIC}\nack:client\n\n"
    return [frame.partition(b"\n\n")[2] for frame in await _talk_stomp(place, [subscribe], "MESSAGE", count)]


WITNESSES = {
    "activemq": Witness(_store_stomp, _stored_stomp),
    "ibmmq": Witness(_store_mq, _stored_mq),
    "command": _NATS,
    "nats": _NATS,
    "ocf": _NATS,
    "rabbitmq": Witness(_store_amqp, _stored_amqp),
    "systemd": _NATS,
    "mosquitto": Witness(_store_mqtt, _stored_mqtt),
}
