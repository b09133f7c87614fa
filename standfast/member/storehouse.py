"""The member's store: its own supervised etcd, or one that the user already has, and the client for it.

Keeps etcd's raft leadership on the first witness that is heard. A matter of speed, never of safety.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from standfast import trust
from standfast.errors import KeyFileError, StoreError
from standfast.model.cluster import Cluster, Role, StoreSpec
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.etcd_settings import TlsFiles, client_url, endpoints
from standfast.stores.leadership import seat
from standfast.stores.supervisor import EtcdServer

LOOK_EVERY_S = 2.0
"""How often the place of the leadership is looked at."""
ASK_S = 1.0

_log = logging.getLogger(__name__)


class Storehouse:
    """Of one member.

    Args:
        cluster: the cluster file.
        me: this member.
        state_dir: of this member.
        trust_dir: with this member's certificates.
    """

    def __init__(self, cluster: Cluster, me: str, state_dir: Path, trust_dir: Path) -> None:
        self.leader = ""
        """The member whose etcd leads; empty when unknown or when the etcd is the user's own."""
        self.full = False
        """Whether etcd refuses writes because its quota is used up; False when the etcd is the user's own."""
        self._cluster = cluster
        self._me = me
        self._tls = tls_files(trust_dir)
        self.server = None if cluster.store.endpoints else EtcdServer(cluster, me, state_dir, tls=self._tls)
        self.client = Etcd(cluster.name, **access(cluster, me, trust_dir))

    @property
    def version(self) -> str:
        """Version of the supervised etcd; empty for a user's own."""
        return self.server.report().version if self.server else ""

    @property
    def faulty_version(self) -> str:
        """That version when it has known defects; empty when it has none."""
        report = self.server.report() if self.server else None
        return report.version if report and report.warning else ""

    async def run(self, heard: Callable[[str], bool]) -> None:
        """Keep etcd running and its leadership well placed, until cancelled; raises what EtcdServer.run raises."""
        if self.server is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.server.run())
            tasks.create_task(self._keep_leadership(heard))

    async def close(self) -> None:
        """Close the client's connections."""
        await self.client.close()

    async def _keep_leadership(self, heard: Callable[[str], bool]) -> None:
        assert self.server is not None
        mine = client_url(self._cluster.member(self._me), secure=True)
        gateway = Gateway([mine], tls=self._tls.client_context(), patience=Patience())
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                try:
                    self.leader, self.full = await seat(gateway, ASK_S)
                    wanted = self._best_seat(heard)
                    if wanted and self.leader == self._me != wanted:
                        await self.server.move_leadership(wanted)
                except StoreError as error:
                    self.leader = ""
                    _log.debug("leadership of the store: %s", error)
        finally:
            await gateway.close()

    def _best_seat(self, heard: Callable[[str], bool]) -> str | None:
        """The first witness that is heard; this member itself when it is one."""
        witnesses = sorted(m.name for m in self._cluster.members if m.role is Role.WITNESS)
        if self._me in witnesses:
            return self._me
        return next((name for name in witnesses if heard(name)), None)


class Access(TypedDict):
    """How a member reaches the store: the arguments that Etcd and Gateway have in common."""

    endpoints: tuple[str, ...]
    tls: ssl.SSLContext | None
    username: str
    password: str


def access(cluster: Cluster, me: str, trust_dir: Path) -> Access:
    """Of member `me`, with its certificates or with what [store] says. Raises KeyFileError."""
    spec = cluster.store
    return Access(
        endpoints=endpoints(cluster, me, secure=True),
        tls=existing_context(spec) if spec.endpoints else tls_files(trust_dir).client_context(),
        username=spec.username,
        password=_password(spec.password_file) if spec.password_file else "",
    )


def tls_files(trust_dir: Path) -> TlsFiles:
    """A member's certificates."""
    return TlsFiles(
        ca=trust_dir / trust.CA_CERTIFICATE, cert=trust_dir / trust.CERTIFICATE, key=trust_dir / trust.PRIVATE_KEY
    )


def existing_context(spec: StoreSpec) -> ssl.SSLContext | None:
    """For an etcd that the user already has; None for plain http. Raises KeyFileError."""
    if not any(url.startswith("https") for url in spec.endpoints):
        return None
    try:
        context = ssl.create_default_context(cafile=spec.ca_file or None)
        if spec.cert_file:
            context.load_cert_chain(spec.cert_file, spec.key_file)
    except (OSError, ssl.SSLError) as error:
        raise KeyFileError(
            f"A certificate for the store can not be used ({spec.ca_file}, {spec.cert_file}): {error}. Correct "
            f"ca_file, cert_file and key_file in [store]."
        ) from error
    return context


def _password(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"The password for the store can not be read from {file}: {error}. Correct [store] password_file."
        ) from error
