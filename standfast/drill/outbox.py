"""What one producer has to send, and when. Pure: time comes in as a number, what to send comes out.

Guarantees: a message stays here under its identity until it is acknowledged; the first acknowledgement counts, and a
later one changes nothing.

A message is sent again (a) `retry` after the broker refused it, (b) on a new connection, (c) every `retry` when it is
the oldest one and the connection has answered nothing for that long. Not while answers to others keep coming: its own
is in the queue behind them, and a retry would only make a double.

A slow broker must not be buried under what it has not come round to, or it never recovers: each connection begins with
a few sends in flight and one more for each acknowledgement, up to `window`; and who gave up a connection that
acknowledged nothing waits twice as long with the next one.
"""

from standfast.drill.record import Sent

_FIRST_SENDS = 8
_PATIENCE = 16
"""A silent connection is given up after at most this many times `silence`."""


class Outbox:
    """Messages of one producer, by sequence number."""

    def __init__(self, *, retry_ns: int, silence_ns: int, window: int) -> None:
        """An empty outbox.

        Args:
            retry_ns: see the module's docstring.
            silence_ns: a connection that owes answers and gives none for so long is dead; see the module's docstring.
            window: most sends without an answer on one connection.
        """
        self.messages: list[Sent] = []
        self._retry_ns, self._silence_ns, self._window = retry_ns, silence_ns, window
        self._not_before: dict[int, int] = {}
        self._on_wire: set[int] = set()
        self._unanswered = 0
        self._in_flight_limit = min(_FIRST_SENDS, window)
        self._acknowledged = True
        self._patience_ns = silence_ns
        self._heard_ns = 0

    @property
    def waiting(self) -> int:
        """How many messages are not acknowledged yet."""
        return len(self._not_before)

    def create(self, now_ns: int) -> int:
        """A new message; its sequence number."""
        sequence = len(self.messages)
        self.messages.append(Sent(now_ns))
        self._not_before[sequence] = now_ns
        return sequence

    def connected(self, now_ns: int) -> None:
        """A new connection: it owes no answer, and all that waits is due on it."""
        longest_ns = self._silence_ns * _PATIENCE
        served = self._acknowledged or not self._unanswered
        self._patience_ns = self._silence_ns if served else min(2 * self._patience_ns, longest_ns)
        self._acknowledged = False
        self._in_flight_limit = min(_FIRST_SENDS, self._window)
        self._on_wire.clear()
        self._unanswered = 0
        self._heard_ns = now_ns
        self._not_before = dict.fromkeys(self._not_before, now_ns)

    def due(self, now_ns: int) -> list[int]:
        """What to send now on the connection, oldest first."""
        stalled = self._owed_for(now_ns) >= self._retry_ns
        room = self._in_flight_limit - self._unanswered
        found: list[int] = []
        for position, (sequence, not_before_ns) in enumerate(self._not_before.items()):
            if len(found) >= room:
                break
            again = stalled and position == 0
            if not_before_ns <= now_ns and (again or sequence not in self._on_wire):
                found.append(sequence)
        return found

    def sent(self, sequence: int, now_ns: int) -> None:
        """It went onto the connection."""
        message = self.messages[sequence]
        message.attempts += 1
        message.first_sent_ns = message.first_sent_ns or now_ns
        if self._unanswered == 0:
            self._heard_ns = now_ns
        self._unanswered += 1
        self._on_wire.add(sequence)
        self._not_before[sequence] = now_ns + self._retry_ns

    def answered(self, sequence: int, now_ns: int, *, accepted: bool) -> bool:
        """The broker answered a send; whether this is the message's first acknowledgement."""
        self._heard_ns = now_ns
        self._unanswered = max(0, self._unanswered - 1)
        if accepted:
            self._acknowledged = True
            self._in_flight_limit = min(self._in_flight_limit + 1, self._window)
        if sequence not in self._not_before:
            return False
        self._on_wire.discard(sequence)
        if not accepted:
            self._not_before[sequence] = now_ns + self._retry_ns
            return False
        del self._not_before[sequence]
        self.messages[sequence].acked_ns = now_ns
        return True

    def dead(self, now_ns: int) -> bool:
        """Whether the connection owes answers and has given none for too long."""
        return self._owed_for(now_ns) >= self._patience_ns

    def _owed_for(self, now_ns: int) -> int:
        return now_ns - self._heard_ns if self._unanswered else 0
