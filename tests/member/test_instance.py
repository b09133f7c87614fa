"""A member as an instance of AWS: it leaves in time, and has itself replaced only when that helps."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.session import get_session
from moto.server import ThreadedMotoServer

from standfast.cli.instance import count
from standfast.endpoints.imds import Metadata, NoMetadata
from standfast.endpoints.instance import planned_end
from standfast.endpoints.kind import State
from standfast.member.instance import Instance, beyond_repair, report_unhealthy
from standfast.member.journal import Journal
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport, StoreReport
from standfast.model.cluster import AwsSpec, Role
from standfast.model.events import EventKind
from standfast.model.records import MemberState
from standfast.model.timing import PROFILES
from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from standfast.quorum.runs import RunState
from tests.member.warden_stage import until
from tests.standins.metadata import MetadataStandIn, metadata

SPOT = '{"action": "terminate", "time": "2026-01-01T08:22:00Z"}'
EVENT = '[{"Code": "instance-stop", "State": "active", "NotBefore": "21 Jan 2026 09:00:43 GMT", "EventId": "e-1"}]'


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataStandIn]:
    with metadata(placement__region="eu-west-1", instance_id="i-1") as stand_in:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", stand_in.url)
        yield stand_in


@pytest.mark.parametrize(
    ("path", "text", "ends"),
    [
        ("spot/instance-action", SPOT, True),
        ("spot/instance-action", '{"action": "hibernate", "time": "2026-01-01T08:22:00Z"}', True),
        ("autoscaling/target-lifecycle-state", "Terminated", True),
        ("autoscaling/target-lifecycle-state", "InService", False),
        ("events/maintenance/scheduled", EVENT, True),
        ("events/maintenance/scheduled", EVENT.replace("active", "completed"), False),
        ("events/maintenance/scheduled", EVENT.replace("active", "canceled"), False),
        ("events/maintenance/scheduled", "[]", False),
    ],
)
def test_what_aws_plans_for_this_machine(service, path, text, ends):
    assert planned_end(Metadata()) is None
    service.items[f"meta-data/{path}"] = text
    assert (planned_end(Metadata()) is not None) is ends


def test_a_machine_that_is_no_instance_has_no_metadata(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NoMetadata):
        planned_end(Metadata())


def test_a_token_that_has_run_out_is_told_apart_from_there_is_no_such_item(service):
    known = Metadata()
    assert known.instance() == "i-1"
    service.tokens.clear()
    with pytest.raises(NoMetadata):
        known.instance()


# ---------------------------------------------------------------- it will be ended


def member(name: str, **fields: Any) -> MemberReport:
    fields = {"role": Role.DATA, "state": MemberState.ONLINE, "heard_ms": 0, **fields}
    return MemberReport(name=name, address="127.0.0.1", **fields)


def report(*members: MemberReport, **of_orders: Any) -> StatusReport:
    return StatusReport(
        cluster="shop",
        answered_by="a",
        at_unix_ms=0,
        timing=PROFILES["fast"],
        members=(*members, member("w", role=Role.WITNESS)),
        queue_managers=(QueueManagerReport(name="orders", kind="nats", **of_orders),),
        store=StoreReport(reachable=True),
    )


async def test_a_notice_moves_everything_away_and_bars_the_member_until_it_is_taken_back(service, monkeypatch):
    monkeypatch.setattr("standfast.member.instance.EVERY_S", 0.02)
    orders: list[sig.Order] = []
    looks: list[int] = []
    journal = Journal("a")

    async def order(given: sig.Order) -> sig.Verdict:
        orders.append(given)
        return sig.Verdict.DONE if given == sig.Move("orders", "c") else sig.Verdict.TARGET_NOT_ELIGIBLE

    status = lambda: report(member("a"), member("b"), member("c"), owner="a")  # noqa: E731
    made = Instance(
        "a",
        AwsSpec(follow_notices=True),
        status=status,
        order=order,
        journal=journal,
        look_again=lambda: looks.append(1),
    )
    running = asyncio.create_task(made.run())
    try:
        await until(lambda: service.asked)
        assert (made.trouble, orders) == ("", [])
        service.items["meta-data/spot/instance-action"] = SPOT
        await until(lambda: sig.Move("orders", "c") in orders)
        assert orders[0] == sig.Move("orders", "b"), "who can not take it is passed over"
        assert made.trouble
        del service.items["meta-data/spot/instance-action"]
        await until(lambda: not made.trouble)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [line.kind for line in journal.local_since(0)[0]] == [EventKind.INSTANCE_ENDING]
    assert len(looks) == 2


async def test_a_member_that_nobody_told_to_look_asks_nothing(service):
    made = Instance("a", AwsSpec(), status=report, order=None, journal=Journal("a"), look_again=lambda: None)
    await asyncio.wait_for(made.run(), 1)
    assert service.asked == []


# ---------------------------------------------------------------- it is beyond repair

IDLE = {"owner": "b"}


@pytest.mark.parametrize(
    ("members", "of_orders", "lost"),
    [
        ((member("a", unfit=("orders",)), member("b")), IDLE, True),
        ((member("a", unfit=(ALL,)), member("b")), IDLE, True),
        ((member("a", quarantined=True), member("b")), IDLE, True),
        ((member("a"), member("b")), IDLE, False),
        ((member("a", unfit=("orders",)), member("b", unfit=("orders",))), IDLE, False),
        ((member("a", unfit=("orders",)), member("b", heard_ms=60_000)), IDLE, False),
        ((member("a", unfit=("orders",)), member("b", state=MemberState.EVICTED)), IDLE, False),
        ((member("a", unfit=("orders",)), member("b", quarantined=True)), IDLE, False),
        ((member("a", unfit=("other",)), member("b")), IDLE, False),
        ((member("a", unfit=("orders",)), member("b")), {"owner": "a"}, False),
        ((member("a", unfit=("orders",)), member("b")), {"owner": "b", "local": RunState.STOPPING}, False),
    ],
    ids=[
        "its storage is gone",
        "it is unfit for all",
        "it is in quarantine",
        "it is well",
        "the storage is gone for all",
        "the other one is not heard",
        "the other one is evicted",
        "both are in quarantine",
        "only one of its queue managers",
        "it owns one",
        "something of one still runs here",
    ],
)
def test_a_machine_is_given_up_only_when_another_one_lacks_nothing(members, of_orders, lost):
    assert bool(beyond_repair(report(*members, **of_orders), "a")) is lost


async def test_it_is_reported_once_it_has_lasted(service, monkeypatch):
    monkeypatch.setattr("standfast.member.instance.EVERY_S", 0.01)
    reported: list[float] = []
    loop = asyncio.get_running_loop()

    async def reporting(region: str) -> Any:
        reported.append(loop.time())
        return type("Outcome", (), {"state": State.LEADS})()

    monkeypatch.setattr("standfast.member.instance.report_unhealthy", reporting)
    states = [report(member("a", unfit=(ALL,)), member("b"), **IDLE), report(member("a"), member("b"), **IDLE)]
    since_s = loop.time()
    made = Instance(
        "a",
        AwsSpec(report_unhealthy=True, unhealthy_after_s=0.2),
        status=lambda: states[loop.time() < since_s + 0.1],
        order=None,
        journal=(journal := Journal("a")),
        look_again=lambda: None,
    )
    running = asyncio.create_task(made.run())
    await until(lambda: reported)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert reported[0] >= since_s + 0.3
    assert [line.kind for line in journal.local_since(0)[0]] == [EventKind.INSTANCE_UNHEALTHY]


async def test_the_group_hears_of_it(service, monkeypatch):
    """Against moto, which keeps the state and replaces nothing."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in (
            ("ENDPOINT_URL", f"http://{host}:{port}"),
            ("ACCESS_KEY_ID", "t"),
            ("SECRET_ACCESS_KEY", "t"),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)
        session = get_session()
        ec2, group = (session.create_client(name, region_name="eu-west-1") for name in ("ec2", "autoscaling"))
        image = ec2.describe_images()["Images"][0]["ImageId"]
        group.create_launch_configuration(LaunchConfigurationName="l", ImageId=image, InstanceType="t3.micro")
        zones = ["eu-west-1a"]
        group.create_auto_scaling_group(
            AutoScalingGroupName="g", LaunchConfigurationName="l", MinSize=1, MaxSize=1, AvailabilityZones=zones
        )
        instance = group.describe_auto_scaling_instances()["AutoScalingInstances"][0]["InstanceId"]
        service.items["meta-data/instance-id"] = instance
        assert (await report_unhealthy("")).state is State.LEADS
        assert group.describe_auto_scaling_instances()["AutoScalingInstances"][0]["HealthStatus"].upper() == "UNHEALTHY"
        service.items["meta-data/instance-id"] = "i-00000000000000000"
        assert (await report_unhealthy("")).state is not State.LEADS
    finally:
        server.stop()


def test_crashes_are_counted_within_their_time_only(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("standfast.cli.instance.time.clock_gettime", lambda _: now[0])
    file = tmp_path / "run/crashes"
    assert [count(file, 60.0) for now[0] in (1000.0, 1010.0, 1050.0, 1065.0)] == [1, 2, 3, 3]
    file.write_text("spoiled")
    assert count(file, 60.0) == 1
    now[0] = 5.0  # the machine was started anew
    assert count(file, 60.0) == 1
