"""Taking a member's etcd in: it is new to a cluster that runs, or its disk was lost and the others know it already.

Why it must not come back under its old raft id: raft counts on a voter's memory. With an empty disk it would vote again
in a term in which it has voted, and for a candidate that lacks what it had acknowledged: a majority could then agree to
something else than a majority already has. Under a new id it has promised nothing.

Why the old id is removed first: a removal and an addition are entries of raft's log, each committed by a majority of
the voters before it. The lost disk has no part in that of the removal, so those who commit it hold everything that was
ever committed, and every later majority shares a voter with them. Added first, the new voter would make four of three
with only two at work: the store would stand still. Removed first, it tolerates at every moment as many losses as it did
with the lost disk counted.

Guarantees
  * Nothing is changed before a linearizable read has shown that the cluster's settings have this member, and that the
    cluster has given up the former machine of this name, or that this machine is the member (`hindrance`); nor beyond
    what a majority of etcd and its strict reconfiguration check (who is left is started, connected, enough) allow; one
    change at a time.
  * It may be killed at any point and begun again. Every pass starts from what etcd lists now: whatever is of this
    member's name or peer address is removed, started or not, then it is added. A change whose answer was lost is found
    done or not at the next pass; one that comes late is refused by etcd (an id is removed once, a peer address listed
    once).
  * Of several members that do this at once each touches its own entry only; etcd refuses whom it can not take in yet,
    and that one tries again after a pause.
Does not guarantee
  * That a loss is noticed while none of the other members' etcds answers: such a start is a founding one, unless the
    cluster file was taken from a cluster that runs. The same
    holds for a disk that is lost in the moment of the founding, before etcd has told its client address. Assumption 5
    of docs/protocol.md excludes both.
  * An own etcd for the old machine when it comes back with its old disk: the others refuse its id for good. The
    supervisor finds that out and says so; it never gives up data that are there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from standfast.errors import StoreError
from standfast.model.cluster import Cluster
from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed, store_error
from standfast.stores.etcd_http import Gateway, NoneAnswered, Patience, first_good
from standfast.stores.etcd_settings import TlsFiles, client_url, peer_url

T = TypeVar("T")

ASK_S = 1.0
"""For the answers of the others, all at once: so long a founding start waits for a machine that is silent. One that
runs no etcd refuses at once."""
CHANGE_S = 5.0
"""For a removal or an addition."""
PAUSE_S = 0.5
"""Before the next pass. etcd refuses an addition until all who are left have been connected for five seconds."""

_PEERS = msgspec.json.Decoder(tuple[wire.PeerMember, ...])
_MEMBERS, _CHANGED = wire.decoder(wire.MembersAnswer), wire.decoder(wire.ChangedAnswer)


class Standing(StrEnum):
    """What the others' etcds know of this member's."""

    UNKNOWN = "unknown"  # none of them answers
    EXPECTED = "expected"  # a founding member that never started: all who answer wait for it
    KNOWN = "known"  # one of them has seen it started, or does not list it any more: it has a past


class Opening(NamedTuple):
    """How an etcd without data starts: `new` or `existing`, and the cluster that it must find (empty: the founding)."""

    state: str
    cluster: str = ""


class Readmission:
    """Of the etcd of member `me`.

    Args:
        cluster: the cluster file.
        me: the member.
        hindrance: asks the cluster why this machine can not have the place: it is no member, or the former machine of
            this name still counts; empty when it can. Raises StoreError.
        tls: certificates; None for plain http.

    A cluster file that was taken from a cluster that runs founds none: nobody's silence is taken for one that is still
    to be founded.
    """

    def __init__(
        self, cluster: Cluster, me: str, hindrance: Callable[[], Awaitable[str]], *, tls: TlsFiles | None = None
    ) -> None:
        self._founding = not cluster.edition
        self.waiting_for = ""
        """Why it has not been taken in yet; empty before the first attempt."""
        self._me = me
        self._hindrance = hindrance
        self._url = peer_url(cluster.member(me), secure=tls is not None)
        self._tls = tls
        self.follow(cluster)

    def follow(self, cluster: Cluster) -> None:
        """Ask these members' etcds from now on."""
        secure = self._tls is not None
        self._names = {peer_url(member, secure=secure): member.name for member in cluster.members}
        self._peers = [url for url in self._names if url != self._url]
        self._endpoints = [client_url(member, secure=secure) for member in cluster.members if member.name != self._me]

    async def opening(self, *, unfinished: bool, prepare: Callable[[], None]) -> Opening:
        """How to start: as a founder, or when the others know this member already, after it was taken in anew.

        `unfinished`: a former attempt was, so there is nothing to found. `prepare` is called before the first change:
        it deletes what such an attempt has left. Waits until a majority takes it in; `waiting_for` says for what.
        """
        if self._founding and not unfinished and await self.standing() is not Standing.KNOWN:
            return Opening("new")
        while True:
            try:
                self.waiting_for = await self._hindrance()
                if not self.waiting_for:
                    return Opening("existing", await self._replace(prepare))
            except StoreError as error:
                self.waiting_for = str(error)
            await asyncio.sleep(PAUSE_S)

    async def standing(self) -> Standing:
        """As the other members' own data have it, whether they have a leader or not: a majority may be gone now."""
        if not self._peers:
            return Standing.UNKNOWN
        gateway = self._gateway(self._peers)
        try:
            asked = await asyncio.gather(*(_listed_by(gateway, url) for url in gateway.endpoints))
        finally:
            await gateway.close()
        # One that is just starting lists nobody: it does not know yet.
        told = [members for members in asked if members]
        if not told:
            return Standing.UNKNOWN
        expected = all(any(self._expects(member) for member in members) for members in told)
        return Standing.EXPECTED if expected else Standing.KNOWN

    def _expects(self, member: wire.PeerMember) -> bool:
        """A founder is listed by its name from the first; who is added has none before it runs."""
        return member.name == self._me and self._url in member.peer_urls and not member.client_urls

    async def _replace(self, prepare: Callable[[], None]) -> str:
        """One pass; the cluster that the new etcd must find. Raises StoreError's kinds."""
        gateway = self._gateway(self._endpoints)
        try:
            endpoint, listed = await _members(gateway)
            await asyncio.to_thread(prepare)
            for member in listed:
                if member.name == self._me or self._url in member.peer_urls:
                    await _change(gateway, endpoint, wire.REMOVE, {"ID": str(member.id)})
            changed = await _change(gateway, endpoint, wire.ADD, {"peerURLs": [self._url]})
        finally:
            await gateway.close()
        return ",".join(f"{self._name(member, url)}={url}" for member in changed.members for url in member.peer_urls)

    def _name(self, member: wire.EtcdMember, url: str) -> str:
        """Of a member by its peer address; one that was added and never ran has no name yet, but needs one here."""
        return self._names.get(url) or member.name or f"{member.id:x}"

    def _gateway(self, endpoints: Sequence[str]) -> Gateway:
        context = self._tls.client_context() if self._tls else None
        return Gateway(endpoints, tls=context, patience=Patience())


