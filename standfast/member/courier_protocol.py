"""What a daemon and its courier say to each other: one JSON object a line, over a socket that they alone hold."""

from msgspec import Struct

from standfast.alerts.pump import SinkReport
from standfast.model.cluster import Cluster
from standfast.model.told import StoredEvent

MAX_LINE = 4 * 1024 * 1024


class Begin(Struct, frozen=True, kw_only=True, tag=True):
    """First of all: who the member is, and where its files are."""

    member: str
    state_dir: str
    trust_dir: str
    log_format: str


class Follow(Struct, frozen=True, kw_only=True, tag=True):
    """These settings are in force; `since`: revision from which a sink that is new begins."""

    cluster: Cluster
    since: int


class Course(Struct, frozen=True, kw_only=True, tag=True):
    """Whether this member delivers the cluster's events, and where clients reach queue managers that run."""

    leading: bool
    places: dict[str, tuple[str, int]]


class Told(Struct, frozen=True, tag=True):
    """An event of this member; `stored`: the store's log has it, too."""

    number: int
    event: StoredEvent
    stored: bool


class Stirred(Struct, frozen=True, tag=True):
    """The log may have more."""


class Try(Struct, frozen=True, tag=True):
    """Deliver this event to a sink now, over a connection of its own, and say what came of it."""

    ticket: int
    sink: str
    event: StoredEvent


ToCourier = Begin | Follow | Course | Told | Stirred | Try


class Got(Struct, frozen=True, tag=True):
    """All events up to this number wait in the outboxes."""

    number: int


class Sinks(Struct, frozen=True, tag=True):
    """How it stands with each sink; also the sign that the courier is alive."""

    reports: tuple[SinkReport, ...]


class Tried(Struct, frozen=True, kw_only=True, tag=True):
    """What came of a Try; `detail`: why it failed, empty when it did not."""

    ticket: int
    detail: str
    took_ms: float


ToDaemon = Got | Sinks | Tried
