"""Events go to queues of the very RabbitMQ that dies with its node, in both protocols, and are all there afterwards."""

import asyncio

import aio_pika
import pytest

from standfast.lab.plan import CLUSTER_FILE
from standfast.member.report import StatusReport
from standfast.model.records import Phase
from standfast.model.sinks import SinkKind, SinkSpec
from tests.alerts.receivers import STARTS_S, Receiver, received_by_rabbit
from tests.real.alerts.stage import has_all, logged, table
from tests.real.rabbit import noted
from tests.real.running import QM, Running, edit, planned

TARGETS = {SinkKind.AMQP091: "amqp091", SinkKind.AMQP: "/amq/queue/amqp"}
PATIENCE_S = 5.0
PLUGIN = 'plugins = ["rabbitmq_amqp1_0"]\nsettings = { "amqp1_0.default_user" = "guest" }\n'


class OwnRabbit(Receiver):
    """A queue of the cluster's own queue manager, wherever that runs."""

    def __init__(self, running: Running, kind: SinkKind) -> None:
        super().__init__(running.lab.directory / kind.value)
        self._running = running
        self.kind = kind

    def spec(self, **more):
        return own_sink(self.kind)

    async def _connected(self) -> aio_pika.abc.AbstractConnection:
        found = await self._running.queue_manager()
        return await aio_pika.connect(f"amqp://guest:guest@{found.address}:{found.port}/")

    async def prepare(self):
        async with await self._connected() as connection:
            await (await connection.channel()).declare_queue(self.kind.value, durable=True)
        await noted(self._running, self.kind.value)

    async def events(self):
        """Nothing while it does not answer: a quorum queue that elects its leader lets a question go unanswered."""
        try:
            async with asyncio.timeout(PATIENCE_S), await self._connected() as connection:
                return await received_by_rabbit(connection, self.kind.value)
        except TimeoutError:
            return []


def own_sink(kind: SinkKind) -> SinkSpec:
    return SinkSpec(name=kind.value, kind=kind, url=f"amqp://{QM}", target=TARGETS[kind], queue_manager=QM)


async def runs(running: Running, *on: str) -> None:
    """It does on one of these; it starts for long on a busy machine."""

    def good(report: StatusReport) -> bool:
        return any(qm.phase is Phase.RUNNING and qm.owner in on for qm in report.queue_managers)

    await running.lab.until(good, within_s=STARTS_S)


@pytest.fixture
async def running(tmp_path):
    lab = planned(tmp_path / "lab", kind="rabbitmq")
    edit(lab.directory, {"[queue_manager.options]\n": "[queue_manager.options]\n" + PLUGIN})
    file = lab.directory / CLUSTER_FILE
    file.write_text(file.read_text() + "".join(table(own_sink(kind)) for kind in TARGETS))
    made = Running(type(lab)(lab.directory))
    made.lab.up()
    try:
        await runs(made, *made.data)
        yield made
    finally:
        made.down()


async def test_every_event_is_in_its_queues_when_it_runs_again(running):
    """The plugin for AMQP 1.0 accepts what no queue takes, and drops it: there all counts from the declaration on."""
    queues = {OwnRabbit(running, kind): "" for kind in TARGETS}
    for queue in queues:
        await queue.prepare()
        if queue.kind is SinkKind.AMQP:
            queues[queue] = (await logged(running))[-1]
    owner = await running.owner()
    running.lab.nodes[owner].kill()
    await runs(running, running.other(owner))
    for queue, declared in queues.items():
        await has_all(running, queue, after=declared)
