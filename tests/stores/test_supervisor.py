"""The supervised etcd: it runs, comes back when it dies, dies with its daemon, and never starts with its past lost."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from standfast.errors import MachineError, StateError
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Patience
from standfast.stores.etcd_program import last_error, stop
from standfast.stores.etcd_settings import arguments, client_url, endpoints, peer_url
from standfast.stores.leadership import Leadership
from standfast.stores.supervisor import EtcdServer, EtcdTuning, ServerState, TlsFiles
from tests.stores.etcds import cluster_of, octets

START = Patience(operation_s=20.0)
"""An etcd that starts on a busy disk may take seconds."""


async def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for another process: nothing tells us."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def alive(pid: int | None) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextlib.asynccontextmanager
async def running(server: EtcdServer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.run())
    try:
        await until(lambda: server.report().pid is not None or task.done())
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_serves_restarts_after_a_kill_and_stops(tmp_path: Path) -> None:
    cluster = cluster_of(octets() + 40, 1)
    server = EtcdServer(cluster, "a", tmp_path)
    etcd = Etcd("t", endpoints(cluster, "a", secure=False), patience=START)
    async with running(server):
        revision = await etcd.transact([], [("k", b"1")])
        first = server.report()
        assert first.state is ServerState.RUNNING
        assert first.version
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: server.report().pid not in (None, first.pid))
        assert [(c.key, c.revision) for c in (await etcd.read(0)).changes] == [("k", revision)]
        assert server.report().restarts == 1
        assert await server.move_leadership("a") is Leadership.WELL_PLACED
        last = server.report().pid
    assert not alive(last)
    assert server.report().state is ServerState.STOPPED
    await etcd.close()


async def test_three_members_find_each_other_and_leadership_goes_to_the_witness(tmp_path: Path) -> None:
    cluster = cluster_of(octets() + 43, 3)
    servers = {member.name: EtcdServer(cluster, member.name, tmp_path / member.name) for member in cluster.members}
    for name in servers:
        (tmp_path / name).mkdir()
    etcd = Etcd("t", endpoints(cluster, "b", secure=False), patience=START)
    async with contextlib.AsyncExitStack() as stack:
        for server in servers.values():
            await stack.enter_async_context(running(server))
        await etcd.read(0)
        moves = [await servers[name].move_leadership("w") for name in ("a", "b", "w")]
        assert moves in (
            [Leadership.MOVED, Leadership.NOT_OURS, Leadership.WELL_PLACED],
            [Leadership.NOT_OURS, Leadership.MOVED, Leadership.WELL_PLACED],
            [Leadership.NOT_OURS, Leadership.NOT_OURS, Leadership.WELL_PLACED],
        )
        assert await etcd.transact([], [("k", b"1")])
    await etcd.close()


DAEMON = """
import asyncio, sys
from pathlib import Path
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Patience
from standfast.stores.etcd_settings import endpoints
from standfast.stores.supervisor import EtcdServer
from tests.stores.etcds import cluster_of
async def main():
    cluster = cluster_of(int(sys.argv[1]), 1)
    server = EtcdServer(cluster, "a", Path(sys.argv[2]))
    task = asyncio.create_task(server.run())
    # A lone etcd that is killed while it writes its very first log can never start again.
    await Etcd("t", endpoints(cluster, "a", secure=False), patience=Patience(operation_s=20.0)).read(0)
    print(server.report().pid, flush=True)
    await task
