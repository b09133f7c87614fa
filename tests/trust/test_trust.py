"""Keys and certificates: made once, read by their owner only, and good for real TLS and a real etcd."""

import asyncio
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from standfast.errors import KeyFileError
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.trust import AUTHORITY, issue, load_cluster_key, ssl_client_context, ssl_server_context, write_trust

HERE = "127.0.30.41"
CLUSTER = Cluster(
    name="t",
    id="t-1",
    members=(
        MemberSpec(name="a", role=Role.DATA, addresses=(HERE, "127.0.30.42"), client_address="127.0.30.43"),
        MemberSpec(name="b", role=Role.DATA, addresses=("192.0.2.7",)),
    ),
)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trust") / "made"
    write_trust(directory, CLUSTER)
    return directory


def test_keys_made_apart_from_one_secret_trust_each_other_and_those_from_another_do_not(tmp_path: Path) -> None:
    secrets = {"one": b"a" * 40, "again": b"a" * 40, "other": b"b" * 40}
    for name, secret in secrets.items():
        write_trust(tmp_path / name, CLUSTER, secret)

    def trusted(signer: str, member: Path) -> bool:
        command = ["openssl", "verify", "-CAfile", tmp_path / signer / "a/ca.crt", member / "member.crt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert trusted("one", tmp_path / "again/b")
    assert not trusted("one", tmp_path / "other/b")
    keys = {name: load_cluster_key(tmp_path / name / "a/cluster.key") for name in secrets}
    assert keys["one"] == keys["again"] != keys["other"]


def test_each_member_gets_just_what_it_needs_and_nobody_else_can_read_it(trust: Path) -> None:
    assert {path.name for path in trust.iterdir()} == {"a", "b", AUTHORITY}
    for name in ("a", "b"):
        assert {f.name for f in (trust / name).iterdir()} == {"ca.crt", "member.crt", "member.key", "cluster.key"}
    for path in trust.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE(trust.stat().st_mode) == 0o700


def test_the_cluster_key_is_the_same_for_all_and_new_for_each_cluster(trust: Path, tmp_path: Path) -> None:
    key = load_cluster_key(trust / "a" / "cluster.key")
    assert len(key) == 32
    assert key == load_cluster_key(trust / "b" / "cluster.key")
    write_trust(tmp_path / "again", CLUSTER)
    assert key != load_cluster_key(tmp_path / "again" / "a" / "cluster.key")


def test_nothing_is_overwritten_and_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    write_trust(tmp_path / "trust", CLUSTER)
    before = (tmp_path / "trust" / "a" / "cluster.key").read_bytes()
    with pytest.raises(KeyFileError):
        write_trust(tmp_path / "trust", CLUSTER)
    assert (tmp_path / "trust" / "a" / "cluster.key").read_bytes() == before
    twice = Cluster(name="t", id="t", members=(CLUSTER.members[0], CLUSTER.members[0]))
    with pytest.raises(KeyFileError):
        write_trust(tmp_path / "other", twice)
    assert [path.name for path in tmp_path.iterdir()] == ["trust"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
@pytest.mark.parametrize("name", ["cluster.key", "member.key"])
def test_a_key_that_others_can_touch_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    write_trust(tmp_path / "trust", CLUSTER)
    folder = tmp_path / "trust" / "a"
    (folder / name).chmod(mode)
    with pytest.raises(KeyFileError):
        load_cluster_key(folder / name) if name == "cluster.key" else ssl_client_context(folder)


@pytest.mark.parametrize("content", [b"", b"AAAA\n", b"\xff" * 44, b"!" + b"A" * 43 + b"=", b"A" * 88])
def test_a_broken_cluster_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cluster.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError):
        load_cluster_key(path)


@pytest.mark.parametrize("name", ["ca.crt", "member.crt", "member.key"])
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:90])])
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, name: str, harm: object) -> None:
    write_trust(tmp_path / "trust", CLUSTER)
    folder = tmp_path / "trust" / "a"
    harm(folder / name)  # type: ignore[operator]
    for make in (ssl_client_context, ssl_server_context):
        with pytest.raises(KeyFileError):
            make(folder)
    with pytest.raises(KeyFileError):
        load_cluster_key(tmp_path / "absent")


