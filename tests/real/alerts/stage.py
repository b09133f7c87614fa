"""A real cluster with sinks: what it tells, and what reached them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import nats
import pytest

from standfast.lab.plan import CLUSTER_FILE
from standfast.model.sinks import SinkSpec
from tests.alerts.receivers import Mosquitto, NatsServer, Program, Receiver, TrapDaemon, Web
from tests.real.running import QM, Running, planned, up

WITHIN_S = 40.0


def table(spec: SinkSpec) -> str:
    """As it stands in a cluster file."""
    lines = ["[[sink]]", "deadline_s = 3.0"]
    names = ("name", "kind", "url", "target", "queue_manager", "username", "password_file")
    lines += [f'{name} = "{value}"' for name in names if (value := getattr(spec, name))]
    lines.append("[sink.options]")
    return "\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in spec.options.items())]) + "\n"


OWN = SinkSpec(name="own", kind="nats", url="nats://orders", target="events.all", queue_manager=QM)


class Own(NatsServer):
    """A stream on the cluster's own queue manager, wherever it runs."""

    def __init__(self, directory: Path, running: Running) -> None:
        super().__init__(directory)
        self._running = running

    def spec(self, **more):
        return OWN

    async def client(self):
        found = await self._running.queue_manager()
        return await nats.connect(f"nats://{found.address}:{found.port}")


def sequences(events: Iterable[dict]) -> list[str]:
    """Of the events of the log, each as it came first."""
    return [*dict.fromkeys(event["sequence"] for event in events if "sequence" in event)]


async def logged(running: Running) -> list[str]:
    """The sequence of each event of the log."""
    found: list[str] = []
    last, order = 0, 0
    for line in await running.log():
        order = order + 1 if line.revision == last else 0
        last = line.revision
        found.append(f"{line.revision:016d}.{order:04d}")
    return found


async def has_all(running: Running, receiver: Receiver, after: str = "") -> None:
    """It has every event of the log with a later sequence, in the log's order."""
    missing: set[str] = set()
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                log, got = await logged(running), sequences(await receiver.events())
                missing = {one for one in log if one > after} - {*got}
                if not missing:
                    break
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"{type(receiver).__name__} misses {sorted(missing)}")
    assert got == sorted(got)


async def called_for_help(receiver: Receiver, before: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if "standfast.lease_lost" in {event["type"] for event in (await receiver.events())[before:]}:
                return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def staged(tmp_path: Path, *more: Receiver) -> AsyncIterator[tuple[Running, dict[str, Receiver]]]:
    """A cluster with a sink of each of four kinds, one of them on its own queue manager; and `more`, that run."""
    programs: dict[str, Program] = {"mqtt": Mosquitto(tmp_path / "mqtt"), "traps": TrapDaemon(tmp_path / "traps")}
    hook = Web(tmp_path / "hook")
    for program in programs.values():
        program.start()
    for receiver in (*programs.values(), hook):
        await receiver.prepare()
    lab = planned(tmp_path / "lab")
    file = tmp_path / "lab" / CLUSTER_FILE
    specs = [
        programs["mqtt"].spec(),
        programs["traps"].spec(options={"notify": "inform"}),
        hook.spec(),
        Own(tmp_path / "own", None).spec(),
        *(receiver.spec() for receiver in more),
    ]
    file.write_text(file.read_text() + "".join(map(table, specs)))
    running = await up(type(lab)(tmp_path / "lab"))
    own = Own(tmp_path / "own", running)
    yield running, {**programs, "hook": hook, "own": own}
    running.down()
    for program in programs.values():
        program.stop()
    await hook.close()