async def _listed_by(gateway: Gateway, url: str) -> tuple[wire.PeerMember, ...]:
    """Whom the etcd at this peer address lists; nobody when it does not answer."""
    try:
        return _PEERS.decode(await gateway.page(url, wire.PEERS, asyncio.get_running_loop().time() + ASK_S))
    except (Failed, msgspec.MsgspecError):
        return ()


async def _members(gateway: Gateway) -> tuple[str, tuple[wire.EtcdMember, ...]]:
    """An endpoint that has a leader, and whom it lists. Old news do no harm: etcd refuses what does not fit."""
    until = asyncio.get_running_loop().time() + ASK_S

    async def attempt(endpoint: str) -> tuple[str, tuple[wire.EtcdMember, ...]]:
        answer = await gateway.call(endpoint, wire.MEMBERS, {}, _MEMBERS, write=False, until=until)
        return endpoint, answer.members

    try:
        return await first_good(gateway.endpoints, attempt, gateway.patience.hedge_s)
    except NoneAnswered as none:
        raise store_error("asking who its members are", none.failures) from none


async def _change(gateway: Gateway, endpoint: str, path: str, request: dict[str, object]) -> wire.ChangedAnswer:
    """A removal or an addition, asked once."""
    until = asyncio.get_running_loop().time() + CHANGE_S
    try:
        return await gateway.call(endpoint, path, request, _CHANGED, write=True, until=until)
    except Failed as failed:
        raise store_error("taking this member's etcd in anew", [failed]) from failed
