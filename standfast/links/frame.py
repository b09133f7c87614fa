"""The sealed frame: what one member's message looks like on a wire or on a shared disk. Bytes in, bytes out.

::

    offset  0  2  magic b"SF"        in the clear,     36  8  proof         sealed with AES-256-GCM;
            2  1  version            authenticated     44  n  body          16 bytes of tag follow
            3  1  kind: 1 message, 2 hello
            4  8  cluster tag    tells another cluster from a wrong key
           12  8  sender tag     which endpoint speaks (member and link)
           20  8  session        random, one per process and endpoint
           28  8  counter        of the session; also the nonce

AES-256-GCM and not ChaCha20-Poly1305 because it takes half the time where the processor has AES instructions
(0.5 against 1.0 microseconds for a heartbeat, measured); both are equally good here.

**Nonces never repeat.** Each session seals under a key of its own, HKDF(cluster key; cluster, sender, session), with
the counter as the nonce; a counter is used once, and a session lives in one process only. Two sessions of one endpoint
are equal by accident with a chance below 1e-7 after a million restarts.

**Freshness without clocks, over restarts of either side.** A receiver hands each session that speaks to it a *proof*,
computed from a secret of its own process, the session, and how often it has changed sessions for that endpoint. Only
a message that carries the proof is delivered; any other authentic one is answered by a *hello* with the proof in it.
So a new process is in step after one round trip. When a receiver takes up another session, every proof that it gave
before, except the new session's, is void for ever. Within a session a sliding window refuses doubled counters. A hello
names the one frame that it answers, and each of them counts once.

Guaranteed, as long as the cluster key is secret:
 - what is delivered was said by a process with the key, to this endpoint's present process, after that started;
 - nothing is delivered twice: not copied, not from another session, another link or another member, nor reflected;
 - no input raises: each frame lands in exactly one counter of LinkCounters.

Not guaranteed:
 - an attacker *with* the key may say anything, under any member's name: the key is the cluster's, not the member's;
 - an attacker on the path may drop, delay and reorder frames; a delayed one is delivered if neither side restarted
   and fewer than WINDOW frames overtook it, so a message must be harmless when late;
 - a flood of captured frames can delay the first meeting of a restarted process, because hellos are rate-limited by
   the link; it disturbs no pair that has met;
 - sizes, times, and which member speaks to which are visible.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from standfast.model.messages import Message
from standfast.ports import LinkCounters

KEY_BYTES: Final = 32
WINDOW: Final = 1024
"""Counters below the newest that are still told apart; anything older is refused."""

_MAGIC_VERSION: Final = b"SF\x01"
_MESSAGE: Final = 1
_HELLO: Final = 2
_HEADER: Final = struct.Struct(">3sB8s8s8sQ")
_GREETING: Final = struct.Struct(">8sQ8s")  # session and counter of the frame answered, proof for that session
_PROOF_BYTES: Final = 8
_NO_PROOF: Final = bytes(_PROOF_BYTES)
_SHORTEST: Final = _HEADER.size + _PROOF_BYTES + 16
_GENERATION_SHIFT: Final = 40
"""Beyond the changes of sessions that one endpoint can go through in the life of a process."""
_WINDOW_MASK: Final = (1 << WINDOW) - 1

encode: Final = msgspec.msgpack.Encoder().encode
"""A message as the body of a frame; encoded once, sealed for each receiver."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that the decoder raises: also for text that is not UTF-8, and for arrays nested too deeply."""
_decode: Final = msgspec.msgpack.Decoder(Message).decode


class Endpoint(NamedTuple):
    """One end of a link: a member and which of its links."""

    member: str
    link: int


class Delivery(NamedTuple):
    """An authentic, fresh message."""

    sender: Endpoint
    message: Message


class Reply(NamedTuple):
    """A hello to send back: the sender has not met this process yet."""

    to: Endpoint
    frame: bytes


class _Peer:
    """What an endpoint knows of another one."""

    __slots__ = ("answered", "changes", "cipher", "endpoint", "newest", "proof_here", "proof_there", "seen", "session")

    def __init__(self, endpoint: Endpoint, changes: int) -> None:
        self.endpoint = endpoint
        self.session = b""  # taken up; empty before the first meeting
        self.cipher: AESGCM | None = None
        self.proof_here = b""  # what that session must show to be heard here
        self.changes = changes
        self.newest = -1
        self.seen = 0  # bit i: counter newest - i was delivered
        self.proof_there = _NO_PROOF  # what this process must show to be heard there
        self.answered = -1  # newest own counter that a hello answered

    def first_sight(self, counter: int) -> bool:
        """Whether this counter is new within the window; remembers it."""
        ahead = counter - self.newest
        if ahead > 0:
            self.seen = ((self.seen << ahead) | 1) & _WINDOW_MASK if ahead < WINDOW else 1
            self.newest = counter
            return True
        if -ahead >= WINDOW or self.seen >> -ahead & 1:
            return False
        self.seen |= 1 << -ahead
        return True


