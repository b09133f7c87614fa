"""An etcd whose disk was lost: the others take it in anew, wherever the attempt was killed; a founder just starts."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from standfast.errors import StoreError
from standfast.stores import readmission
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.etcd_settings import endpoints, peer_url
from standfast.stores.readmission import Readmission, Standing
from standfast.stores.roster import dismiss
from standfast.stores.supervisor import EtcdServer, ServerState
from tests.stores.etcds import Etcds, cluster_of, octets

PATIENT = Patience(operation_s=25.0)
"""etcd takes nobody in before all who are left have been connected for five seconds."""


class Dead(Exception):  # noqa: N818 - not an error of the product
    """The member's machine stands still here."""


async def until(true: Callable[[], object], within_s: float = 25.0) -> None:
    """Wait for another process: nothing tells us."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """b and w of a cluster of three: a majority."""
    members = Etcds(tmp_path_factory.mktemp("others"), cluster_of(octets() + 52))
    try:
        members.start("b", "w")
        yield members
    finally:
        members.stop()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a."""
    return tmp_path_factory.mktemp("disks") / "a"


def lose(disk: Path) -> None:
    shutil.rmtree(disk, ignore_errors=True)
    disk.mkdir()


def server_of(others: Etcds, name: str, disk: Path, hindrances: list[str] | None = None) -> EtcdServer:
    """`hindrances`: what the cluster says one time after the other; then nothing."""
    left = list(hindrances or ())

    async def hindrance() -> str:
        return left.pop(0) if left else ""

    return EtcdServer(others.cluster, name, disk, readmission=Readmission(others.cluster, name, hindrance))


