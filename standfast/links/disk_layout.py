"""What lies on a shared disk: a header and a slot for each member, all sealed. Bytes in, bytes out.

::

    unit 0       the header: which cluster, which disk, whose slot is which
    unit 1 + i   slot i: the newest record of its member, written by that member only

    Each sealed block, at the beginning of its unit:

    offset  0   7  magic b"SFDISK" and version      in the clear,     48  2  index of the slot, 65535 for the header
            7   1  kind: V header, R record         authenticated     50  2  length n of what follows the head
            8   8  cluster tag                                        52  4  CRC-32 of this head and of the rest
           16  16  id of the disk, random                             56  n  sealed with AES-256-GCM, 16 bytes of tag
           32   8  session, random
           40   8  sequence; also the nonce

The checksum tells damage (a torn or foreign write) from a block that is whole and sealed with another key.

A record is written as few blocks of the device as hold it. With few members that is one, which a disk writes whole or
not at all; a longer one may be torn by a crash, and is then refused by its checksum and its seal.

**Nonces never repeat.** Each session seals under a key of its own, HKDF(cluster key; "disk", cluster, disk, kind,
index, session), with the sequence as the nonce. A session is 8 random bytes for each start of a daemon, and a sequence
is used once in it; the sequence also grows from one start to the next, so that even two equal sessions share no nonce.

Guaranteed, as long as the cluster key is secret: what opens was sealed by a process with the key, for this disk, kind
and slot. Not guaranteed here: that it is new. See disk_slots.py.
"""

import hashlib
import hmac
import os
import struct
import zlib
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from standfast.model.messages import Heartbeat

KEY_BYTES: Final = 32
HEADER_BYTES: Final = 4096
"""The header lies within the first so many bytes, whatever the size of a unit."""
SMALLEST_UNIT: Final = 4096
LARGEST_UNIT: Final = 65_536
SLOTS: Final = 16
"""Slots made by default: seven members and room for replacing each of them."""

_MAGIC: Final = b"SFDISK\x01"
_VOLUME: Final = b"V"
_RECORD: Final = b"R"
_HEADER_INDEX: Final = 0xFFFF
_HEAD: Final = struct.Struct(">7sc8s16s8sQHH")
_CRC: Final = struct.Struct(">I")
_START: Final = _HEAD.size + _CRC.size
_TAG_BYTES: Final = 16
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Fault(StrEnum):
    """Why a block was not taken."""

    BLANK = "blank"  # nothing but zeros: never written, or wiped
    FOREIGN = "foreign"  # something that is no block of Standfast's
    DAMAGED = "damaged"  # ours once: torn or overwritten in part
    OTHER_CLUSTER = "other_cluster"
    WRONG_KEY = "wrong_key"  # whole, but not sealed with this key
    MISPLACED = "misplaced"  # of another disk or another slot
    UNREADABLE = "unreadable"  # authentic, but not understood: of another release, perhaps


class Volume(Struct, frozen=True, kw_only=True):
    """The header: what a disk is.

    Attributes:
        cluster: id of the cluster.
        name: of the cluster, for people.
        disk: 16 random bytes, new with each formatting.
        unit: bytes of the header's unit and of each slot; a multiple of the device's block.
        members: whose slot is which; an empty name is a free slot.
        revision: grows with each change of the members.
    """

    cluster: str
    name: str
    disk: bytes
    unit: int
    members: tuple[str, ...]
    revision: int

    def __post_init__(self) -> None:
        """Refuse what could not be laid out, also when it was sealed with the key; raises ValueError."""
        if len(self.disk) != 16 or not SMALLEST_UNIT <= self.unit <= LARGEST_UNIT or self.unit % SMALLEST_UNIT:  # noqa: PLR2004
            raise ValueError(f"a disk of units of {self.unit} bytes cannot be laid out")

    @property
    def size(self) -> int:
        """Bytes needed for the header and all slots."""
        return self.unit * (1 + len(self.members))

    @property
    def used(self) -> int:
        """Bytes up to the end of the last slot that has an owner."""
        return self.offset(max((index for index, name in enumerate(self.members) if name), default=-1) + 1)

    def offset(self, slot: int) -> int:
        """Where a slot begins, in bytes."""
        return self.unit * (1 + slot)


class Echo(Struct, frozen=True, array_like=True):
    """The newest record that the author had read in a slot when it sealed; empty and 0 for none."""

    session: bytes = b""
    sequence: int = 0


class Record(Struct, frozen=True, array_like=True):
    """What a member writes into its slot.

    Attributes:
        heartbeat: its newest.
        echoes: by slot: what it had read before. Who finds its own session there knows that this was sealed after
            its own record was written.
        written_ms: the author's wall clock in Unix milliseconds: for people, never compared.
    """

    heartbeat: Heartbeat
    echoes: tuple[Echo, ...]
    written_ms: int


