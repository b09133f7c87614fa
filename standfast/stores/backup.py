"""A backup: everything that Standfast keeps in the store, as it was at one revision, in one readable file.

Guarantees: what `decode` returns is what `encode` was given, to the byte; a file that was cut short, changed, made by a
newer format or put together wrongly is refused. Reading it back says nothing about whether it is still true: what may
not be restored as it was is changed in `restoring.py`.
Does not guarantee secrecy or origin: the checksum tells damage, not forgery. Keep the file where only root reads it.

The format, version 1, is text in lines of JSON, for `less`, `grep` and `jq`::

    {"format": "standfast-store-backup", "version": 1, "cluster": ..., "records": 7, "events": 120, ...}
    {"key": "assignments/orders", "revision": 81, "value": {...}}          one line per record, by key
    {"key": "events/w.018f...", "revision": 80, "value": {...}}            one line per event, oldest first
    {"sha256": "..."}                                                      of all the lines before, newlines included
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from standfast import __version__
from standfast.errors import StateError, StoreFatal
from standfast.model.records import SETTINGS_KEY, Record, SettingsRecord
from standfast.ports import Changes, KeyChange
from standfast.stores.ledger import EVENTS, decode_record

FORMAT = "standfast-store-backup"
VERSION = 1
RESTORING = "restoring:"
"""What the cluster id in the settings begins with while a restore is under way: no cluster has such an id, so that
members of every version refuse the store."""


class Header(Struct, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        format: FORMAT.
        version: of the format.
        cluster: name of the cluster.
        cluster_id: of the cluster.
        made_at: wall clock, ISO 8601 with its offset.
        made_by: release of Standfast that made it.
        revision: of the store at which everything was read.
        records: how many follow.
        events: how many follow the records.
    """

    format: str = FORMAT
    version: int = VERSION
    cluster: str
    cluster_id: str
    made_at: str
    made_by: str = __version__
    revision: int
    records: int
    events: int


class Line(Struct, frozen=True):
    """A record or an event: its key, the revision of its last change, and its value as the store holds it."""

    key: str
    revision: int
    value: msgspec.Raw


class Backup(Struct, frozen=True, kw_only=True):
    """A whole one; `checksum` is of its file, in hexadecimal."""

    header: Header
    records: tuple[Line, ...]
    events: tuple[Line, ...]
    checksum: str


class _Opening(Struct, frozen=True):
    """As much of a first line as every version has."""

    format: str
    version: int


class _Closing(Struct, frozen=True):
    sha256: str


_encode = msgspec.json.Encoder().encode
_OPENING, _HEADER = msgspec.json.Decoder(_Opening), msgspec.json.Decoder(Header)
_LINE, _CLOSING = msgspec.json.Decoder(Line), msgspec.json.Decoder(_Closing)


def encode(cluster: str, held: Changes, now: datetime) -> bytes:
    """The file of a snapshot of cluster `cluster`; `now` with its time zone.

    Raises StoreFatal when the store holds no cluster, half a restored one, or a record that can not be read back: what
    could not be restored is no backup.
    """
    records = [change for change in held.changes if not change.key.startswith(EVENTS)]
    events = [change for change in held.changes if change.key.startswith(EVENTS)]
    settings = {change.key: decode_record(change) for change in records}.get(SETTINGS_KEY)
    if not isinstance(settings, SettingsRecord):
        raise StoreFatal(f"The store holds no cluster {cluster!r}: nothing can be saved. Is it the right store?")
    if settings.cluster_id.startswith(RESTORING):
        raise StoreFatal(
            "The store holds a half restored cluster: nothing was saved. Finish it (`standfast store restore FILE`, "
            "with the same file), or take it back (`standfast store restore --undo`)."
        )
    header = Header(
        cluster=cluster,
        cluster_id=settings.cluster_id,
        made_at=now.isoformat(timespec="milliseconds"),
        revision=held.revision,
        records=len(records),
        events=len(events),
    )
    body = b"".join(_encode(line) + b"\n" for line in (header, *_lines(records), *_lines(events)))
    return body + _encode(_Closing(hashlib.sha256(body).hexdigest())) + b"\n"


def decode(raw: bytes, name: str = "the file") -> Backup:
    """The backup in a file; raises StateError saying what is wrong with it. `name` is for that sentence."""
    lines = raw.splitlines(keepends=True)
    try:
        opening = _OPENING.decode(lines[0])
    except (IndexError, msgspec.MsgspecError, UnicodeDecodeError):
        raise _unusable(name, "its first line is not that of a backup") from None
    if opening.format != FORMAT:
        raise _unusable(name, f"its format is {opening.format!r}, not {FORMAT!r}")
    if opening.version > VERSION:
        raise _unusable(name, f"it has version {opening.version} of the format, and this release reads up to {VERSION}")
    try:
        header, closing = _HEADER.decode(lines[0]), _CLOSING.decode(lines[-1])
        found = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
        if found != closing.sha256:
            raise _unusable(name, f"its checksum is {found}, and its last line says {closing.sha256}")
        entries = tuple(map(_LINE.decode, lines[1:-1]))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unusable(name, f"it was cut short or changed: {error}") from error
    records, events = entries[: header.records], entries[header.records :]
    _require_whole(name, header, records, events)
    return Backup(header=header, records=records, events=events, checksum=closing.sha256)


def record_of(line: Line) -> Record:
    """The record of a line; raises StoreFatal when it is not what belongs under its key."""
    return decode_record(KeyChange(line.key, bytes(line.value), line.revision))


def _lines(changes: Iterable[KeyChange]) -> Iterable[Line]:
    return (Line(change.key, change.revision, msgspec.Raw(change.value)) for change in changes)


def _require_whole(name: str, header: Header, records: tuple[Line, ...], events: tuple[Line, ...]) -> None:
    """The counts are right, every key is there once, every record is one, and they are of one cluster."""
    if (len(records), len(events)) != (header.records, header.events):
        raise _unusable(name, f"it has {len(records) + len(events)} entries, not {header.records + header.events}")
    if any(line.key.startswith(EVENTS) for line in records) or not all(line.key.startswith(EVENTS) for line in events):
        raise _unusable(name, "records and events are mixed")
    if len({line.key for line in (*records, *events)}) < len(records) + len(events):
        raise _unusable(name, "a key comes twice")
    try:
        settings = {line.key: record_of(line) for line in records}.get(SETTINGS_KEY)
    except StoreFatal as error:
        raise _unusable(name, str(error)) from error
    if not isinstance(settings, SettingsRecord) or settings.cluster_id != header.cluster_id:
        raise _unusable(name, "its settings are not those of the cluster that its first line names")


def _unusable(name: str, why: str) -> StateError:
    return StateError(
        f"{name} can not be used as a backup of the store: {why}. Nothing was changed. Take another backup, or the "
        f"release of Standfast that made it."
    )


__all__ = ["FORMAT", "RESTORING", "VERSION", "Backup", "Header", "Line", "decode", "encode", "record_of"]