@contextlib.asynccontextmanager
async def running(server: EtcdServer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def holds(others: Etcds, name: str, key: str) -> bool:
    """Whether a member's own etcd serves, and has the key."""
    client = Etcd("t", [others.endpoint(name)], patience=PATIENT)
    try:
        return key in {change.key for change in (await client.read(0)).changes}
    finally:
        await client.close()


async def write(others: Etcds, key: str) -> None:
    client = Etcd("t", endpoints(others.cluster, "w", secure=False), patience=PATIENT)
    try:
        await client.transact([], [(key, b"1")])
    finally:
        await client.close()


def listed(others: Etcds, by: str = "w") -> dict[str, str]:
    """Id by peer address, as etcd lists them; an id has one address."""
    found = others.post(by, "/v3/cluster/member/list")["members"]
    return {url: member["ID"] for member in found for url in member["peerURLs"]}


async def whole(others: Etcds, server: EtcdServer, name: str = "a") -> None:
    """It serves with everything, nothing unfinished is left, and every member is listed once."""
    await write(others, key := os.urandom(4).hex())
    assert await holds(others, name, key)
    await until(lambda: not (server.data_dir.parent / "etcd.joining").exists())
    assert server.report().state is ServerState.RUNNING
    # Another one may just be on its way in.
    await until(lambda: len(listed(others)) == len(others.cluster.members))


async def test_a_founder_that_comes_late_just_starts(others: Etcds, disk: Path) -> None:
    lose(disk)
    before = listed(others)
    async with running(server := server_of(others, "a", disk, ["must not be asked"] * 9)):
        await whole(others, server)
    assert listed(others) == before


async def test_with_nobody_there_it_founds() -> None:
    cluster = cluster_of(octets() + 56)
    assert await Readmission(cluster, "a", lambda: None).standing() is Standing.UNKNOWN


async def test_after_the_loss_of_its_disk_it_is_whole_again_and_another_may_be_lost(others: Etcds, disk: Path) -> None:
    before = listed(others)
    lose(disk)
    await write(others, "meanwhile")
    async with running(server := server_of(others, "a", disk)):
        await whole(others, server)
        assert await holds(others, "a", "meanwhile")
        assert len(set(before.values()) & set(listed(others).values())) == 2
        others.kill("b")
        await write(others, "with a and w alone")
        others.start("b")
    async with running(server := server_of(others, "a", disk, ["must not be asked"] * 9)):
        await whole(others, server)


@pytest.mark.parametrize("changes", [0, 1, 2])
async def test_killed_between_two_steps_it_goes_on_rightly(
    others: Etcds, disk: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """After none, the removal, the addition."""
    lose(disk)
    done = []

    async def change(*arguments: object) -> object:
        if len(done) == changes:
            raise Dead
        done.append(answer := await real(*arguments))
        if len(done) == 2:
            raise Dead
        return answer

    real = readmission._change
    with monkeypatch.context() as patch:
        patch.setattr(readmission, "_change", change)
        async with running(server_of(others, "a", disk)) as task:
            await asyncio.wait([task], timeout=25.0)
        assert isinstance(task.exception(), Dead)
    assert len(done) == changes
    async with running(server := server_of(others, "a", disk)):
        await whole(others, server)


@pytest.mark.parametrize("torn", [False, True])
async def test_killed_with_half_of_its_data_it_starts_over(
    others: Etcds, disk: Path, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    async def serves(_: EtcdServer) -> bool:
        return False

    lose(disk)
    with monkeypatch.context() as patch:
        patch.setattr(EtcdServer, "_serves", serves)
        async with running(server := server_of(others, "a", disk)):
            await until(lambda: any(server.data_dir.glob("member/wal/*.wal")))
            os.kill(server.report().pid, signal.SIGKILL)
    if torn:
        for log in server.data_dir.glob("member/wal/*.wal"):
            os.truncate(log, 5)
    async with running(server := server_of(others, "a", disk)):
        await whole(others, server)


async def test_nothing_is_touched_while_the_former_machine_counts(others: Etcds, disk: Path) -> None:
    lose(disk)
    before = listed(others)
    async with running(server := server_of(others, "a", disk, ["it counts", "it still counts"])):
        for told in ("it counts", "it still counts"):
            await until(lambda told=told: server.report().last_error == told)
            assert server.report().state is ServerState.JOINING
            assert listed(others) == before
        await whole(others, server)


async def test_without_a_majority_it_waits_and_does_not_found(others: Etcds, disk: Path) -> None:
    lose(disk)
    others.kill("w")
    await until(lambda: not others.post("b", "/v3/maintenance/status").get("leader"))
    async with running(server := server_of(others, "a", disk)):
        await until(lambda: server.report().state is ServerState.JOINING and server.report().last_error)
        assert not server.data_dir.exists()
        others.start("w")
        await whole(others, server)


async def test_the_old_disk_is_told_that_another_has_its_place_and_is_left_as_it_is(
    others: Etcds, disk: Path, tmp_path: Path
) -> None:
    shutil.copytree(disk, old := tmp_path / "old")
    lose(disk)
    async with running(server := server_of(others, "a", disk)):
        await whole(others, server)
    before = listed(others)
    async with running(server := server_of(others, "a", old, ["must not be asked"] * 9)):
        await until(lambda: server.report().state is ServerState.REPLACED)
        assert server.report().last_error
    assert listed(others) == before
    assert any(server.data_dir.glob("member/wal/*.wal"))


async def test_two_that_lost_their_disks_at_once_are_taken_in_one_after_the_other(tmp_path: Path) -> None:
    five = Etcds(tmp_path, cluster_of(octets() + 2, 5))
    disks = [tmp_path / "disk-a", tmp_path / "disk-b"]
    try:
        five.start("w", "x", "y")
        for _ in range(2):
            for disk in disks:
                lose(disk)
            servers = [server_of(five, name, disk) for name, disk in zip("ab", disks, strict=True)]
            async with running(servers[0]), running(servers[1]):
                for name, server in zip("ab", servers, strict=True):
                    await whole(five, server, name)
    finally:
        five.stop()


async def test_an_etcd_whose_member_is_gone_is_taken_off_the_list_but_not_on_stale_news(
    others: Etcds, disk: Path
) -> None:
    """Last here: it ends with two members. What is in force is read after the listing, and decides alone."""
    b = Gateway([others.endpoint("b")], patience=Patience())
    urls = {peer_url(member, secure=False) for member in others.cluster.members}
    left = urls - {peer_url(others.cluster.member("a"), secure=False)}

    async def in_force(found: set[str]) -> set[str]:
        return found

    try:
        lose(disk)
        async with running(server_of(others, "a", disk)):
            await holds(others, "a", "x")
            assert await dismiss(b, urls, lambda: in_force(left), 5.0) == ()
            assert await dismiss(b, left, lambda: in_force(urls), 5.0) == ()
            assert await dismiss(b, left, lambda: in_force(set()), 5.0) == ()
            async with asyncio.timeout(20):
                while not (gone := await removed(b, left, lambda: in_force(left))):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)  # etcd refuses until all have been connected for five seconds
            assert gone == ("a",)
            assert await dismiss(b, left, lambda: in_force(left), 5.0) == ()
    finally:
        await b.close()


async def removed(gateway: Gateway, expected: set[str], in_force: Callable[[], Awaitable[set[str]]]) -> tuple[str, ...]:
    """etcd refuses until all have been connected for five seconds."""
    try:
        return await dismiss(gateway, expected, in_force, 5.0)
    except StoreError:
        return ()
