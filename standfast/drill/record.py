"""What a load is told, what it says while it runs, and what it hands over at the end. All plain values, as JSON.

Times are nanoseconds of CLOCK_BOOTTIME: comparable with those of every other process on the same machine.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

Positive = Annotated[int, Meta(ge=1)]
ATTEMPTS = 8
"""Where a packet that nobody answers costs an attempt: a new one each `retry_ms` must find the next owner in time."""


class LoadSettings(Struct, frozen=True, kw_only=True):
    """How to load one queue manager.

    Attributes:
        kind: of the queue manager, such as `nats`.
        address: of the endpoint; one for all, before and after a takeover.
        port: of the endpoint.
        run: names this run; letters and digits.
        producers: how many, each with a connection of its own.
        consumers: likewise; 0 for none.
        every_ms: each producer makes a new message this often.
        retry_ms: a message that is refused or unanswered is sent again after this time; also the pace of reconnecting.
        message_bytes: size of a message.
        window: most messages that one producer has on the wire without an answer.
        silence_ms: a connection that answers nothing for so long is given up.
        attempt_ms: a connection attempt is given up after this time.
        attempts: most of one client that are under way at once; one is enough where the endpoint holds who comes.
        drain_s: how long to wait at the end for the last acknowledgements, and again for the consumers.
        tick_ms: how often to report progress.
        user: to log in with; empty for none.
        password_file: goes with `user`.
    """

    kind: str
    address: str
    port: int
    run: Annotated[str, Meta(pattern="^[A-Za-z0-9]+$")]
    producers: Positive = 1
    consumers: Annotated[int, Meta(ge=0)] = 1
    every_ms: Positive = 5
    retry_ms: Positive = 20
    message_bytes: Positive = 200
    window: Positive = 256
    silence_ms: Positive = 250
    attempt_ms: Positive = 1000
    attempts: Positive = ATTEMPTS
    drain_s: Annotated[float, Meta(gt=0)] = 30.0
    tick_ms: Positive = 100
    user: str = ""
    password_file: str = ""


class Tick(Struct, frozen=True, kw_only=True, tag="tick"):
    """Progress within one tick.

    Attributes:
        at_ns: end of the tick.
        acked: messages acknowledged within it; the rate for a sparkline.
        consumed: messages consumed within it, repeats included.
        waiting: messages made and not acknowledged yet, at its end.
        connected: producers with a connection, at its end.
        problem: what the last connection attempt failed of; empty when it succeeded.
    """

    at_ns: int
    acked: int
    consumed: int
    waiting: int
    connected: int
    problem: str = ""


class Sent(Struct, array_like=True):
    """The life of one message; 0 stands for "never".

    Attributes:
        created_ns: when the producer wanted it stored.
        first_sent_ns: when it first went onto a connection.
        acked_ns: when the first acknowledgement came.
        attempts: how often it was sent.
    """

    created_ns: int
    first_sent_ns: int = 0
    acked_ns: int = 0
    attempts: int = 0


class LoadRecord(Struct, frozen=True, kw_only=True, tag="record"):
    """Everything that a load did and found. Lists run over producers, then over sequence numbers.

    Attributes:
        settings: of the load.
        began_ns: when the first message was made.
        ended_ns: when the last one was acknowledged, or no longer waited for.
        sent: what became of each message.
        consumed: how often each message reached a consumer.
        stored: how often each message is in the queue manager at the end; None when it could not be read back.
        unreadable: why it could not be read back; empty when it could.
        connections: how many connections the producers made.
    """

    settings: LoadSettings
    began_ns: int
    ended_ns: int
    sent: list[list[Sent]]
    consumed: list[list[int]]
    stored: list[list[int]] | None = None
    unreadable: str = ""
    connections: int = 0


class LoadFailed(Struct, frozen=True, tag="failed"):
    """The load could not start or go on; `message` says why and what to do."""

    message: str


Report = Tick | LoadRecord | LoadFailed
"""What a load process says, one JSON document per line."""


class Tally(Struct):
    """Counts how often each message of a run was seen."""

    counts: list[list[int]] = field(default_factory=list)

    def add(self, producer: int, sequence: int) -> None:
        """Count one sighting."""
        while len(self.counts) <= producer:
            self.counts.append([])
        row = self.counts[producer]
        if len(row) <= sequence:
            row.extend([0] * (sequence + 1 - len(row)))
        row[sequence] += 1

    def of(self, producer: int, sequence: int) -> int:
        """How often it was seen."""
        if producer < len(self.counts) and sequence < len(self.counts[producer]):
            return self.counts[producer][sequence]
        return 0
