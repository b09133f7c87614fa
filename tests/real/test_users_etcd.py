"""An etcd that is there already, with users: members run none of their own, and take no other cluster's for theirs."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from standfast.errors import StoreFatal
from standfast.lab.plan import CLUSTER_FILE, RUN, STATE, free_net
from standfast.stores.etcd_program import find_etcd
from tests.real.running import QM, Running, planned, processes_in, standfast, started

PASSWORD = "correct horse"
START_S = 20.0


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One etcd in plain HTTP with authentication on; its address."""
    directory = tmp_path_factory.mktemp("etcd")
    address = f"{free_net(1, 2379, 2380)}.1"
    url, peer = f"http://{address}:2379", f"http://{address}:2380"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(find_etcd(), "--data-dir", str(directory / "data"), "--name", "own"),
                *("--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer),
                *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"own={peer}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        for command in (
            ("endpoint", "health"),
            ("user", "add", f"root:{PASSWORD}"),
            ("user", "grant-role", "root", "root"),
            ("auth", "enable"),
        ):
            subprocess.run(
                ["etcdctl", f"--endpoints={url}", f"--command-timeout={START_S:g}s", *command],
                check=True,
                capture_output=True,
                env={**os.environ, "ETCDCTL_API": "3"},
            )
        yield url
    finally:
        process.kill()
        process.wait()


def using(etcd: str, directory: Path, password: str = PASSWORD) -> dict[str, str]:
    """The edits to a cluster file; writes the password's file."""
    file = directory.with_name("password")
    file.write_text(password + "\n")
    file.chmod(0o600)
    return {"[store]": f'[store]\nendpoints = ["{etcd}"]\nusername = "root"\npassword_file = "{file}"'}


@pytest.fixture
async def shared(tmp_path: Path, etcd: str) -> AsyncIterator[Running]:
    directory = tmp_path / "lab"
    running = await started(directory, using(etcd, directory), profile="fast")
    yield running
    running.down()


async def test_a_cluster_on_the_users_etcd_survives_its_owner_and_keeps_out_another_of_its_name(
    cluster: Running, etcd: str, tmp_path: Path
) -> None:
    before = await cluster.queue_manager()
    assert before.owner is not None
    assert [cluster.etcd(name) for name in cluster.lab.nodes] == [None, None, None]
    cluster.lab.nodes[before.owner].kill()
    after = await cluster.lab.until_running(QM, on=cluster.other(before.owner), epoch=before.epoch + 1)
    await cluster.back(before.owner)

    directory = tmp_path / "stranger" / "lab"
    directory.parent.mkdir()
    stranger = planned(directory, using(etcd, directory), profile="fast")
    assert stranger.cluster.name == cluster.lab.cluster.name
    done = standfast(
        *("run", "--member", "a", "--file", directory / CLUSTER_FILE),
        *("--state-dir", directory / STATE / "a", "--run-dir", directory / RUN),
    )
    assert done.returncode == StoreFatal.exit_code, done.stderr
    assert processes_in(directory) == {}
    assert await cluster.placing() == (after.owner, after.epoch)
