"""How fast events leave, and whether any is lost: a real cluster, real receivers, takeovers with sinks that fail.

    python bench/alerts.py [--takeovers 100] [--seed 1] [--rabbit]

Speed: queue managers are moved while all receivers are up; for each event, from the wall clock at which its teller
began to write it (all are on this machine) to its being received. Loss: after takeovers with sinks that fail at random
every event of the log must be in each queue.
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

import aio_pika
import nats
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from standfast.lab.plan import CLUSTER_FILE
from standfast.member.control_protocol import Move
from standfast.model.sinks import SinkSpec
from tests.alerts.receivers import HOST, Mosquitto, Rabbit, RabbitAmqp10, TrapDaemon, Web
from tests.real.alerts.campaign import campaign
from tests.real.alerts.stage import OWN, Own, table
from tests.real.running import QM, Running, planned, up

RESULTS = Path(__file__).parent / "results/alerts.json"


class Arrivals:
    """When each event reached each receiver first, in seconds since 1970."""

    def __init__(self) -> None:
        self.at: dict[str, dict[str, float]] = {}
        self.told: dict[str, float] = {}
        self.since = 0.0

    def note(self, sink: str, event: dict) -> None:
        self.at.setdefault(sink, {}).setdefault(event["id"], time.time())
        if "time" in event:
            self.told.setdefault(event["id"], datetime.fromisoformat(event["time"]).timestamp())

    def delays_ms(self, sink: str) -> list[float]:
        """Of events told since `since`: what came before, as with the start, is not what is measured."""
        return [
            (at - told) * 1000
            for event, at in self.at.get(sink, {}).items()
            if (told := self.told.get(event, 0.0)) > self.since
        ]


async def follow_traps(receiver: TrapDaemon, arrivals: Arrivals) -> None:
    """As snmptrapd writes them, line by line: to read all of it again each time would be most of what is measured."""
    with (receiver.directory / "traps").open() as file:
        rest = ""
        while True:
            rest += file.read()
            whole, _, rest = rest.rpartition("\n")
            for event in receiver.parsed(whole):
                arrivals.note("snmp", event)
            await asyncio.sleep(0.001)


def follow_mqtt(receiver: Mosquitto, arrivals: Arrivals) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench", clean_session=False)
    client.on_message = lambda _client, _data, message: arrivals.note("mqtt", json.loads(message.payload))
    client.on_connect = lambda c, *_: c.subscribe("events", qos=1)
    client.reconnect_delay_set(1, 1)
    client.connect(HOST, receiver.port)
    client.loop_start()
    return client


async def follow_own(running, arrivals: Arrivals) -> None:
    while True:
        with contextlib.suppress(Exception):
            found = await running.queue_manager()
            client = await nats.connect(f"nats://{found.address}:{found.port}", allow_reconnect=False)
            try:
                sub = await client.subscribe("events.>")
                while client.is_connected:
                    with contextlib.suppress(TimeoutError):
                        message = await sub.next_msg(timeout=0.5)
                        arrivals.note("nats (own)", json.loads(message.data))
            finally:
                await client.close()
        await asyncio.sleep(0.05)


async def follow_rabbit(receiver: Rabbit, arrivals: Arrivals, name: str) -> None:
    connection = await aio_pika.connect(f"amqp://guest:guest@{HOST}:{receiver.port}/")
    async with connection:  # its end gives back to the queue what was not acknowledged
        channel = await connection.channel()
        queue = await channel.get_queue(receiver.kind.value)
        async with queue.iterator(no_ack=False) as messages:
            async for message in messages:
                arrivals.note(name, json.loads(message.body))


def figures(delays: list[float]) -> dict[str, float]:
    return {
        "events": len(delays),
        "median_ms": round(statistics.median(delays), 1),
        "p99_ms": round(sorted(delays)[int(len(delays) * 0.99)], 1),
        "max_ms": round(max(delays), 1),
    }


async def main(takeovers: int, moves: int, seed: int, *, rabbit: bool) -> dict:
    draw = random.Random(seed)
    directory = Path(tempfile.mkdtemp(prefix="standfast-bench-alerts-"))
    mqtt, traps, hook = Mosquitto(directory / "mqtt"), TrapDaemon(directory / "traps"), Web(directory / "hook")
    amqps = [Rabbit(directory / "amqp091"), RabbitAmqp10(directory / "amqp10")] if rabbit else []
    programs = (mqtt, traps, *amqps)
    for program in programs:
        program.start()
    for one in (*programs, hook):
        await one.prepare()
    lab = planned(directory / "lab", profile="fast")
    file = directory / "lab" / CLUSTER_FILE
    specs: list[SinkSpec] = [
        mqtt.spec(),
        traps.spec(options={"notify": "inform"}),
        hook.spec(),
        OWN,
    ]
    specs += [receiver.spec(name=name) for receiver, name in zip(amqps, ("amqp091", "amqp10"), strict=False)]
    file.write_text(file.read_text() + "".join(map(table, specs)))
    running: Running = await up(type(lab)(directory / "lab"))
    own = Own(directory / "own", running)
    await own.prepare()
    arrivals, result = Arrivals(), {}
    watcher = follow_mqtt(mqtt, arrivals)
    names = ("amqp 0.9.1", "amqp 1.0")
    follow = [follow_traps(traps, arrivals), follow_own(running, arrivals)]
    follow += [follow_rabbit(receiver, arrivals, name) for receiver, name in zip(amqps, names, strict=False)]
    tasks = [asyncio.create_task(one) for one in follow]
    hook.on_event = lambda event: arrivals.note("webhook", event)
    try:
        await asyncio.sleep(3)  # what came with the start is not what is measured
        arrivals.since = time.time()
        for _ in range(moves):
            owner = await running.owner()
            await running.order(Move(QM, running.other(owner)))
            await running.lab.until_running(QM, on=running.other(owner))
            await asyncio.sleep(0.7)
        result["speed"] = {sink: figures(arrivals.delays_ms(sink)) for sink in arrivals.at if arrivals.delays_ms(sink)}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        watcher.disconnect()
        watcher.loop_stop()
        queues = {"mqtt": mqtt, "nats (own)": own, **dict(zip(names, amqps, strict=False))}
        result["loss"] = await campaign(running, draw, takeovers, queues, hook)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        running.down()
        for program in programs:
            program.stop()
        await hook.close()
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takeovers", type=int, default=100)
    parser.add_argument("--moves", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rabbit", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(main(given.takeovers, given.moves, given.seed, rabbit=given.rabbit))
    print(json.dumps(found, indent=1))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
