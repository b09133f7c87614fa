"""The lab's own network: what a cut drops, what a healing lets pass, and that nothing of it stays."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.errors import MachineError, UsageError
from standfast.lab.lab import Lab
from standfast.lab.network import CLIENT, Network, both_ways
from standfast.lab.plan import NAMESPACES, plan
from standfast.lab.processes import await_end
from tests.real.running import processes_in, standfast

ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2"}
ALL = {("a", "b"), ("b", "a"), ("a", CLIENT), (CLIENT, "a"), ("b", CLIENT), (CLIENT, "b")}
HEAR = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
    mine.bind((sys.argv[1], 7400))
    mine.setblocking(False)
    print("bound", flush=True)
    sys.stdin.read()
    try:
        while True:
            print(mine.recv(100).decode())
    except BlockingIOError:
        pass
"""
"""What has arrived until its input is closed."""
SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
    for address in sys.argv[2:]:
        mine.sendto(sys.argv[1].encode(), (address, 7400))
"""


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(f"standfast-{secrets.token_hex(4)}", ADDRESSES)
    made.up()
    yield made
    made.remove()
    made.remove()  # when there is none


def passing(network: Network) -> set[tuple[str, str]]:
    """Every way on which a datagram gets through."""
    listening = {
        name: subprocess.Popen(
            [*network.inside(name), sys.executable, "-c", HEAR, own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, own in network.addresses.items()
    }
    for process in listening.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "bound\n"
    for name in network.addresses:
        others = [own for other, own in network.addresses.items() if other != name]
        subprocess.run([*network.inside(name), sys.executable, "-c", SEND, name, *others], check=True)
    return {(source, to) for to, process in listening.items() for source in process.communicate()[0].split()}


def namespaces(prefix: str) -> set[str]:
    return {path.name for path in Path("/run/netns").glob(f"{prefix}*")}


def test_a_cut_drops_what_it_names_and_a_healing_mends_what_it_names(network: Network) -> None:
    assert passing(network) == ALL
    network.cut([("a", "b"), *both_ways("b", CLIENT)])
    assert network.cuts() == {("a", "b"), ("b", CLIENT), (CLIENT, "b")}
    assert passing(network) == ALL - network.cuts()
    network.cut([("a", "b")])  # once more is no mistake
    network.heal([("a", "b"), ("a", CLIENT)])  # nor is a healing of what is whole
    assert passing(network) == ALL - {("b", CLIENT), (CLIENT, "b")}
    network.heal()
    assert network.cuts() == set()
    assert passing(network) == ALL


def test_nobody_reaches_the_machine_outside(network: Network) -> None:
    done = subprocess.run([*network.inside("a"), "ip", "-json", "route"], capture_output=True, check=True)
    assert [route["dst"] for route in json.loads(done.stdout)] == ["10.77.0.0/24"]


def test_a_network_that_was_made_in_part_is_made_anew(network: Network) -> None:
    network.cut([("a", "b")])
    network.up()
    assert network.cuts() == {("a", "b")}  # what is there is left as it is
    subprocess.run(["ip", "netns", "delete", Path(network.inside("b")[1]).name], check=True)
    network.up()
    assert passing(network) == ALL


def test_the_end_of_it_ends_what_runs_in_it(network: Network) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    process = subprocess.Popen([*network.inside("a"), sys.executable, "-c", stubborn])
    network.remove()
    assert process.wait(5) == -signal.SIGKILL
    with pytest.raises(MachineError):
        network.cut([("a", "b")])
    with pytest.raises(UsageError):
        network.inside("c")


def test_without_root_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineError):
        plan(tmp_path / "lab", namespaces=True)
    assert not (tmp_path / "lab").exists()


def test_a_user_plays_with_cuts_and_leaves_nothing_even_after_a_kill(tmp_path: Path) -> None:
    """Everything by the command line; then all that runs is killed, and the lab is taken down."""
    where = ("--lab", tmp_path / "lab", "--json")

    def cut(*words: object) -> list[list[str]]:
        done = standfast("lab", *words, *where)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["cuts"]

    up = standfast("lab", "up", tmp_path / "lab", "--namespaces")
    assert up.returncode == 0, up.stderr
    assert cut("cut", "a:b", "w>a") == [["a", "b"], ["b", "a"], ["w", "a"]]
    assert cut("heal", "a:b") == [["w", "a"]]
    assert len(cut("isolate", "b")) == 1 + 6
    assert cut("heal") == []
    assert standfast("lab", "cut", "a:x", *where).returncode == UsageError.exit_code
    told = standfast("lab", "exec", "--lab", tmp_path / "lab", "w", "ip", "-4", "-brief", "address")
    assert "10.77.0.3/24" in told.stdout

    lab = Lab(tmp_path / "lab")
    prefix = (tmp_path / "lab" / NAMESPACES).read_text().strip()
    assert len(namespaces(prefix)) == len(lab.nodes) + 2
    daemons = [node.pid for node in lab.nodes.values() if node.pid]
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    assert await_end(daemons, 5.0)
    assert standfast("lab", "down", tmp_path / "lab").returncode == 0
    assert processes_in(tmp_path / "lab") == {}
    assert namespaces(prefix) == set()


def test_a_lab_on_loopback_addresses_can_not_be_cut(tmp_path: Path) -> None:
    plan(tmp_path / "lab")
    done = standfast("lab", "cut", "a:b", "--lab", tmp_path / "lab")
    assert done.returncode == UsageError.exit_code
