"""Real receivers of events for tests: brokers, snmptrapd, a web server. Each tells what reached it, in order."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
from aiohttp import web

from standfast.model.sinks import SinkKind, SinkSpec

STARTS_S = 180.0
HOST = "127.0.83.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 0.2):
        return True
    return False


def private(file: Path, text: str) -> str:
    file.touch(mode=0o600)
    file.write_text(text + "\n")
    return str(file)


class Receiver(ABC):
    """Who takes events, and tells them."""

    kind: SinkKind

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        directory.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def spec(self, **more: Any) -> SinkSpec:
        """The sink that delivers to it."""

    @abstractmethod
    async def events(self) -> list[dict]:
        """Events that reached it, as often as they did."""

    async def received(self) -> list[str]:
        """Their ids."""
        return [event["id"] for event in await self.events()]

    async def prepare(self) -> None:  # noqa: B027 - not all need it
        """Make the queue, if there must be one."""

    def start(self) -> None:  # noqa: B027 - not all need it
        """Run it, if it is a program of its own."""

    def stop(self) -> None:  # noqa: B027 - not all need it
        """End that."""


class Program(Receiver):
    """A program that takes events; `start` again after `stop` finds what it had."""

    ended_by = signal.SIGKILL
    starts_slowly = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.process: subprocess.Popen | None = None

    @abstractmethod
    def argv(self) -> list[str]:
        """What starts it."""

    def env(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        log = (self.directory / "output.log").open("ab")
        self.process = subprocess.Popen(
            self.argv(),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.env()},
            start_new_session=True,
        )
        until_s = time.monotonic() + STARTS_S
        while not self.serves():
            assert time.monotonic() < until_s, (self.directory / "output.log").read_text()[-2000:]
            assert self.process.poll() is None, (self.directory / "output.log").read_text()[-2000:]
            time.sleep(0.05)

    def serves(self) -> bool:
        return answers(self.port)

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, self.ended_by)
            self.process.wait()
            self.process = None


class Mosquitto(Program):
    """With a subscriber whose session outlives both: what is acknowledged to us reaches it."""

    kind = SinkKind.MQTT
    ended_by = signal.SIGTERM  # killed, it may lose what it acknowledged: it does not sync

    def argv(self):
        (self.directory / "mosquitto.conf").write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.directory}/\nautosave_on_changes true\nautosave_interval 1\nuser root\n"
            "max_queued_messages 0\n"
        )
        return ["mosquitto", "-c", str(self.directory / "mosquitto.conf")]

    def spec(self, **more):
        return SinkSpec(
            **{"name": "mqtt", "kind": "mqtt", "url": f"mqtt://{HOST}:{self.port}", "target": "events", **more}
        )

    async def prepare(self):
        await self._subscribed(0.1)

    async def _subscribed(self, for_s: float) -> list[dict]:
        import paho.mqtt.client as paho

        got: list[dict] = []
        up = asyncio.Event()
        loop = asyncio.get_running_loop()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="reader", clean_session=False)
        client.on_message = lambda _client, _data, message: got.append(json.loads(message.payload))
        client.on_subscribe = lambda *_: loop.call_soon_threadsafe(up.set)
        client.on_connect = lambda c, *_: c.subscribe("events", qos=1)
        client.connect(HOST, self.port)
        client.loop_start()
        try:
            await asyncio.wait_for(up.wait(), 10)
            count = -1
            while count != len(got):
                count = len(got)
                await asyncio.sleep(for_s)
        finally:
            client.disconnect()
            client.loop_stop()
        self.kept = [*getattr(self, "kept", []), *got]
        return self.kept

    async def events(self):
        return await self._subscribed(0.3)


class NatsServer(Program):
    kind = SinkKind.NATS

    def argv(self):
        program = Path(sys.prefix) / "bin" / "nats-server"
        return [str(program), "-a", HOST, "-p", str(self.port), "-js", "-sd", str(self.directory)]

    def spec(self, **more):
        return SinkSpec(
            **{"name": "nats", "kind": "nats", "url": f"nats://{HOST}:{self.port}", "target": "events.all", **more}
        )

    async def client(self) -> nats.NATS:
        """Of the test."""
        return await nats.connect(f"nats://{HOST}:{self.port}")

    async def prepare(self):
        client = await self.client()
        await client.jetstream().add_stream(name="events", subjects=["events.>"])
        await client.close()

    async def events(self):
        client = await self.client()
        stream = client.jetstream()
        state = (await stream.stream_info("events")).state
        found = [json.loads((await stream.get_msg("events", number)).data) for number in range(1, state.messages + 1)]
        await client.close()
        return found


class Rabbit(Program):
    """RabbitMQ, spoken to in AMQP 0.9.1; with its plugin for AMQP 1.0."""

    kind = SinkKind.AMQP091
    starts_slowly = True

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.epmd = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    def argv(self):
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\nloopback_users = none\namqp1_0.default_user = guest\n"
        )
        (self.directory / "plugins").write_text("[rabbitmq_amqp1_0].\n")
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def env(self):
        base = str(self.directory)
        return {
            "HOME": base,
            "RABBITMQ_NODENAME": f"alerts{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{base}/mnesia",
            "RABBITMQ_LOG_BASE": f"{base}/log",
            "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/plugins",
            "RABBITMQ_PID_FILE": f"{base}/pid",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_CRASH_DUMP": f"{base}/erl_crash.dump",
        }

    def start(self) -> None:
        """Its epmd first: one that Erlang starts by itself may come too late on a busy machine, and outlives it."""
        env = {**os.environ, "ERL_EPMD_PORT": str(self.epmd)}
        self._mapper = subprocess.Popen(["epmd"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until_s = time.monotonic() + STARTS_S
        while not answers(self.epmd):
            assert time.monotonic() < until_s
            time.sleep(0.01)
        super().start()

    def stop(self):
        super().stop()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None

    def spec(self, **more):
        secret = private(self.directory / "password", "guest")
        return SinkSpec(
            **{
                "name": "rabbit",
                "kind": self.kind,
                "url": f"amqp://{HOST}:{self.port}",
                "target": self.kind.value,
                "username": "guest",
                "password_file": secret,
                **more,
            }
        )

    async def _channel(self):
        import aio_pika

        connection = await aio_pika.connect(f"amqp://guest:guest@{HOST}:{self.port}/")
        return connection, await connection.channel()

    async def prepare(self):
        connection, channel = await self._channel()
        for name in ("amqp", "amqp091"):
            await channel.declare_queue(name, durable=True)
        await connection.close()

    async def events(self):
        connection, _ = await self._channel()
        try:
            return await received_by_rabbit(connection, self.kind.value)
        finally:
            await connection.close()


async def received_by_rabbit(connection: Any, queue: str) -> list[dict]:
    """What is in a queue. Nothing is acknowledged, so that all of it goes back with the connection's end."""
    found = []
    held = await (await connection.channel()).get_queue(queue)
    while (message := await held.get(fail=False)) is not None:
        found.append(json.loads(message.body))
    return found


