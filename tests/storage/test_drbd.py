"""DRBD without a kernel module: resource files, read by the `drbdadm` of both releases, and what its words mean."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from standfast.cli.main import main
from standfast.clusterfile.replicated import problems
from standfast.model.cluster import Cluster, StorageSpec
from standfast.model.timing import PROFILES
from standfast.sim.draws import cluster_of
from standfast.storage.drbd_config import peer_of, resource
from standfast.storage.drbd_state import NEXT, Replica, Situation, from_proc, from_status, situation

STORAGE = StorageSpec(kind="drbd", path="/data/orders", disk="/dev/vg/orders", minor=3, port=7790)
PROGRAMS = {8: "/usr/lib/drbd/drbdadm-84", 9: "drbdadm"}

PROC = """\
version: 8.4.11 (api:1/proto:86-101)
srcversion: 059B1B470318F053F5077D5
 0: cs:{} C r-----
    ns:0 nr:22232 dw:22232 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:256636
{}
 1: cs:Unconfigured
 7: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C s-----
    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:1 ep:1 wo:f oos:4
"""
SPLIT = " 0: cs:StandAlone ro:Primary/Unknown ds:UpToDate/Outdated   r-----\n"
"""Without the letter of a protocol: there is no connection to have one."""
PROGRESS = (
    "\t[>....................] sync'ed:  3.2% (256636/262100)K\n\tfinish: 0:17:16 speed: 228 (216) want: 320 K/sec"
)
IN_SYNC = "Connected ro:Secondary/Primary ds:UpToDate/UpToDate"
SYNCING = "SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate"


def cluster(**changes: object) -> Cluster:
    made = cluster_of(3, PROFILES["fast"], 2)
    first, second = made.queue_managers
    storages = (structs.replace(STORAGE, **changes), structs.replace(STORAGE, disk="/dev/vg/more", minor=4, port=7791))
    specs = [structs.replace(qm, storage=storage) for qm, storage in zip((first, second), storages, strict=True)]
    return structs.replace(made, queue_managers=tuple(specs))


@pytest.mark.parametrize("major", [8, 9])
def test_the_real_drbdadm_reads_the_resource_file_and_finds_in_it_what_safety_rests_on(tmp_path: Path, major: int):
    wanted = cluster()
    file = tmp_path / "q0.res"
    file.write_text(resource(wanted, wanted.queue_managers[0], "/usr/bin/standfast drbd", major))
    done = subprocess.run([PROGRAMS[major], "-c", str(file), "dump"], capture_output=True, text=True, check=True)
    words = " ".join(done.stdout.replace('"', "").split())
    assert "protocol C;" in words
    assert "fencing resource-and-stonith;" in words
    assert "fence-peer /usr/bin/standfast drbd fence-peer;" in words
    assert "after-sb-1pri disconnect;" in words
    assert words.count("disk /dev/vg/orders;") == 2
    assert peer_of(wanted, "a") == "b"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, None),
        ({"disk": ""}, "disk"),
        ({"port": 0}, "port"),
        ({"filesystem": "ntfs"}, "filesystem"),
        ({"minor": 4}, "minor"),
        ({"disk": "/dev/vg/more"}, "disk"),
    ],
)
def test_rules_of_the_cluster_file(changes: dict[str, object], key: str | None):
    assert [problem.path[-1] for problem in problems(cluster(**changes))] == ([key] if key else [])


def test_a_pair_it_must_be():
    three = structs.replace(cluster_of(5, PROFILES["fast"], 1), queue_managers=cluster().queue_managers)
    assert {problem.path[-1] for problem in problems(three)} == {"kind"}


def test_the_words_of_8_4():
    in_sync = from_proc(PROC.format(IN_SYNC, ""), 0)
    assert in_sync == Replica("Connected", "Secondary", "Primary", "UpToDate", "UpToDate")
    syncing = from_proc(PROC.format(SYNCING, PROGRESS), 0)
    assert syncing is not None
    assert (situation(syncing), syncing.percent) == (Situation.RESYNC, 3.2)
    assert situation(from_proc(PROC.format(IN_SYNC, ""), 7)) is Situation.FROZEN
    split = from_proc(SPLIT, 0)
    assert split == Replica("StandAlone", "Primary", "Unknown", "UpToDate", "Outdated")
    assert situation(split) is Situation.SPLIT
    assert from_proc(PROC.format(IN_SYNC, ""), 1) is None
    assert from_proc(PROC.format(IN_SYNC, ""), 2) is None


def test_the_words_of_9():
    peer = {"volume": 0, "replication-state": "SyncTarget", "peer-disk-state": "UpToDate", "percent-in-sync": 37.5}
    connection = {"connection-state": "Connected", "peer-role": "Primary", "peer_devices": [peer]}
    device = {"volume": 0, "minor": 3, "disk-state": "Inconsistent"}
    said = [{"role": "Secondary", "suspended-fencing": False, "devices": [device], "connections": [connection]}]
    found = from_status(json.dumps(said), 3)
    assert found == Replica("SyncTarget", "Secondary", "Primary", "Inconsistent", "UpToDate", percent=37.5)
    assert from_status(json.dumps(said), 4) is None
    device["disk-state"] = "UpToDate"
    peer["replication-state"] = "Established"
    in_sync = from_status(json.dumps(said), 3)
    assert in_sync is not None
    assert in_sync.in_sync


@pytest.mark.parametrize(
    ("replica", "wanted"),
    [
        (None, Situation.DOWN),
        (Replica("Connected", "Primary", "Secondary", "UpToDate", "UpToDate"), Situation.IN_SYNC),
        (Replica("WFConnection", "Primary", "Unknown", "UpToDate", "Outdated"), Situation.ALONE),
        (Replica("WFConnection", "Primary", "Unknown", "UpToDate", "DUnknown", frozen=True), Situation.FROZEN),
        (Replica("StandAlone", "Primary", "Unknown", "UpToDate", "DUnknown"), Situation.SPLIT),
        (Replica("StandAlone", "Primary", "Unknown", "UpToDate", "DUnknown", frozen=True), Situation.SPLIT),
        (Replica("WFConnection", "Secondary", "Unknown", "Outdated", "DUnknown"), Situation.OUTDATED),
        (Replica("WFConnection", "Secondary", "Unknown", "Inconsistent", "DUnknown"), Situation.INCONSISTENT),
        (Replica("Connected", "Secondary", "Primary", "Inconsistent", "UpToDate", percent=1.0), Situation.RESYNC),
        (Replica("Connected", "Secondary", "Primary", "Diskless", "UpToDate"), Situation.DISKLESS),
    ],
)
def test_what_it_means(replica: Replica | None, wanted: Situation):
    assert situation(replica) is wanted
    assert NEXT[wanted]


def test_a_handler_without_a_member_to_ask_keeps_writes_frozen(tmp_path: Path):
    run = CliRunner().invoke
    assert run(main, ["drbd", "fence-peer"], env={"DRBD_RESOURCE": ""}).exit_code not in {3, 4, 5, 7}
    nobody = ["drbd", "unfence-peer", "--socket", str(tmp_path / "none.sock")]
    assert run(main, nobody, env={"DRBD_RESOURCE": "q0"}).exit_code == 9