class Seal:
    """Seals and opens the frames of one endpoint for the life of one process.

    Args:
        cluster_id: the cluster's; other clusters' frames are counted and dropped.
        key: the cluster key, KEY_BYTES long.
        me: this endpoint.
        peers: the endpoints that it talks to; frames of all others are dropped, its own included.
        counters: shared by all endpoints of a process.
    """

    def __init__(
        self, *, cluster_id: str, key: bytes, me: Endpoint, peers: Iterable[Endpoint], counters: LinkCounters
    ) -> None:
        assert len(key) == KEY_BYTES
        self.counters = counters
        self._cluster_tag = hashlib.sha256(b"standfast cluster\0" + cluster_id.encode()).digest()[:8]
        self._root = hmac.digest(b"standfast frame\0" + cluster_id.encode(), key, "sha256")  # HKDF-Extract
        self._me = _endpoint_tag(me)
        self._session = os.urandom(8)
        self._cipher = self._cipher_of(self._me, self._session)
        self._counter = 0
        self._secret = os.urandom(32)
        self._generation = 0
        self._by_endpoint: dict[Endpoint, _Peer] = {}
        self._by_tag: dict[bytes, _Peer] = {}
        self.follow(peers)
        assert me not in self._by_endpoint

    def follow(self, peers: Iterable[Endpoint]) -> None:
        """Talk to these endpoints from now on; those that it talked to before are not met anew.

        One that was dropped and comes back is: its proofs of that time stay void, because the count of its changes of
        sessions begins above every count of an earlier generation.
        """
        self._generation += 1
        first = self._generation << _GENERATION_SHIFT
        self._by_endpoint = {one: self._by_endpoint.get(one) or _Peer(one, first) for one in peers}
        self._by_tag = {_endpoint_tag(endpoint): peer for endpoint, peer in self._by_endpoint.items()}

    def seal(self, to: Endpoint, body: bytes) -> bytes:
        """A frame that carries an encoded message to a peer; raises KeyError for an endpoint that is none."""
        return self._sealed(_MESSAGE, self._by_endpoint[to].proof_there, body)

    def open(self, frame: bytes) -> Delivery | Reply | None:
        """What arrived: a message to deliver, a hello to send back, or nothing. Never raises; counts every frame."""
        counters = self.counters
        if len(frame) < _SHORTEST or frame[:3] != _MAGIC_VERSION:
            counters.malformed += 1
            return None
        _, kind, cluster_tag, tag, session, counter = _HEADER.unpack_from(frame)
        peer = self._by_tag.get(tag)
        if cluster_tag != self._cluster_tag or peer is None:
            counters.other_cluster += 1
            return None
        known = session == peer.session and peer.cipher is not None
        cipher = peer.cipher if known else self._cipher_of(tag, session)
        assert cipher is not None
        try:
            plain = cipher.decrypt(_nonce(counter), frame[_HEADER.size :], frame[: _HEADER.size])
        except InvalidTag:
            counters.bad_key += 1
            return None
        if kind == _HELLO:
            self._greeted(peer, plain[_PROOF_BYTES:])
            return None
        if kind != _MESSAGE:
            counters.malformed += 1
            return None
        due = peer.proof_here if known else self._proof(peer, session)
        if plain[:_PROOF_BYTES] != due:
            counters.unmet += 1
            return Reply(peer.endpoint, self._sealed(_HELLO, _NO_PROOF, _GREETING.pack(session, counter, due)))
        if not known:
            self._take_up(peer, session, cipher, due)
        return self._delivered(peer, counter, plain[_PROOF_BYTES:])

    def _take_up(self, peer: _Peer, session: bytes, cipher: AESGCM, proof: bytes) -> None:
        """The peer is another process now; one more change voids every proof given to others before."""
        peer.session, peer.cipher, peer.proof_here = session, cipher, proof
        peer.changes += 1
        peer.newest, peer.seen = -1, 0

    def _delivered(self, peer: _Peer, counter: int, body: bytes) -> Delivery | None:
        if not peer.first_sight(counter):
            self.counters.replayed += 1
            return None
        try:
            message = _decode(body)
        except _UNREADABLE:
            self.counters.malformed += 1
            return None
        if message.sender != peer.endpoint.member:
            self.counters.malformed += 1
            return None
        self.counters.received += 1
        return Delivery(peer.endpoint, message)

    def _greeted(self, peer: _Peer, body: bytes) -> None:
        """Learn what to show to that peer, from the answer to a frame of this process, each answer once."""
        if len(body) != _GREETING.size:
            self.counters.malformed += 1
            return
        session, counter, proof = _GREETING.unpack(body)
        if session != self._session or not peer.answered < counter < self._counter:
            self.counters.replayed += 1
            return
        peer.answered, peer.proof_there = counter, proof
        self.counters.hellos += 1

    def _proof(self, peer: _Peer, session: bytes) -> bytes:
        """What a session not taken up must show; computed and not kept, so that a flood fills no memory."""
        return hmac.digest(self._secret, session + peer.changes.to_bytes(8, "big"), "sha256")[:_PROOF_BYTES]

    def _sealed(self, kind: int, proof: bytes, body: bytes) -> bytes:
        counter = self._counter
        self._counter = counter + 1
        header = _HEADER.pack(_MAGIC_VERSION, kind, self._cluster_tag, self._me, self._session, counter)
        return header + self._cipher.encrypt(_nonce(counter), proof + body, header)

    def _cipher_of(self, tag: bytes, session: bytes) -> AESGCM:
        """The session's own key: HKDF-Expand of RFC 5869, one block."""
        return AESGCM(hmac.digest(self._root, tag + session + b"\x01", "sha256"))


def _endpoint_tag(endpoint: Endpoint) -> bytes:
    return hashlib.sha256(f"standfast endpoint\0{endpoint.member}\0{endpoint.link}".encode()).digest()[:8]


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")
