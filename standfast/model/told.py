"""An event with who told it, when, and an id by which doubles are dropped."""

from msgspec import Struct

from standfast.model.events import Severity


class StoredEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as it was told: as the log holds it or, with revision 0, as only its teller could.

    Attributes:
        id: unique; equal ids are the same event, however often it is delivered.
        time: wall clock of the member that tells it, ISO 8601, UTC, milliseconds.
        member: that tells it.
        severity: from the catalogue of the version that told it.
        kind: an EventKind by its value; a word that this version does not know is kept as it is.
        subject: the member or queue manager that it is about.
        fields: details by name.
        revision: of the transaction that it tells of; 0 while it is being written, and for one that is not stored.
        order: among the events of that transaction, from 0.
    """

    id: str
    time: str
    member: str
    severity: Severity
    kind: str
    subject: str
    fields: dict[str, str | int | float | bool | None] = {}
    revision: int = 0
    order: int = 0
