"""A snapshot: what a core knows, into a file and back, and files that are no good."""

import json
import time

import msgspec
import pytest
from msgspec import structs

from standfast.errors import UsageError
from standfast.member.control_protocol import TakeSnapshot
from standfast.member.handler import MemberHandler
from standfast.member.reporter import Reporter
from standfast.member.snapshot import FORMAT, Snapshot, read_snapshot, take
from standfast.model.cluster import Cluster, FencingSpec, StoreSpec
from standfast.model.messages import Heartbeat
from standfast.ports import LinkCounters, boottime_ns
from standfast.quorum.core import Core, Identity
from standfast.quorum.signals import FitnessChanged, Received, ViewRead, Woke
from tests.snapshots import INCARNATION, cluster_of, snapshot_of, written

PASSWORD_FILE = "/etc/standfast/password"
SECRET = "swordfish"
CLUSTER = structs.replace(
    cluster_of("abw", options={"password": SECRET}),
    store=StoreSpec(endpoints=("h:1",), password_file=PASSWORD_FILE),
    fencing=FencingSpec(command=("/fence",), options={"password": SECRET}, members={"a": {"password": SECRET}}),
)
KNOWN = snapshot_of(CLUSTER)


def core_of_a(cluster: Cluster, now_ns: int) -> Core:
    """Member a, which has read the store, hears w and nobody else, and can not run orders."""
    core = Core(Identity(name="a", machine="machine a", process=1), cluster, now_ns)
    core.step(now_ns, Woke())
    record = KNOWN.view.members["a"].record
    core.membership.joined(record)
    core.step(now_ns, ViewRead(KNOWN.view))
    heartbeat = Heartbeat("w", INCARNATION, 2, 1, now_ns, 0, 0b101, KNOWN.view.newest, able=True, leased=True)
    core.step(now_ns, Received(heartbeat))
    core.step(now_ns, FitnessChanged(("orders",)))
    return core


def test_it_holds_what_the_core_knows():
    taken = take(core_of_a(CLUSTER, 1_000), 1_000, 123, "w")
    assert (taken.taken_by, taken.at_unix_ms, taken.store_leader, taken.store_outside) == ("a", 123, "w", True)
    assert taken.view.members == KNOWN.view.members
    assert taken.view.assignments == KNOWN.view.assignments
    assert taken.cluster.timing == CLUSTER.timing
    assert set(taken.heard) == {"a", "w"}
    assert set(taken.heard["a"].hears) == {"a", "w"}
    assert set(taken.heard["w"].hears) == {"a", "w"}
    assert (taken.heard["a"].leased, taken.heard["a"].unfit) == (False, ("orders",))
    assert (taken.heard["w"].leased, taken.heard["w"].incarnation) == (True, INCARNATION)


def test_it_holds_no_secrets():
    text = msgspec.json.encode(take(core_of_a(CLUSTER, 0), 0, 0, "w")).decode()
    assert SECRET not in text
    assert PASSWORD_FILE not in text


async def test_a_member_answers_with_what_it_knows_now():
    now_ns = boottime_ns()
    core = core_of_a(CLUSTER, now_ns)

    class Facts:
        leader, version, read_ms = "w", "3.6.11", None

    before_ms = time.time_ns() // 1_000_000
    reporter = Reporter(CLUSTER, core, Facts(), Facts(), LinkCounters())
    taken = await MemberHandler(
        CLUSTER, reporter, None, None, None, tell=None, restart=None, configuring=None, alerting=None, replication=None
    ).handle(TakeSnapshot(), None)
    assert set(taken.heard) == {"a", "w"}
    assert taken.store_leader == "w"
    assert taken.at_unix_ms >= before_ms


def test_it_comes_back_from_a_file_as_it_was():
    taken = take(core_of_a(CLUSTER, 0), 0, 0, "w")
    assert read_snapshot(msgspec.json.encode(taken), "file") == taken


# ---------------------------------------------------------------- files that are no good

GOOD = msgspec.json.encode(KNOWN)


def changed(**values) -> bytes:
    return json.dumps({**json.loads(GOOD), **values}).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in json.loads(GOOD).items() if key != name}).encode()


def deep(path: str, value: object) -> bytes:
    """The good one with one value changed deep inside."""
    whole = json.loads(GOOD)
    *rooms, last = path.split("/")
    inner = whole
    for room in rooms:
        inner = inner[room]
    inner[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        GOOD[: len(GOOD) // 2],
        b"\x00\xff",
        b"[" * 100_000,
        b"[]",
        b'{"is": "status"}',
        changed(**{"is": "status"}),
        changed(format=FORMAT - 1),
        changed(format=FORMAT + 1),
        without("made_by"),
        without("view"),
        deep("view/members/a/record/state", "asleep"),
        deep("cluster/timing/interval_ms", 0),
    ],
    ids=[
        "empty",
        "cut short",
        "not text",
        "nested too deeply",
        "a list",
        "another document",
        "another answer",
        "an older format",
        "a newer format",
        "nobody made it",
        "no view",
        "a state of another release",
        "timing that is refused",
    ],
)
def test_what_can_not_be_read_is_refused(text):
    with pytest.raises(UsageError):
        read_snapshot(text, "file")


@pytest.mark.parametrize(
    "text",
    [
        changed(taken_by="x"),
        deep("view/assignments/orders/record/owner", "x"),
        deep("view/assignments/orders/record/qm", "x"),
        deep("view/members/a/record/name", "b"),
        deep("view/members/a/revision", 10_000),
        deep("view/specs", {}),
        deep("heard/a/hears", ["a", "x"]),
        deep("heard/x", {"hears": [], "incarnation": 1, "leased": False}),
        deep("cluster/members", json.loads(GOOD)["cluster"]["members"][:2]),
    ],
)
def test_what_contradicts_itself_is_refused(text):
    with pytest.raises(UsageError):
        read_snapshot(text, "file")


def test_what_a_newer_release_adds_is_passed_over():
    assert read_snapshot(changed(weather="fine"), "file") == KNOWN


def test_changes_by_hand_are_allowed():
    edited = written(KNOWN, "members/a", KNOWN.view.members["a"].record)
    assert isinstance(read_snapshot(msgspec.json.encode(edited), "file"), Snapshot)
