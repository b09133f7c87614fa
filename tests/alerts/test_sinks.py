"""Each kind of sink against its real receiver: what is delivered arrives, in order; what does not arrive raises."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from pathlib import Path

import jsonschema
import pytest
from msgspec import structs

from standfast.alerts.registry import MODULES, connect
from standfast.alerts.schema import schema
from standfast.alerts.sink import Door, Outgoing, door
from standfast.alerts.snmp import engine_id
from standfast.clusterfile.sinks import problems
from standfast.errors import KeyFileError, SinkError
from standfast.model.cluster import Cluster
from standfast.model.events import EventKind
from standfast.model.sinks import KINDS, SinkKind, SinkSpec
from tests.alerts.receivers import HOST, Mosquitto, NatsServer, TrapDaemon, Web, free_port, private
from tests.alerts.test_catalogue import sample
from tests.real.running import until

QUICK = (Mosquitto, NatsServer, TrapDaemon)


def outgoing(number: int) -> Outgoing:
    return Outgoing(structs.replace(sample(EventKind.QM_RUNNING), id=f"w.1.{number}"), "shop")


async def delivered(spec: SinkSpec, *numbers: int, within_s: float = 20.0) -> None:
    sink = connect(spec, door(spec, {}, "w"))
    try:
        await asyncio.wait_for(sink.deliver([outgoing(number) for number in numbers]), within_s)
    finally:
        await sink.close()


async def reach(receiver, count: int) -> list[str]:
    """What reached it, once so many did."""
    async with asyncio.timeout(20):
        while len(found := await receiver.received()) < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    return found


@pytest.fixture(scope="module", params=QUICK, ids=lambda kind: kind.__name__)
def receiver(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("receiver"))
    made.start()
    asyncio.run(made.prepare())
    yield made
    made.stop()


def sound(spec: SinkSpec) -> list[str]:
    cluster = Cluster(name="shop", id="0123456789", members=(), sinks=(spec,))
    return [problem.sentence for problem in problems(cluster)]


async def test_what_is_delivered_arrives_in_order(receiver):
    assert sound(receiver.spec()) == []
    await delivered(receiver.spec(), 1, 2, 3)
    assert await reach(receiver, 3) == ["w.1.1", "w.1.2", "w.1.3"]


@pytest.mark.parametrize("kind", [kind for kind in SinkKind if KINDS[kind].queue or kind is SinkKind.WEBHOOK])
async def test_nobody_there_raises(kind):
    scheme = next(iter(KINDS[kind].schemes))
    spec = SinkSpec(name="gone", kind=kind, url=f"{scheme}://{HOST}:{free_port()}", target="x", deadline_s=2.0)
    with pytest.raises(Exception):  # noqa: B017, PT011 - clients raise what they like
        await delivered(spec, 1)


def test_every_kind_has_a_file():
    assert {*MODULES} == {*SinkKind}


# ---------------------------------------------------------------- SNMP


@pytest.mark.parametrize("notify", ["trap", "inform"])
async def test_version_3_is_taken_by_snmptrapd(tmp_path, notify):
    receiver = TrapDaemon(tmp_path, engine_id("shop", "w"))
    receiver.start()
    try:
        assert sound(receiver.third(notify)) == []
        await delivered(receiver.third(notify), 1)
        assert await reach(receiver, 1) == ["w.1.1"]
    finally:
        receiver.stop()


async def test_an_inform_that_nobody_acknowledges_is_not_delivered(tmp_path):
    community = private(tmp_path / "community", "public")
    spec = SinkSpec(
        name="x",
        kind="snmp",
        url=f"snmp://{HOST}:{free_port()}",
        password_file=community,
        options={"notify": "inform"},
        deadline_s=1.0,
    )
    with pytest.raises(SinkError):
        await delivered(spec, 1)


# ---------------------------------------------------------------- webhook


@pytest.fixture
async def hook(tmp_path):
    made = Web(tmp_path)
    await made.prepare()
    yield made
    await made.close()


async def test_a_webhook_gets_a_signed_cloud_event(hook, tmp_path):
    secret = private(tmp_path / "secret", "s3cret")
    await delivered(hook.spec(options={"secret_file": secret}), 1)
    ((headers, body),) = hook.requests
    jsonschema.validate(json.loads(body), schema())
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"


@pytest.mark.parametrize("status", [301, 400, 500, 503])
async def test_an_answer_that_is_no_success_is_a_refusal(hook, status):
    hook.status = status
    with pytest.raises(SinkError):
        await delivered(hook.spec(), 1)


async def test_a_secret_that_others_can_read_is_not_used(hook, tmp_path):
    file = tmp_path / "open"
    file.write_text("s3cret\n")
    file.chmod(0o644)
    with pytest.raises(KeyFileError):
        await delivered(hook.spec(options={"secret_file": str(file)}), 1)


# ---------------------------------------------------------------- syslog and command


async def test_syslog_gets_one_line_an_event(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(5)
        spec = SinkSpec(name="log", kind=SinkKind.SYSLOG, url=f"unix://{tmp_path}/log")
        assert sound(spec) == []
        await delivered(spec, 1)
        line = log.recv(4096).decode()
    assert line.startswith("<30>standfast: qm_running orders")
    assert "id=w.1.1" in line
    assert "\n" not in line


async def test_syslog_over_the_network_is_of_rfc_5424():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind((HOST, 0))
        log.settimeout(5)
        await delivered(SinkSpec(name="log", kind=SinkKind.SYSLOG, url=f"udp://{HOST}:{log.getsockname()[1]}"), 1)
        assert log.recv(4096).decode().startswith("<30>1 2026-11-22T21:35:03.123Z w standfast - qm_running - ")


async def test_no_syslog_daemon_raises(tmp_path):
    with pytest.raises(SinkError):
        await delivered(SinkSpec(name="log", kind=SinkKind.SYSLOG, url=f"unix://{tmp_path}/log"), 1)


def command(*argv: str) -> SinkSpec:
    return SinkSpec(name="run", kind=SinkKind.COMMAND, options={"command": list(argv)})


async def test_a_command_gets_the_event(tmp_path):
    out = tmp_path / "out"
    await delivered(command("/bin/sh", "-c", f'cat >> {out}; echo "$STANDFAST_EVENT" >> {out}'), 1, 2)
    lines = out.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines[::2]] == ["w.1.1", "w.1.2"]
    assert lines[1::2] == ["qm_running"] * 2


@pytest.mark.parametrize("argv", [("/bin/false",), ("/nowhere/at/all",)])
async def test_a_command_that_fails_raises(argv):
    with pytest.raises(SinkError):
        await delivered(command(*argv), 1)


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        await delivered(command("/bin/sh", "-c", f"sleep 600 & echo $! > {pid}; wait"), 1, within_s=0.5)
    await until(lambda: not Path(f"/proc/{int(pid.read_text())}").exists())


# ---------------------------------------------------------------- where it is


def test_a_sink_on_a_queue_manager_of_the_cluster_is_where_that_runs():
    spec = SinkSpec(name="own", kind=SinkKind.NATS, url="nats://orders", target="events", queue_manager="orders")
    assert door(spec, {"orders": ("10.0.0.2", 4222)}, "w") == Door("10.0.0.2", 4222, False, "nats://orders", "w")
    with pytest.raises(SinkError):
        door(spec, {}, "w")
