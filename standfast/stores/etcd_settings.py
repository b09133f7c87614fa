"""How one member's etcd is set up: certificates, tuning, addresses, arguments. Pure."""

import ssl
from pathlib import Path

from msgspec import Struct

from standfast.errors import KeyFileError
from standfast.model.cluster import Cluster, MemberSpec


class TlsFiles(Struct, frozen=True, kw_only=True):
    """Certificates in PEM. `cert` must be good for servers *and* clients: etcd's gateway calls etcd with it.

    Attributes:
        ca: who signs the members' certificates.
        cert: of this member, with its addresses as alternative names.
        key: of the certificate.
    """

    ca: Path
    cert: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """For requests to the members' etcd; raises KeyFileError when a file is missing or broken."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise KeyFileError(
                f"A certificate for the store can not be used ({self.cert}, {self.ca}): {error}."
            ) from error
        return context


class EtcdTuning(Struct, frozen=True, kw_only=True):
    """Settings of the supervised etcd.

    Attributes:
        heartbeat_ms: between the raft leader and its followers.
        election_ms: silence after which followers elect another; at least five heartbeats, at best ten.
        keep_revisions: older revisions are compacted away.
        quota_bytes: largest database; beyond it etcd refuses writes.
        operations_per_txn: largest transaction; a takeover of 1,000 queue managers puts 2,000 keys.
        request_bytes: largest request.
    """

    heartbeat_ms: int = 50
    election_ms: int = 500
    keep_revisions: int = 1_000
    quota_bytes: int = 1024 * 1024 * 1024
    operations_per_txn: int = 16_384
    request_bytes: int = 8 * 1024 * 1024


def client_url(member: MemberSpec, *, secure: bool) -> str:
    """Where a member's etcd serves members."""
    return f"{'https' if secure else 'http'}://{_host(member)}:{member.store_client_port}"


def peer_url(member: MemberSpec, *, secure: bool) -> str:
    """Where a member's etcd serves its peers."""
    return f"{'https' if secure else 'http'}://{_host(member)}:{member.store_peer_port}"


def endpoints(cluster: Cluster, nearest: str, *, secure: bool) -> tuple[str, ...]:
    """The store's endpoints: an existing etcd's if the file names one, else the members', `nearest` first."""
    if cluster.store.endpoints:
        return cluster.store.endpoints
    members = sorted(cluster.members, key=lambda member: member.name != nearest)
    return tuple(client_url(member, secure=secure) for member in members)


def arguments(
    cluster: Cluster,
    me: MemberSpec,
    data_dir: Path,
    initial_state: str,
    *,
    tls: TlsFiles | None,
    tuning: EtcdTuning,
    initial_cluster: str = "",
    force_new_cluster: bool = False,
) -> tuple[str, ...]:
    """Of the program; `initial_state` is `new` or `existing`, `initial_cluster` the members that it must find.

    The latter are those of the cluster file unless they are named (`NAME=PEER_URL,...`); etcd compares their number and
    addresses with what its peers list, when it joins with no data.

    `force_new_cluster`: it forgets all other members, and takes snapshots of its data all the time, see recovery.py.

    The v2 API is not mentioned: it is off by default since 3.4, and 3.6 no longer knows the flag.
    """
    secure = tls is not None
    client, peer = client_url(me, secure=secure), peer_url(me, secure=secure)
    settings = {
        "name": me.name,
        "data-dir": str(data_dir),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": initial_cluster
        or ",".join(f"{m.name}={peer_url(m, secure=secure)}" for m in cluster.members),
        "initial-cluster-token": cluster.id,
        "initial-cluster-state": initial_state,
        "strict-reconfig-check": "true",
        "pre-vote": "true",
        "heartbeat-interval": str(tuning.heartbeat_ms),
        "election-timeout": str(tuning.election_ms),
        "auto-compaction-mode": "revision",
        "auto-compaction-retention": str(tuning.keep_revisions),
        "quota-backend-bytes": str(tuning.quota_bytes),
        "max-txn-ops": str(tuning.operations_per_txn),
        "max-request-bytes": str(tuning.request_bytes),
        "logger": "zap",
        "log-outputs": "stderr",
    }
    if force_new_cluster:
        settings |= {"force-new-cluster": "true", "snapshot-count": "1"}
    if tls is not None:
        for side in ("", "peer-"):
            settings |= {
                f"{side}trusted-ca-file": str(tls.ca),
                f"{side}cert-file": str(tls.cert),
                f"{side}key-file": str(tls.key),
                f"{side}client-cert-auth": "true",
            }
    return tuple(f"--{name}={value}" for name, value in settings.items())


def _host(member: MemberSpec) -> str:
    address = member.addresses[0]
    return f"[{address}]" if ":" in address else address