def test_a_certificate_names_all_addresses_and_outlives_wrong_clocks(trust: Path) -> None:
    a, b = (x509.load_pem_x509_certificate((trust / name / "member.crt").read_bytes()) for name in "ab")
    names = a.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {HERE, "127.0.30.42", "127.0.30.43", "127.0.0.1"}
    assert names.get_values_for_type(x509.DNSName) == ["a"]
    elsewhere = b.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in elsewhere.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    assert a.not_valid_before_utc.year == 1970
    assert a.not_valid_after_utc.year == 9999


async def _spoken(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str = HERE) -> bytes:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome\n")
        writer.close()

    async with await asyncio.start_server(greet, HERE, 0, ssl=server) as listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(HERE, port, ssl=client, server_hostname=hostname)
        try:
            return await reader.read()
        finally:
            writer.close()


async def _refused(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str = HERE) -> bool:
    try:
        return await _spoken(server, client, hostname) == b""  # with TLS 1.3 the server refuses after the handshake
    except (ssl.SSLError, ConnectionError):
        return True


async def test_members_speak_and_strangers_do_not(trust: Path, tmp_path: Path) -> None:
    write_trust(tmp_path / "other", CLUSTER)
    member, strange = trust / "a", tmp_path / "other" / "a"
    assert await _spoken(ssl_server_context(member), ssl_client_context(trust / "b")) == b"welcome\n"
    assert await _spoken(ssl_server_context(member), ssl_client_context(member), "a") == b"welcome\n"
    assert await _refused(ssl_server_context(member), ssl_client_context(strange))
    assert await _refused(ssl_server_context(member), ssl_client_context(member), "192.0.2.7")
    assert await _refused(ssl_server_context(member), ssl.create_default_context(cafile=member / "ca.crt"))


async def test_one_more_member_is_trusted_by_the_others_at_its_address_alone(trust: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    issue(trust, MemberSpec(name="d", role=Role.WITNESS, addresses=(HERE,)), folder)
    assert {f.name for f in folder.iterdir()} == {f.name for f in (trust / "a").iterdir()}
    assert {stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()} == {0o600}
    assert load_cluster_key(folder / "cluster.key") == load_cluster_key(trust / "a" / "cluster.key")
    assert await _spoken(ssl_server_context(folder), ssl_client_context(trust / "b")) == b"welcome\n"
    assert await _spoken(ssl_server_context(trust / "a"), ssl_client_context(folder)) == b"welcome\n"
    assert await _refused(ssl_server_context(folder), ssl_client_context(trust / "b"), "192.0.2.7")
    with pytest.raises(KeyFileError):
        issue(trust, CLUSTER.members[1], folder)


@pytest.mark.parametrize("lost", [f"{AUTHORITY}/ca.key", f"{AUTHORITY}/ca.crt", "cluster.key"])
def test_without_authority_and_cluster_key_no_member_is_made(tmp_path: Path, lost: str) -> None:
    write_trust(tmp_path / "trust", CLUSTER)
    for file in (tmp_path / "trust").glob(lost if "/" in lost else f"*/{lost}"):
        file.unlink()
    with pytest.raises(KeyFileError):
        issue(tmp_path / "trust", CLUSTER.members[1], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@contextmanager
def etcd(folder: Path, data: Path) -> Iterator[None]:
    """A real etcd that asks for certificates on both of its ports."""
    ca, crt, key = (str(folder / name) for name in ("ca.crt", "member.crt", "member.key"))
    argv = ["etcd", "--name=a", f"--data-dir={data}", "--client-cert-auth", "--peer-client-cert-auth"]
    argv += [f"--trusted-ca-file={ca}", f"--cert-file={crt}", f"--key-file={key}", "--logger=zap"]
    argv += [f"--peer-trusted-ca-file={ca}", f"--peer-cert-file={crt}", f"--peer-key-file={key}"]
    argv += [f"--{kind}-client-urls=https://{HERE}:7401" for kind in ("listen", "advertise")]
    argv += [f"--listen-peer-urls=https://{HERE}:7402", f"--initial-advertise-peer-urls=https://{HERE}:7402"]
    argv += [f"--initial-cluster=a=https://{HERE}:7402", "--log-level=error"]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def test_a_real_etcd_works_with_them(trust: Path, tmp_path: Path) -> None:
    with etcd(trust / "a", tmp_path / "data"):
        async with asyncio.timeout(10):
            while True:
                try:
                    reader, writer = await asyncio.open_connection(HERE, 7401, ssl=ssl_client_context(trust / "b"))
                    break
                except ConnectionError:
                    await asyncio.sleep(0.02)
            writer.write(b"GET /version HTTP/1.0\r\n\r\n")
            assert b"etcdserver" in await reader.read()
            writer.close()
