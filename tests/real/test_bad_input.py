"""What `standfast run` is given and can not use: a documented exit code, nothing lost, nothing left running."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfast.errors import (
    AlreadyRunning,
    ClusterFileError,
    KeyFileError,
    MachineError,
    NotAMember,
    StandfastError,
    StateError,
    UsageError,
)
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, RUN, STATE, TRUST
from standfast.member.statedir import IDENTITY, StateDir
from standfast.trust import CLUSTER_KEY
from tests.real.running import Running, edit, lasting, planned, processes_in, started

ENDS_S = 30.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Planned, never started: what is wrong keeps its members from starting."""
    made = planned(tmp_path / "lab", profile="fast")
    yield made
    assert processes_in(made.directory) == {}


def run(directory: Path, member: str = "a", **changes: object) -> subprocess.CompletedProcess[str]:
    """`standfast run` to its end; `changes`: options by name, `env`: the environment."""
    env = changes.pop("env", None)
    options = {
        "file": directory / CLUSTER_FILE,
        "state_dir": directory / STATE / member,
        "run_dir": directory / RUN,
        **changes,
    }
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return subprocess.run(
        [sys.executable, "-m", "standfast", "run", "--member", member, *given],
        check=False,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env=env,
    )


def assert_refused(done: subprocess.CompletedProcess[str], error: type[StandfastError]) -> None:
    assert done.returncode == error.exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1] != ""


# ---------------------------------------------------------------- what is given


def test_a_member_that_is_not_in_the_file(lab: Lab) -> None:
    assert_refused(run(lab.directory, "c"), UsageError)


def test_an_even_number_of_members(lab: Lab) -> None:
    more = '[[member]]\nname = "x"\nrole = "witness"\naddresses = ["127.1.1.9"]\n'
    edit(lab.directory, {"[[queue_manager]]": f"{more}\n[[queue_manager]]"})
    assert_refused(run(lab.directory), ClusterFileError)


def test_a_cluster_key_that_others_can_read(lab: Lab) -> None:
    (lab.directory / TRUST / "a" / CLUSTER_KEY).chmod(0o644)
    assert_refused(run(lab.directory), KeyFileError)


def test_a_cluster_key_that_is_missing(lab: Lab) -> None:
    (lab.directory / TRUST / "a" / CLUSTER_KEY).unlink()
    assert_refused(run(lab.directory), KeyFileError)


# ---------------------------------------------------------------- the state directory


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_an_identity_file_that_was_cut_short_is_left_as_it_is(lab: Lab, cut: int) -> None:
    state = lab.directory / STATE / "a"
    StateDir(state, lab.cluster.id, "a").close()
    file = state / IDENTITY
    file.write_bytes(file.read_bytes()[:cut])
    assert_refused(run(lab.directory), StateError)
    assert len(file.read_bytes()) == cut


@pytest.mark.parametrize(("cluster", "member"), [("another-cluster", "a"), ("", "b")])
def test_the_state_directory_of_another_member_or_cluster(lab: Lab, cluster: str, member: str) -> None:
    state = lab.directory / STATE / "a"
    StateDir(state, cluster or lab.cluster.id, member).close()
    before = (state / IDENTITY).read_bytes()
    assert_refused(run(lab.directory), StateError)
    assert (state / IDENTITY).read_bytes() == before


def test_a_state_directory_that_can_not_be_made(lab: Lab) -> None:
    assert_refused(run(lab.directory, state_dir="/proc/standfast"), StateError)


# ---------------------------------------------------------------- the machine


def test_a_run_directory_that_can_not_be_made(lab: Lab) -> None:
    assert_refused(run(lab.directory, run_dir="/proc/standfast"), MachineError)


def test_a_run_directory_too_deep_for_a_socket(lab: Lab) -> None:
    assert_refused(run(lab.directory, run_dir=lab.directory / ("d" * 100)), MachineError)


def test_no_etcd_on_this_machine(lab: Lab, tmp_path: Path) -> None:
    assert_refused(run(lab.directory, env={**os.environ, "PATH": str(tmp_path)}), MachineError)


@pytest.mark.parametrize("port", ["heartbeat_port", "health_port", "store_client_port", "store_peer_port"])
def test_a_port_that_is_taken(lab: Lab, port: str) -> None:
    me = lab.cluster.member("a")
    kind = socket.SOCK_DGRAM if port == "heartbeat_port" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((me.addresses[0], getattr(me, port)))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        done = run(lab.directory)
    assert_refused(done, MachineError)
    assert str(getattr(me, port)) in done.stderr


def test_an_error_that_ends_the_member_is_json_in_a_json_log(lab: Lab) -> None:
    StateDir(lab.directory / STATE / "a", lab.cluster.id, "b").close()
    done = run(lab.directory, log_format="json")
    assert_refused(done, StateError)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert (told[-1]["error"], told[-1]["level"]) == ("StateError", "critical")


# ---------------------------------------------------------------- twice


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from lasting(started(tmp_path_factory.mktemp("twice")))


def same(directory: Path) -> dict[str, object]:
    return {}


def with_another_state(directory: Path) -> dict[str, object]:
    return {"state_dir": directory / STATE / "another"}


@pytest.mark.parametrize("second", [same, with_another_state])
async def test_a_second_start_of_a_member_on_one_machine_harms_nothing(
    cluster: Running, second: Callable[[Path], dict[str, object]]
) -> None:
    before, owner = await cluster.placing(), await cluster.owner()
    pid, incarnation = cluster.process(owner), (await cluster.member(owner)).incarnation
    assert_refused(run(cluster.lab.directory, owner, **second(cluster.lab.directory)), AlreadyRunning)
    assert await cluster.placing() == before
    assert (cluster.process(owner), (await cluster.member(owner)).incarnation) == (pid, incarnation)


async def test_a_second_machine_of_the_same_name_at_another_address_ends_and_the_first_goes_on(
    cluster: Running, tmp_path: Path
) -> None:
    """Another machine: its own address, state and run directory, the same name, key and cluster."""
    owner = await cluster.owner()
    before, pid = await cluster.placing(), cluster.process(owner)
    incarnation = (await cluster.member(owner)).incarnation
    address = cluster.lab.cluster.member(owner).addresses[0]
    elsewhere = tmp_path / "elsewhere"
    for part in (STATE, RUN):
        (elsewhere / part).mkdir(parents=True)
    shutil.copytree(cluster.lab.directory / TRUST, elsewhere / TRUST)
    shutil.copy(cluster.lab.directory / CLUSTER_FILE, elsewhere)
    edit(elsewhere, {f'"{address}"': f'"{address.rpartition(".")[0]}.99"'})

    second = Lab(elsewhere)
    async with cluster.telling() as told:
        second.up([owner])
        with pytest.raises(MachineError):
            await second.until(lambda _: False, seen_by=[owner])
        assert f"exit code {NotAMember.exit_code}" in second.nodes[owner].failure
    assert [line.kind for line in told] == []
    assert await cluster.placing() == before
    assert (cluster.process(owner), (await cluster.member(owner)).incarnation) == (pid, incarnation)
    assert processes_in(elsewhere) == {}
