"""The daemon and what is around it: systemd, log readers, neighbours on the same machine, strangers on the wire."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from standfast.lab.plan import CLUSTER_FILE, RUN, STATE, TRUST
from standfast.links.udp import UdpLinks
from standfast.member.report import NoticeKind
from standfast.model.cluster import Cluster
from standfast.model.messages import Heartbeat
from standfast.trust import CLUSTER_KEY, load_cluster_key
from tests.real.running import Running, lasting, planned, processes_in, started

ENDS_S = 20.0


# ---------------------------------------------------------------- systemd and logs


def test_a_lone_member_tells_systemd_how_it_is_logs_json_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Alone it never joins, for there is no majority; that must not keep it from ending."""
    lab = planned(tmp_path / "lab", profile="fast")
    address = str(tmp_path / "notify")
    log = tmp_path / "log"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notified, log.open("wb") as out:
        notified.bind(address)
        notified.settimeout(ENDS_S)
        daemon = subprocess.Popen(
            [
                *(sys.executable, "-m", "standfast", "run", "--member", "a", "--log-format", "json"),
                *("--file", str(lab.directory / CLUSTER_FILE), "--state-dir", str(lab.directory / STATE / "a")),
                *("--run-dir", str(lab.directory / RUN)),
            ],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stderr=out,
        )
        told = [notified.recv(4096).decode() for _ in range(3)]
        daemon.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in told:
            told.append(notified.recv(4096).decode())
        assert daemon.wait(ENDS_S) == 0
    assert sorted(set(told)) == ["READY=1", "STOPPING=1", "WATCHDOG=1"]
    assert told.index("READY=1") < told.index("STOPPING=1")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines
    assert all({"time", "level", "member", "logger", "message"} <= line.keys() for line in lines)
    assert processes_in(lab.directory) == {}


# ---------------------------------------------------------------- neighbours


async def test_two_clusters_of_one_name_on_one_machine_do_each_other_no_harm(tmp_path: Path) -> None:
    """Found on real clusters: both kept their queue managers in the same cgroup, and the kill of one reached both."""
    one, two = await asyncio.gather(*(started(tmp_path / name, profile="fast") for name in ("one", "two")))
    owner, before = await one.owner(), await one.placing()
    pid = one.process(owner)
    two.lab.nodes[await two.owner()].kill()
    await two.back()
    two.down()
    assert await one.placing() == before
    assert one.process(owner) == pid
    one.down()


# ---------------------------------------------------------------- strangers


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("outside")))


def stranger(cluster: Cluster) -> Cluster:
    """The same cluster with w at an address of its own, from which a stranger may speak as w."""
    own = next(m for m in cluster.members if m.name == "w").addresses[0].rpartition(".")[0] + ".77"
    members = tuple(msgspec.structs.replace(m, addresses=(own,)) if m.name == "w" else m for m in cluster.members)
    return msgspec.structs.replace(cluster, members=members)


HEARTBEAT = Heartbeat("w", 99, 1, 1, 0, 10**9, 0b111, 10**6, able=True, leased=True)


@pytest.mark.parametrize("kind", [NoticeKind.BAD_KEY, NoticeKind.OTHER_CLUSTER])
async def test_frames_of_strangers_are_counted_shown_and_change_nothing(cluster: Running, kind: NoticeKind) -> None:
    before = await cluster.placing()
    spoken_as = stranger(cluster.lab.cluster)
    key = load_cluster_key(cluster.lab.directory / TRUST / "a" / CLUSTER_KEY)
    if kind is NoticeKind.BAD_KEY:
        key = bytes(byte ^ 1 for byte in key)
    else:
        spoken_as = msgspec.structs.replace(spoken_as, id="another-cluster-id")
    links = UdpLinks(spoken_as, "w", key)
    async with cluster.telling() as told:
        await links.open(lambda _: None)
        try:
            for _ in range(20):
                links.send("a", HEARTBEAT)
                links.send("b", HEARTBEAT)
            await cluster.lab.until(lambda r: any(n.kind is kind for n in r.notices), seen_by=["a", "b"])
        finally:
            links.close()
    assert told == []
    assert await cluster.placing() == before
