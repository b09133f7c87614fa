"""TLS, passwords, versions, and endpoints that are not what they should be."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.errors import KeyFileError, StoreError, StoreFatal, StoreUnavailable
from standfast.model.records import Guard
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Patience
from standfast.stores.etcd_program import etcd_version, find_etcd
from standfast.stores.etcd_settings import TlsFiles
from standfast.stores.etcd_version import version_problem
from tests.stores.etcds import Etcds, certificates, cluster_of, octets, trusting

BRIEF = Patience(operation_s=0.5, try_s=0.2, hedge_s=0.05)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """Three members that speak TLS to clients and peers."""
    folder = tmp_path_factory.mktemp("secure")
    cluster = cluster_of(octets() + 20, token="secure")
    addresses = ["127.0.0.1", *(member.addresses[0] for member in cluster.members)]
    members = Etcds(folder, cluster, certificates(folder, addresses))
    try:
        members.start()
        yield members
    finally:
        members.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """One member that asks for a password; `reader` may only read."""
    member = Etcds(tmp_path_factory.mktemp("guarded"), cluster_of(octets() + 30, 1, token="guarded"))
    try:
        member.start()
        member.post("a", "/v3/auth/user/add", {"name": "root", "password": "secret"})
        member.post("a", "/v3/auth/user/grant", {"user": "root", "role": "root"})
        member.post("a", "/v3/auth/role/add", {"name": "reads"})
        everything = {"permType": "READ", "key": "AA==", "range_end": "AA=="}
        member.post("a", "/v3/auth/role/grant", {"name": "reads", "perm": everything})
        member.post("a", "/v3/auth/user/add", {"name": "reader", "password": "secret"})
        member.post("a", "/v3/auth/user/grant", {"user": "reader", "role": "reads"})
        member.post("a", "/v3/auth/enable")
        yield member
    finally:
        member.stop()


async def test_reads_writes_and_watches_over_tls(secure: Etcds) -> None:
    etcd = Etcd("t", secure.endpoints, tls=secure.tls.client_context())
    revision = await etcd.transact([Guard("k", 0)], [("k", b"1")])
    waking = asyncio.create_task(etcd.wake(revision))
    assert await etcd.transact([Guard("k", revision)], [("k", b"2")])
    async with asyncio.timeout(1):
        await waking
    assert (await etcd.read(0)).changes[0].value == b"2"
    await etcd.close()


async def test_a_client_without_a_certificate_or_the_right_ca_is_kept_out(secure: Etcds) -> None:
    for context in (trusting(secure.tls), ssl.create_default_context()):
        etcd = Etcd("t", secure.endpoints, tls=context, patience=BRIEF)
        with pytest.raises(StoreUnavailable):
            await etcd.read(0)
        with pytest.raises(StoreUnavailable):
            await etcd.transact([], [("k", b"never")])
        await etcd.close()


def test_a_missing_certificate_is_a_key_file_error(tmp_path: Path) -> None:
    nothing = TlsFiles(ca=tmp_path / "ca", cert=tmp_path / "cert", key=tmp_path / "key")
    with pytest.raises(KeyFileError):
        nothing.client_context()


async def test_a_password_opens_and_a_refused_token_is_renewed(guarded: Etcds) -> None:
    etcd = Etcd("t", guarded.endpoints, username="root", password="secret")
    revision = await etcd.transact([Guard("k", 0)], [("k", b"1")])
    assert revision is not None
    etcd._gateway._token = "expired"
    assert (await etcd.read(0)).changes[0].value == b"1"
    etcd._gateway._token = "expired"
    assert await etcd.transact([Guard("k", revision)], [("k", b"2")])
    etcd._gateway._token = "expired"
    with pytest.raises(StoreUnavailable):
        await etcd.wake(revision)
    await etcd.wake(revision)
    await etcd.close()


async def test_permissions_that_change_meanwhile_renew_the_token(guarded: Etcds) -> None:
    etcd = Etcd("t", guarded.endpoints, username="root", password="secret")
    await etcd.read(0)
    token = guarded.post("a", "/v3/auth/authenticate", {"name": "root", "password": "secret"})["token"]
    await asyncio.to_thread(guarded.post, "a", "/v3/auth/user/add", {"name": "new", "password": "x"}, token)
    assert await etcd.transact([], [("other", b"1")])
    await etcd.close()


@pytest.mark.parametrize(("username", "password"), [("", ""), ("root", "wrong"), ("reader", "secret")])
async def test_without_permission_waiting_does_not_help(guarded: Etcds, username: str, password: str) -> None:
    etcd = Etcd("t", guarded.endpoints, username=username, password=password)
    with pytest.raises(StoreFatal):
        await etcd.transact([], [("k", b"never")])
    if username != "reader":
        with pytest.raises(StoreError):
            await etcd.wake(0)
    await etcd.close()


async def test_each_member_tells_its_version(guarded: Etcds) -> None:
    nobody = f"http://127.0.20.{octets() + 39}:7401"
    etcd = Etcd("t", [*guarded.endpoints, nobody], patience=BRIEF)
    versions = await etcd.versions()
    assert versions[nobody] is None
    assert versions[guarded.endpoints[0]] == await etcd_version(find_etcd())
    await etcd.close()


async def test_something_that_is_not_etcd_is_not_waited_for() -> None:
    async def page(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(page, f"127.0.20.{octets() + 38}", 7401):
        etcd = Etcd("t", [f"127.0.20.{octets() + 38}:7401"])
        for operation in (etcd.read(0), etcd.transact([], [("k", b"")]), etcd.wake(0), etcd.versions()):
            with pytest.raises(StoreFatal):
                await operation
        await etcd.close()


@pytest.mark.parametrize(
    ("version", "warned"),
    [
        ("3.4.23", True),
        ("3.5.1", True),
        ("3.5.29", True),
        ("3.5.30", False),
        ("3.6.10", True),
        ("3.6.11", False),
        ("3.6.12-rc.0", False),
        ("3.7.0", False),
        ("4.0.0", False),
    ],
)
def test_versions_below_the_floor_are_warned_of(version: str, warned: bool) -> None:
    assert (version_problem(version) is not None) is warned


@pytest.mark.parametrize("version", ["3.3.27", "2.3.8", "", "new"])
def test_versions_that_lack_the_gateway_are_refused(version: str) -> None:
    with pytest.raises(StoreFatal):
        version_problem(version)


@pytest.mark.parametrize("endpoint", ["", "ftp://host:1", "http://host:1/path", "http://"])
def test_an_endpoint_that_is_none_is_a_mistake(endpoint: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Etcd("t", [endpoint])


def test_no_endpoint_or_no_name_is_a_mistake() -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Etcd("t", [])
    with pytest.raises(ValueError):  # noqa: PT011
        Etcd("a/b", ["host:1"])


@pytest.mark.parametrize(
    "wrong", [{"hedge_s": 2.0}, {"try_s": 4.0}, {"pause_s": 0.0}, {"watch_s": 0.0}, {"fresh_s": -1.0}]
)
def test_store_timers_that_do_not_fit_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Patience(**wrong)