class RabbitAmqp10(Rabbit):
    kind = SinkKind.AMQP

    def spec(self, **more):
        return super().spec(**{"target": "/amq/queue/amqp", **more})


class TrapDaemon(Program):
    """net-snmp's snmptrapd; it takes version 2c, and version 3 from one user."""

    kind = SinkKind.SNMP
    USER, PASSWORD, PRIVACY = "standfast", "authpass12", "privpass12"

    def __init__(self, directory: Path, engine: bytes = b"") -> None:
        super().__init__(directory)
        self.engine = engine

    def argv(self):
        user = f"{self.USER} SHA-256 {self.PASSWORD} AES {self.PRIVACY}"
        lines = [
            f"snmpTrapdAddr udp:{HOST}:{self.port}",
            "authCommunity log public",
            f"createUser {user}",
            f"authUser log {self.USER} priv",
            r"format2 %V|%v\n",
        ]
        if self.engine:
            lines.insert(3, f"createUser -e 0x{self.engine.hex()} {user}")
        (self.directory / "snmptrapd.conf").write_text("\n".join(lines) + "\n")
        conf = str(self.directory / "snmptrapd.conf")
        return ["snmptrapd", "-f", "-Lf", str(self.directory / "traps"), "-C", "-c", conf, "-On", "-m", ""]

    def env(self):
        return {"SNMP_PERSISTENT_DIR": str(self.directory), "MIBS": ""}

    def serves(self):
        traps = self.directory / "traps"
        return traps.exists() and "NET-SNMP version" in traps.read_text()

    def spec(self, **more):
        community = private(self.directory / "community", "public")
        url = f"snmp://{HOST}:{self.port}"
        return SinkSpec(**{"name": "traps", "kind": "snmp", "url": url, "password_file": community, **more})

    def third(self, notify: str, **more: Any) -> SinkSpec:
        return self.spec(
            username=self.USER,
            password_file=private(self.directory / "auth", self.PASSWORD),
            options={
                "version": "3",
                "notify": notify,
                "privacy_password_file": private(self.directory / "privacy", self.PRIVACY),
            },
            **more,
        )

    async def events(self):
        return self.parsed((self.directory / "traps").read_text())

    @staticmethod
    def parsed(text: str) -> list[dict]:
        """Of whole lines that it wrote."""
        pattern = r'7403\.1\.1\.0 = STRING: "([^"]+)".*?7403\.1\.2\.0 = STRING: "([^"]+)"'
        return [{"id": told, "type": f"standfast.{kind}"} for told, kind in re.findall(pattern, text)]


class Web(Receiver):
    """A web server within the test, which can be told to refuse."""

    kind = SinkKind.WEBHOOK

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.hold = False
        self.on_event: Callable[[dict], None] = lambda _: None
        self._runner: web.AppRunner | None = None

    async def prepare(self):
        async def take(request: web.Request) -> web.Response:
            if self.hold:
                await asyncio.sleep(3600)
            body = await request.read()
            if self.status < 300:
                self.on_event(json.loads(body))
                self.requests.append((dict(request.headers), body))
            return web.Response(status=self.status, text="" if self.status == 204 else "no room")

        app = web.Application()
        app.router.add_post("/hook", take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.site(self._runner).start()

    def site(self, runner: web.AppRunner) -> web.TCPSite:
        """Where it listens."""
        return web.TCPSite(runner, HOST, self.port)

    async def close(self):
        if self._runner:
            await self._runner.cleanup()

    def spec(self, **more):
        return SinkSpec(**{"name": "hook", "kind": "webhook", "url": f"http://{HOST}:{self.port}/hook", **more})

    async def events(self):
        return [json.loads(body) for _, body in self.requests]
