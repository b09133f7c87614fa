"""The member's store: its own supervised etcd, or one that the user already has, and the client for it.

Keeps etcd's raft leadership on the first witness that is heard. A matter of speed, never of safety. Knows whose etcd
serves. Lets the own etcd be taken in when it is new to the cluster, or anew after the loss of its disk, but not before
the settings have this member, and the cluster has given up the machine that had this name: until then that one may be
alive, and its etcd may count. Follows the members in force: where the store is reached, whose etcd should serve, and
whose is taken off etcd's list, which the leader's member sees to.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypedDict

from standfast import trust
from standfast.errors import KeyFileError, StoreError
from standfast.model.cluster import Cluster, Role, StoreSpec
from standfast.model.records import GONE
from standfast.model.view import View
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.etcd_settings import TlsFiles, client_url, endpoints, peer_url
from standfast.stores.leadership import Seat, seat
from standfast.stores.ledger import Ledger
from standfast.stores.presence import silent
from standfast.stores.readmission import Readmission
from standfast.stores.roster import dismiss
from standfast.stores.supervisor import EtcdServer, ServerState

LOOK_EVERY_S = 2.0
"""How often the etcds and the place of the leadership are looked at."""
LOOK_SOON_S = 0.2
"""Until the next look while something is not as it should be: an etcd that does not serve, a leadership that is unknown
or sits where the death of a data member would cost an election of the store too."""
ASK_S = 1.0

_log = logging.getLogger(__name__)


class Storehouse:
    """Of one member.

    Args:
        cluster: the cluster file.
        me: this member.
        machine: the identity of its state directory.
        state_dir: of this member.
        trust_dir: with this member's certificates.
    """

    def __init__(self, cluster: Cluster, me: str, machine: str, state_dir: Path, trust_dir: Path) -> None:
        self.leader = ""
        """The member whose etcd leads; empty when unknown or when the etcd is the user's own."""
        self.full = False
        """Whether etcd refuses writes because its quota is used up; False when the etcd is the user's own."""
        self.silent: Mapping[str, str] | None = None
        """Members whose etcd does not serve, and why; None before the first look and for a user's own etcd."""
        self.listed = 0
        """How many etcds count in etcd's majority; 0 when unknown or when the etcd is the user's own."""
        self.strangers: tuple[str, ...] = ()
        """Those of them whose member the cluster does not have there any more."""
        self._cluster = cluster
        self._me = me
        self._machine = machine
        self.drained: Callable[[], Collection[str]] = tuple
        """Whom operators have drained: the leadership goes elsewhere if it can."""
        self._roll: Gateway | None = None
        self._tls = tls_files(trust_dir)
        self.client = Etcd(cluster.name, **access(cluster, me, trust_dir))
        self.server: EtcdServer | None = None
        self._readmission = Readmission(cluster, me, self._hindrance, tls=self._tls)
        if not cluster.store.endpoints:
            self.server = EtcdServer(cluster, me, state_dir, tls=self._tls, readmission=self._readmission)

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
            tasks.create_task(self._call_the_roll(heard))

    def follow(self, cluster: Cluster) -> None:
        """These members are in force from now on; a user's own etcd stays where it is."""
        self._cluster = cluster
        if cluster.store.endpoints:
            return
        self.client.follow(endpoints(cluster, self._me, secure=True))
        self._readmission.follow(cluster)
        if self._roll is not None:
            self._roll.follow([*self._names()])

    async def close(self) -> None:
        """Close the client's connections."""
        await self.client.close()

    async def _hindrance(self) -> str:
        """Why this machine can not have this member's place; empty when it can. Raises StoreError's kinds."""
        view = await Ledger(self.client, self._me).read(View())
        if view.settings is not None and self._me not in view.settings.record.members:
            return f"the cluster has no member {self._me}: give the order `standfast member add` on one that it has"
        kept = view.members.get(self._me)
        if kept is None or kept.record.state in GONE or kept.record.identity == self._machine:
            return ""
        return f"another machine still counts as member {self._me} ({kept.record.state})"

    async def _call_the_roll(self, heard: Callable[[str], bool]) -> None:
        """Look again and again whose etcd serves."""
        gateway = Gateway([*self._names()], tls=self._tls.client_context(), patience=Patience())
        self._roll = gateway
        try:
            while True:
                told, names = await silent(gateway, ASK_S), self._names()
                missing = {names[url]: why for url, why in told.items() if url in names}
                self.silent = missing if self._me not in missing else missing | {self._me: self._trouble(missing)}
                odd = any(name == self._me or heard(name) for name in missing)
                await asyncio.sleep(LOOK_SOON_S if odd else LOOK_EVERY_S)
        finally:
            self._roll = None
            await gateway.close()

    def _names(self) -> dict[str, str]:
        """Members by where their etcd serves members."""
        return {client_url(member, secure=True): member.name for member in self._cluster.members}

    def _trouble(self, missing: Mapping[str, str]) -> str:
        """Why the own etcd does not serve: what its supervisor knows, or else what was seen from outside."""
        assert self.server is not None
        report = self.server.report()
        told = report.last_error if report.state is not ServerState.RUNNING else ""
        return f"{report.state}: {told or missing[self._me]}"

    async def _keep_leadership(self, heard: Callable[[str], bool]) -> None:
        assert self.server is not None
        mine = client_url(self._cluster.member(self._me), secure=True)
        gateway = Gateway([mine], tls=self._tls.client_context(), patience=Patience())
        try:
            while True:
                wanted = self._best_seat(heard)
                misplaced = not self.leader or (self.leader == self._me and wanted not in (None, self._me))
                await asyncio.sleep(LOOK_SOON_S if misplaced or self.strangers else LOOK_EVERY_S)
                try:
                    self._seen(await seat(gateway, ASK_S))
                    wanted = self._best_seat(heard)
                    if wanted and self.leader == self._me != wanted:
                        await self.server.move_leadership(wanted)
                    elif self.leader == self._me and self.strangers:
                        await self._dismiss(gateway)
                except StoreError as error:
                    self.leader, self.listed = "", 0
                    _log.debug("leadership of the store: %s", error)
        finally:
            await gateway.close()

    def _seen(self, told: Seat) -> None:
        self.leader, self.full, self.listed = told.leader, told.full, len(told.listed)
        expected = {peer_url(member, secure=True) for member in self._cluster.members}
        self.strangers = tuple(sorted(name for url, name in told.listed.items() if url not in expected))

    async def _dismiss(self, gateway: Gateway) -> None:
        """Take off etcd's list whom the cluster no longer has; raises StoreError's kinds."""
        expected = {peer_url(member, secure=True) for member in self._cluster.members}
        for name in await dismiss(gateway, expected, self._peers_in_force, ASK_S):
            _log.info("took the etcd of %s off the store's list: the cluster no longer has it there", name)

    async def _peers_in_force(self) -> set[str]:
        """As the store has them now; empty when its settings are of a release that did not keep them."""
        view = await Ledger(self.client, self._me).read(View())
        specs = view.settings.record.specs if view.settings is not None else ()
        return {peer_url(member, secure=True) for member in specs}

    def _best_seat(self, heard: Callable[[str], bool]) -> str | None:
        """The first witness that is heard; this member itself when it is one. For a drained one the first other."""
        drained = self.drained()
        stays = {m.name: m.role for m in self._cluster.members if m.name not in drained}
        if stays.get(self._me) is Role.WITNESS:
            return self._me
        present = [name for name in self._cluster.rank if name in stays and heard(name) and self._serves(name)]
        return next((name for name in present if stays[name] is Role.WITNESS or self._me in drained), None)

    def _serves(self, name: str) -> bool:
        return self.silent is None or name not in self.silent


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