asyncio.run(main())
"""


async def test_it_dies_with_a_daemon_that_is_killed_and_starts_again_with_its_data(tmp_path: Path) -> None:
    octet = octets() + 47
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, str(octet), str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    pid = int(await daemon.stdout.readline())
    assert alive(pid)
    daemon.kill()
    await daemon.wait()
    await until(lambda: not alive(pid), within_s=2.0)
    async with running(EtcdServer(cluster_of(octet, 1), "a", tmp_path)):
        etcd = Etcd("t", endpoints(cluster_of(octet, 1), "a", secure=False), patience=START)
        await etcd.read(0)
        await etcd.close()


async def test_a_member_whose_data_vanished_does_not_vote_as_a_new_one(tmp_path: Path) -> None:
    server = EtcdServer(cluster_of(octets() + 48, 1), "a", tmp_path)
    async with running(server):
        await until((tmp_path / "etcd.begun").exists)
    shutil.rmtree(server.data_dir)
    with pytest.raises(StateError):
        await EtcdServer(cluster_of(octets() + 48, 1), "a", tmp_path).run()


async def test_a_taken_port_is_told_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standfast.stores.supervisor.STOP_S", 0.0)
    cluster = cluster_of(octets() + 49, 1)
    for port in (7401, 7402):
        with socket.create_server((cluster.members[0].addresses[0], port)), pytest.raises(MachineError):
            await EtcdServer(cluster, "a", tmp_path).run()
    assert not (tmp_path / "etcd").exists()


async def test_without_the_program_the_machine_is_told_to_lack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError):
        await EtcdServer(cluster_of(1, 1), "a", tmp_path).run()


async def test_settings_in_the_environment_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME", "someone-else")
    monkeypatch.setenv("ETCD_DATA_DIR", str(tmp_path / "elsewhere"))
    server = EtcdServer(cluster_of(octets() + 50, 1), "a", tmp_path)
    async with running(server):
        await until((tmp_path / "etcd.begun").exists)
    assert not (tmp_path / "elsewhere").exists()


async def test_what_does_not_stop_is_killed() -> None:
    stubborn = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"),
        stdout=asyncio.subprocess.PIPE,
    )
    await stubborn.stdout.readline()
    await stop(stubborn, 0.1)
    assert stubborn.returncode == -signal.SIGKILL


def test_the_last_error_in_the_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"
    assert last_error(log) == ""
    log.write_text(
        '{"level":"fatal","msg":"discovery failed","error":"address already in use"}\n{"level":"info","msg":"closed"}\n'
    )
    assert last_error(log) == "discovery failed: address already in use"
    with log.open("a") as more:
        more.write("flag provided but not defined: -nonsense\n" + '{"level":"warn","msg":"slow"}\n' * 10)
    assert last_error(log) == "flag provided but not defined: -nonsense"


def test_arguments_name_this_member_and_all_peers(tmp_path: Path) -> None:
    cluster = cluster_of(100, token="c-1")
    files = TlsFiles(ca=tmp_path / "ca", cert=tmp_path / "cert", key=tmp_path / "key")
    me = cluster.members[1]
    plain = arguments(cluster, me, tmp_path, "new", tls=None, tuning=EtcdTuning(heartbeat_ms=20, election_ms=200))
    assert {
        "--name=b",
        "--initial-cluster=a=http://127.0.20.100:7402,b=http://127.0.20.101:7402,w=http://127.0.20.102:7402",
        "--initial-cluster-token=c-1",
        "--initial-cluster-state=new",
        "--pre-vote=true",
        "--heartbeat-interval=20",
        "--election-timeout=200",
    } <= set(plain)
    secure = arguments(cluster, me, tmp_path, "existing", tls=files, tuning=EtcdTuning())
    assert {
        f"--trusted-ca-file={files.ca}",
        "--client-cert-auth=true",
        f"--peer-trusted-ca-file={files.ca}",
        "--peer-client-cert-auth=true",
        f"--listen-peer-urls={peer_url(me, secure=True)}",
        f"--listen-client-urls={client_url(me, secure=True)}",
    } <= set(secure)
    assert not [argument for argument in secure if "http://" in argument]
    assert not [argument for argument in plain if "cert" in argument]


def test_the_nearest_endpoint_comes_first() -> None:
    cluster = cluster_of(100)
    assert endpoints(cluster, "w", secure=True)[0] == "https://127.0.20.102:7401"
    assert len(endpoints(cluster, "w", secure=True)) == 3
