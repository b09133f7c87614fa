"""Sealed blocks on a shared disk: what opens, and what each kind of damage is called."""

import struct
import zlib

import pytest

from standfast.links.disk_layout import HEADER_BYTES, SLOTS, SMALLEST_UNIT, Echo, Fault, Layout, Record, Sealed, Volume

from .disks import KEY, heartbeat

DISK = bytes(16)
SESSION = b"8 bytes."
RECORD = Record(heartbeat("a", 5), (Echo(SESSION, 9), Echo()), 1)
MINE = Layout("t-1", KEY)
VOLUME = Volume(cluster="t-1", name="t", disk=DISK, unit=4096, members=("a", "b", *[""] * (SLOTS - 2)), revision=1)
HEAD = 52
"""Bytes before the checksum."""


def block() -> bytes:
    return MINE.seal_record(DISK, 0, SESSION, 7, RECORD)


def test_a_record_opens_as_it_was_sealed_with_trailing_zeros_or_without():
    sealed = block()
    for read in (sealed, sealed.ljust(SMALLEST_UNIT, b"\0"), sealed.rstrip(b"\0")):
        assert MINE.open_record(DISK, 0, read) == Sealed(SESSION, 7, RECORD)


def test_a_header_opens_and_fits_with_seven_long_names():
    assert MINE.open_volume(MINE.seal_volume(VOLUME)) == VOLUME
    names = tuple("m" * 62 + str(number) for number in range(7))
    long = Volume(cluster="t-1", name="n" * 63, disk=DISK, unit=65_536, members=names, revision=2**40)
    assert len(MINE.seal_volume(long)) <= HEADER_BYTES
    assert MINE.open_volume(MINE.seal_volume(long).ljust(HEADER_BYTES, b"\0")) == long


def test_a_heartbeat_of_seven_members_is_one_small_block():
    echoes = (Echo(SESSION, 2**60),) * 7
    usual = Record(heartbeat("member-number-one", 2**40, process=2**62, sent_ns=2**60), echoes, 2**41)
    assert len(MINE.seal_record(DISK, 6, SESSION, 2**60, usual)) <= 512


def test_every_byte_that_changes_is_noticed():
    sealed = block()
    for at in range(len(sealed)):
        for flipped in (sealed[at] ^ 1, sealed[at] ^ 0x80, 0 if sealed[at] else 0xFF):
            damaged = sealed[:at] + bytes([flipped]) + sealed[at + 1 :]
            expected = Fault.FOREIGN if at < 7 else Fault.DAMAGED
            assert MINE.open_record(DISK, 0, damaged) is expected, at


@pytest.mark.parametrize("cut", [1, 7, 8, 40, HEAD, HEAD + 4, 100])
def test_a_torn_write_is_noticed(cut: int):
    older = MINE.seal_record(DISK, 0, SESSION, 6, RECORD)
    torn = block()[:cut] + older[cut:]
    assert isinstance(MINE.open_record(DISK, 0, torn), Fault) or torn == older
    assert isinstance(MINE.open_record(DISK, 0, block()[:cut]), Fault)


def test_a_checksum_made_good_does_not_help_without_the_key():
    """Every field that is authenticated is: an attacker can compute the checksum, not the seal."""
    sealed = block()
    for at in [*range(7, HEAD), *range(HEAD + 4, len(sealed))]:
        head, rest = bytearray(sealed[:HEAD]), bytearray(sealed[HEAD + 4 :])
        (head if at < HEAD else rest)[at if at < HEAD else at - HEAD - 4] ^= 1
        rest = rest[: struct.unpack(">H", head[-2:])[0]]
        forged = bytes(head) + struct.pack(">I", zlib.crc32(rest, zlib.crc32(head))) + bytes(rest)
        assert isinstance(MINE.open_record(DISK, 0, forged), Fault), at


def test_what_was_sealed_elsewhere_is_told_apart():
    record = block()
    assert Layout("t-2", KEY).open_record(DISK, 0, record) is Fault.OTHER_CLUSTER
    assert Layout("t-1", bytes(32)).open_record(DISK, 0, record) is Fault.WRONG_KEY
    assert MINE.open_record(b"x" * 16, 0, record) is Fault.MISPLACED
    assert MINE.open_record(DISK, 1, record) is Fault.MISPLACED
    assert MINE.open_volume(record) is Fault.MISPLACED
    assert MINE.open_record(DISK, 0xFFFF, MINE.seal_volume(VOLUME)) is Fault.MISPLACED
    assert MINE.open_record(DISK, 0, bytes(512)) is Fault.BLANK
    assert MINE.open_record(DISK, 0, b"") is Fault.BLANK
    assert MINE.open_record(DISK, 0, b"\x7fELF".ljust(512, b"x")) is Fault.FOREIGN


def test_a_header_sealed_with_the_key_but_impossible_to_lay_out_is_refused():
    """As a later release with larger units might write it."""
    absurd = Volume(cluster="t-1", name="t", disk=DISK, unit=4096, members=("a",), revision=1)
    for unit in (0, 100, 1 << 20):
        sealed = MINE.seal_volume(_forced(absurd, unit))
        assert MINE.open_volume(sealed) is Fault.UNREADABLE


def _forced(volume: Volume, unit: int) -> Volume:
    import msgspec

    class Later(msgspec.Struct):
        cluster: str
        name: str
        disk: bytes
        unit: int
        members: tuple[str, ...]
        revision: int

    fields = {**msgspec.structs.asdict(volume), "unit": unit}
    return Later(**fields)  # type: ignore[return-value]
