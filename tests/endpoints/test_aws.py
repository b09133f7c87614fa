"""Elastic IP and Route 53 against moto's server: idempotent, and no old owner takes them back, however late it calls.

moto checks a batch of Route 53 less than AWS does: here it is taught the documented rule, that a batch is carried out
whole or not at all, and that a record is deleted only when it is there with these very values.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.session import get_session
from moto.route53.exceptions import InvalidChangeBatch
from moto.route53.models import Route53Backend
from moto.server import ThreadedMotoServer

from standfast.endpoints import aws, elastic_ip, route53
from standfast.endpoints.elastic_ip import TAG, ElasticIp
from standfast.endpoints.errand import Errand, Moment, carried_out
from standfast.endpoints.kind import Claim, Standing, State
from standfast.endpoints.route53 import Route53
from standfast.model.cluster import EndpointSpec
from standfast.ports import boottime_ns
from tests.standins.metadata import MetadataStandIn, metadata

MAC = "0a:00:00:00:00:01"
NAME = "orders.example.com."


def strict(self: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
    zone = self.get_hosted_zone(zoneid)
    there = {(one.name, one.type): [ttl_free(r) for r in one.records] for one in zone.rrsets}
    for change in change_list:
        record = change["ResourceRecordSet"]
        key = (record["Name"], record["Type"])
        values = [one["Value"] for one in record["ResourceRecords"]]
        if change["Action"] == "DELETE" and there.pop(key, None) != values:
            raise InvalidChangeBatch
        if change["Action"] == "CREATE" and key in there:
            raise InvalidChangeBatch
        if change["Action"] != "DELETE":
            there[key] = values
    plain(self, zoneid, change_list)


def ttl_free(record: Any) -> str:
    return record if isinstance(record, str) else record["Value"]


plain = Route53Backend.change_resource_record_sets


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def instance(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataStandIn]:
    """This machine is an instance; its role's credentials come from the environment here."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with metadata(placement__region="eu-west-1", instance_id="i-1", mac=MAC) as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL", service)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", stand_in.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setattr(Route53Backend, "change_resource_record_sets", strict)
        yield stand_in


@functools.cache
def api(service: str, name: str) -> Any:
    return get_session().create_client(
        name, region_name="eu-west-1", endpoint_url=service, aws_access_key_id="test", aws_secret_access_key="test"
    )


class Address:
    """An Elastic IP and two machines' interfaces."""

    kind = ElasticIp()

    def __init__(self, service: str, instance: MetadataStandIn) -> None:
        self.ec2 = api(service, "ec2")
        self.instance = instance
        self.allocation = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        subnet = self.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.interfaces = [
            self.ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"] for _ in "ab"
        ]
        self.options = {"allocation_id": self.allocation}

    def lead(self, machine: int, epoch: int, leased: Callable[[], bool] = lambda: True) -> State:
        before = dict(self.instance.items)
        path = f"meta-data/network/interfaces/macs/{MAC}/interface-id"
        self.instance.items[path] = self.interfaces[machine]
        try:
            return self.kind.lead(self.options, claim(epoch, f"10.0.0.{machine + 1}"), leased).state
        finally:
            self.instance.items.clear()
            self.instance.items.update(before)

    def leads_to(self) -> int | None:
        found = self.ec2.describe_addresses(AllocationIds=[self.allocation])["Addresses"][0].get("NetworkInterfaceId")
        return self.interfaces.index(found) if found else None


class Name:
    """A name in a hosted zone."""

    kind = Route53()

    def __init__(self, service: str, instance: MetadataStandIn) -> None:
        self.dns = api(service, "route53")
        made = self.dns.create_hosted_zone(Name="example.com.", CallerReference=str(boottime_ns()))
        self.zone = made["HostedZone"]["Id"].rpartition("/")[2]
        self.options = {"zone_id": self.zone, "name": NAME}

    def lead(self, machine: int, epoch: int, leased: Callable[[], bool] = lambda: True) -> State:
        return self.kind.lead(self.options, claim(epoch, f"10.0.0.{machine + 1}"), leased).state

    def leads_to(self) -> int | None:
        for record in self.dns.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]:
            if (record["Name"], record["Type"]) == (NAME, "A"):
                return int(record["ResourceRecords"][0]["Value"].rpartition(".")[2]) - 1
        return None


def claim(epoch: int, address: str) -> Claim:
    return Claim(cluster="c", qm="orders", epoch=epoch, address=address)


@pytest.fixture(scope="module")
def once() -> Callable[..., Any]:
    """The API's clients, made once: each takes half a second of a processor."""
    return functools.cache(aws.client)


