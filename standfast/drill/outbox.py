"""What one producer has to send, and when. Pure: time comes in as a number, what to send comes out.

Guarantees: a message stays here under its identity until it is acknowledged; the first acknowledgement counts, and a
later one changes nothing. At most `window` sends are unanswered on one connection, so that a slow broker is not buried
under retries.

A message is sent again (a) `retry` after the broker refused it, (b) at once on a new connection, (c) `retry` after its
last send when the connection has answered nothing for that long. Not while answers to others keep coming: its own is
in the queue behind them, and a retry would only make a double.
"""

from standfast.drill.record import Sent


class Outbox:
    """Messages of one producer, by sequence number."""

    def __init__(self, *, retry_ns: int, silence_ns: int, window: int) -> None:
        """An empty outbox.

        Args:
            retry_ns: see the module's docstring.
            silence_ns: a connection that owes answers and gives none for so long is dead.
            window: most sends without an answer on one connection.
        """
        self.messages: list[Sent] = []
        self._retry_ns, self._silence_ns, self._window = retry_ns, silence_ns, window
        self._not_before: dict[int, int] = {}
        self._on_wire: set[int] = set()
        self._unanswered = 0
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
        self._on_wire.clear()
        self._unanswered = 0
        self._heard_ns = now_ns
        self._not_before = dict.fromkeys(self._not_before, now_ns)

    def due(self, now_ns: int) -> list[int]:
        """What to send now on the connection, oldest first."""
        stalled = self._owed_for(now_ns) >= self._retry_ns
        room = self._window - self._unanswered
        found: list[int] = []
        for sequence, not_before_ns in self._not_before.items():
            if len(found) >= room:
                break
            if not_before_ns <= now_ns and (stalled or sequence not in self._on_wire):
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
        if sequence not in self._not_before:
            return False
        if not accepted:
            self._on_wire.discard(sequence)
            self._not_before[sequence] = now_ns + self._retry_ns
            return False
        self._on_wire.discard(sequence)
        del self._not_before[sequence]
        self.messages[sequence].acked_ns = now_ns
        return True

    def dead(self, now_ns: int) -> bool:
        """Whether the connection owes answers and has given none for too long."""
        return self._owed_for(now_ns) >= self._silence_ns

    def _owed_for(self, now_ns: int) -> int:
        return now_ns - self._heard_ns if self._unanswered else 0