class Sealed(NamedTuple):
    """A record that opened, and its place in the order of its member's records."""

    session: bytes
    sequence: int
    record: Record


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_volume: Final = msgspec.msgpack.Decoder(Volume).decode
_decode_record: Final = msgspec.msgpack.Decoder(Record).decode


class _Place(NamedTuple):
    """Where a block belongs, which is part of its key."""

    kind: bytes
    disk: bytes
    number: int


class Layout:
    """Seals and opens the blocks of one cluster's disks.

    Args:
        cluster_id: the cluster's.
        key: the cluster key, KEY_BYTES long; used only to derive keys that nothing else uses.
    """

    def __init__(self, cluster_id: str, key: bytes) -> None:
        assert len(key) == KEY_BYTES
        self._tag = hashlib.sha256(b"standfast cluster\0" + cluster_id.encode()).digest()[:8]
        self._root = hmac.digest(b"standfast disk\0" + cluster_id.encode(), key, "sha256")  # HKDF-Extract
        self._ciphers: dict[bytes, AESGCM] = {}

    def seal_volume(self, volume: Volume) -> bytes:
        """The header as bytes, each time under a session of its own."""
        block = self._seal(_Place(_VOLUME, volume.disk, _HEADER_INDEX), os.urandom(8), volume.revision, _encode(volume))
        assert len(block) <= HEADER_BYTES
        return block

    def open_volume(self, block: bytes) -> Volume | Fault:
        """The header, or why it is none."""
        plain = self._open(_VOLUME, None, _HEADER_INDEX, block)
        if isinstance(plain, Fault):
            return plain
        try:
            volume = _decode_volume(plain)
        except _UNREADABLE:
            return Fault.UNREADABLE
        return volume if volume.disk == _HEAD.unpack_from(block)[3] else Fault.MISPLACED

    def seal_record(self, disk: bytes, slot: int, session: bytes, sequence: int, record: Record) -> bytes:
        """A record as bytes; a sequence is used once in a session."""
        return self._seal(_Place(_RECORD, disk, slot), session, sequence, _encode(record))

    def open_record(self, disk: bytes, slot: int, block: bytes) -> Sealed | Fault:
        """What a slot holds. Never raises, whatever it is; trailing zeros may be missing."""
        plain = self._open(_RECORD, disk, slot, block)
        if isinstance(plain, Fault):
            return plain
        try:
            record = _decode_record(plain)
        except _UNREADABLE:
            return Fault.UNREADABLE
        _, _, _, _, session, sequence, _, _ = _HEAD.unpack_from(block)
        return Sealed(session, sequence, record)

    def _seal(self, place: _Place, session: bytes, sequence: int, body: bytes) -> bytes:
        length = len(body) + _TAG_BYTES
        if length > LARGEST_UNIT - _START:
            raise ValueError(f"a block of {length} bytes fits in no slot")
        head = _HEAD.pack(_MAGIC, place.kind, self._tag, place.disk, session, sequence, place.number, length)
        rest = self._cipher(head).encrypt(sequence.to_bytes(12, "big"), body, head)
        return head + _CRC.pack(zlib.crc32(rest, zlib.crc32(head))) + rest

    def _open(self, kind: bytes, disk: bytes | None, index: int, block: bytes) -> bytes | Fault:
        if not block.strip(b"\0"):
            return Fault.BLANK
        if block[: len(_MAGIC)] != _MAGIC:
            return Fault.FOREIGN
        block = block.ljust(_START, b"\0")
        head = block[: _HEAD.size]
        _, its_kind, tag, its_disk, _, sequence, its_index, length = _HEAD.unpack(head)
        rest = block[_START : _START + length].ljust(length, b"\0")
        if length < _TAG_BYTES or zlib.crc32(rest, zlib.crc32(head)) != _CRC.unpack_from(block, _HEAD.size)[0]:
            return Fault.DAMAGED
        if tag != self._tag:
            return Fault.OTHER_CLUSTER
        if (its_kind, its_index) != (kind, index) or disk not in (None, its_disk):
            return Fault.MISPLACED
        try:
            return self._cipher(head).decrypt(sequence.to_bytes(12, "big"), rest, head)
        except InvalidTag:
            return Fault.WRONG_KEY

    def _cipher(self, head: bytes) -> AESGCM:
        """The key of the session that a head names: HKDF-Expand of RFC 5869, one block; the last few are kept."""
        _, kind, _, disk, session, _, index, _ = _HEAD.unpack(head)
        info = kind + disk + index.to_bytes(2, "big") + session
        cipher = self._ciphers.get(info)
        if cipher is None:
            if len(self._ciphers) >= _KEPT_CIPHERS:
                self._ciphers.clear()
            cipher = self._ciphers[info] = AESGCM(hmac.digest(self._root, info + b"\x01", "sha256"))
        return cipher


_KEPT_CIPHERS: Final = 64

__all__ = [
    "HEADER_BYTES",
    "LARGEST_UNIT",
    "SLOTS",
    "SMALLEST_UNIT",
    "Echo",
    "Fault",
    "Layout",
    "Record",
    "Sealed",
    "Volume",
]
