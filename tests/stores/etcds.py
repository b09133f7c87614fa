"""Real etcd members on loopback addresses, started as the product starts them."""

import json
import signal
import ssl
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.stores.etcd_program import find_etcd
from standfast.stores.etcd_settings import EtcdTuning, TlsFiles, arguments, client_url
from tests.addresses import WORKER

START_S = 15.0


def cluster_of(octet: int, count: int = 3, token: str = "test") -> Cluster:
    """Members `a`, `b`, `w` ... on 127.0.20.octet and the following."""
    members = tuple(
        MemberSpec(
            name="abwxy"[i], role=Role.WITNESS if "abwxy"[i] == "w" else Role.DATA, addresses=(f"127.0.20.{octet + i}",)
        )
        for i in range(count)
    )
    return Cluster(name="test", id=token, members=members)


class Etcds:
    """An etcd cluster whose members can be killed, frozen and started again."""

    def __init__(
        self, folder: Path, cluster: Cluster, tls: TlsFiles | None = None, tuning: EtcdTuning | None = None
    ) -> None:
        self.cluster = cluster
        self.tls = tls
        self._folder = folder
        self._tuning = tuning or EtcdTuning()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def endpoint(self, name: str) -> str:
        return client_url(self.cluster.member(name), secure=self.tls is not None)

    @property
    def running(self) -> list[str]:
        return list(self._running)

    @property
    def names(self) -> list[str]:
        return [member.name for member in self.cluster.members]

    @property
    def endpoints(self) -> list[str]:
        return [self.endpoint(name) for name in self.names]

    def start(self, *names: str) -> None:
        """Start these members (all if none is named); return when each knows the leader."""
        for name in names or self.names:
            data = self._folder / name
            data.mkdir(mode=0o700, exist_ok=True)
            state = "existing" if (data / "member").exists() else "new"
            me = self.cluster.member(name)
            settings = arguments(self.cluster, me, data, state, tls=self.tls, tuning=self._tuning)
            with (self._folder / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen([find_etcd(), *settings], stdout=log, stderr=log)
        for name in names or self.names:
            self.leader(by=name)

    def leader(self, by: str | None = None, other_than: str = "") -> str:
        """Name of the leader as `by` sees it; waits until there is one, other than that.

        Whoever has ended, such as for an address that is taken, is answered for by nobody else.
        """
        until = time.monotonic() + START_S
        while time.monotonic() < until and all(process.poll() is None for process in self._running.values()):
            for name in [by] if by else list(self._running):
                with suppress(OSError):
                    status = self.post(name, "/v3/maintenance/status")
                    names = {m["ID"]: m["name"] for m in self.post(name, "/v3/cluster/member/list")["members"]}
                    found = names.get(status.get("leader", ""), "")
                    if found and found != other_than:
                        return found
            time.sleep(0.02)
        raise TimeoutError((self._folder / f"{by or 'a'}.log").read_text()[-2000:])

    def post(self, name: str, path: str, body: dict | None = None, token: str = "") -> dict:
        headers = {"Authorization": token} if token else {}
        request = urllib.request.Request(self.endpoint(name) + path, json.dumps(body or {}).encode(), headers)
        context = self.tls.client_context() if self.tls else None
        with urllib.request.urlopen(request, timeout=2, context=context) as answer:
            return json.load(answer)

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        """Return when every thread has stopped: the signal alone takes its time on a busy machine."""
        self._running[name].send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self._running[name].pid}/task")
        while any(") T " not in (thread / "stat").read_text() for thread in threads.iterdir()):
            time.sleep(0.001)

    def thaw(self, name: str) -> None:
        self._running[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for name in list(self._running):
            self.kill(name)


def octets() -> int:
    """First of ten addresses that no other test process uses."""
    return 10 + 60 * (WORKER % 4)


def certificates(folder: Path, addresses: list[str]) -> TlsFiles:
    """A CA and one certificate for servers and clients at these addresses."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
    from cryptography.x509.oid import NameOID

    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("test ca"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("test ca", ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    cert = certificate("member", key).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)) for address in addresses]), critical=False
    )
    cert = cert.add_extension(x509.ExtendedKeyUsage([Usage.SERVER_AUTH, Usage.CLIENT_AUTH]), critical=False)
    files = TlsFiles(ca=folder / "ca.pem", cert=folder / "cert.pem", key=folder / "key.pem")
    pem = serialization.Encoding.PEM
    files.ca.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    files.cert.write_bytes(cert.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


def trusting(files: TlsFiles) -> ssl.SSLContext:
    """Knows the CA, has no certificate of its own."""
    return ssl.create_default_context(cafile=files.ca)