@pytest.fixture(params=[Address, Name])
def endpoint(
    request: pytest.FixtureRequest,
    service: str,
    instance: MetadataStandIn,
    once: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    for kind in (elastic_ip, route53):
        monkeypatch.setattr(kind, "client", once)
    return request.param(service, instance)


def test_it_leads_to_the_owner_and_asking_again_changes_nothing(endpoint):
    assert endpoint.lead(0, 5) is State.LEADS
    changes = []
    assert endpoint.lead(0, 5, lambda: changes.append(1) or True) is State.LEADS
    assert (endpoint.leads_to(), changes) == (0, [])


def test_the_next_owner_takes_it_and_the_old_one_never_takes_it_back(endpoint):
    endpoint.lead(0, 5)
    assert endpoint.lead(1, 6) is State.LEADS
    assert endpoint.lead(0, 5) is State.NEWER
    assert endpoint.leads_to() == 1


@pytest.mark.parametrize("before", [True, False], ids=["it led somewhere", "it led nowhere"])
@pytest.mark.parametrize("held_up", [1, 2, 3])
def test_an_old_owner_that_is_held_up_before_any_of_its_changes_takes_nothing(endpoint, held_up, before):
    """The next owner does all its work at that moment; the old one, which had looked before, goes on with its calls."""
    if before:
        endpoint.lead(1, 4)
    calls = []

    def leased() -> bool:
        calls.append(1)
        if len(calls) == held_up:
            assert endpoint.lead(1, 6) is State.LEADS
        return True

    outcome = endpoint.lead(0, 5, leased)
    if len(calls) >= held_up:
        assert outcome is not State.LEADS
        endpoint.lead(1, 6)
        assert endpoint.leads_to() == 1


@pytest.mark.parametrize("ours", [1, 2, 3])
@pytest.mark.parametrize("his", [1, 2, 3])
def test_calls_of_an_old_owner_between_any_two_of_the_next_ones_change_nothing_for_long(endpoint, his, ours):
    """Both go on at the same time: the old one's calls all come while the next one is held up, then the next one's."""
    endpoint.lead(1, 4)
    paused, released = threading.Event(), threading.Event()

    def old_is_held_up() -> bool:
        calls.append(1)
        if len(calls) == his:
            paused.set()
            assert released.wait(30)
        return True

    calls: list[int] = []
    outcomes: list[State] = []
    old = threading.Thread(target=lambda: outcomes.append(endpoint.lead(0, 5, old_is_held_up)))
    old.start()
    while not paused.wait(0.01) and old.is_alive():
        pass
    asked: list[int] = []

    def next_is_held_up() -> bool:
        asked.append(1)
        if len(asked) == ours:
            released.set()
            old.join()
        return True

    state = endpoint.lead(1, 6, next_is_held_up)
    released.set()
    old.join()
    for _ in range(2):  # as it does anyway: at once after a failure, and every half minute
        state = endpoint.lead(1, 6)
    assert (state, endpoint.leads_to()) == (State.LEADS, 1)
    assert endpoint.lead(0, 5) is State.NEWER
    assert endpoint.leads_to() == 1


def test_without_a_lease_nothing_is_changed(endpoint):
    assert endpoint.lead(0, 5, lambda: False) is State.AGAIN
    assert endpoint.leads_to() is None
    assert endpoint.lead(1, 4) is State.LEADS


def test_what_belongs_to_another_cluster_is_left_alone(service, instance):
    address = Address(service, instance)
    tag = {"Key": TAG, "Value": "other/orders/1"}
    address.ec2.create_tags(Resources=[address.allocation], Tags=[tag])
    assert address.lead(0, 5) is State.REFUSED
    assert address.leads_to() is None


def test_an_address_that_does_not_exist_is_refused_and_a_dead_service_is_asked_again(instance, monkeypatch):
    options = {"allocation_id": "eipalloc-00000000"}
    instance.items[f"meta-data/network/interfaces/macs/{MAC}/interface-id"] = "eni-1"
    assert ElasticIp().lead(options, claim(1, "10.0.0.1"), lambda: True).state is State.REFUSED
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert ElasticIp().lead(options, claim(1, "10.0.0.1"), lambda: True).state is State.AGAIN


@pytest.mark.parametrize(("leased", "state"), [(True, State.LEADS), (False, State.AGAIN)])
async def test_an_errand_is_carried_out_by_a_child_that_knows_the_lease(service, instance, leased, state):
    name = Name(service, instance)
    spec = EndpointSpec(kind="route53", options=name.options)
    lease = Moment()
    lease.set(boottime_ns() + (60_000_000_000 if leased else -1))
    outcome = await carried_out(Errand(endpoint=spec, claim=claim(3, "10.0.0.2")), lease)
    lease.close()
    assert outcome.state is state
    assert name.leads_to() == (1 if leased else None)


@pytest.mark.parametrize(
    ("mark", "standing"),
    [
        ("c/orders/4", Standing.OLDER),
        ("c/orders/5", Standing.OURS),
        ("c/orders/6", Standing.NEWER),
        ("c/other/1", Standing.FOREIGN),
        ("c/orders/", Standing.FOREIGN),
        ("", Standing.FOREIGN),
    ],
)
def test_how_a_claim_stands_against_one_that_is_recorded(mark, standing):
    assert claim(5, "10.0.0.1").against(mark) is standing
