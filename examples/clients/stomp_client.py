"""A STOMP client (ActiveMQ) that loses nothing when the queue manager moves: a producer and a consumer.

    python stomp_client.py --servers 10.0.0.1:61616,10.0.0.2:61616 --messages 1000

What makes it safe: the list of all data members, tried in turn; `persistent:true`, which STOMP does not have by itself;
a receipt for each message: it counts as sent when the receipt has come, and is sent again until then; the consumer
acknowledges each message when it has done it, and knows by its id what it has done before.
"""

import argparse
import contextlib
import itertools
import json
import queue
import threading
from collections.abc import Iterator

import stomp
from stomp.utils import Frame

DESTINATION = "/queue/orders"
PAUSE_S = 0.1
ANSWER_S = 2.0
HEARTBEAT_MS = 2000


class LostError(Exception):
    """The connection broke, or nothing came in time."""


class Line(stomp.ConnectionListener):
    """One connection; what the broker sends waits in a queue, with a None at the end."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        beats = (HEARTBEAT_MS, HEARTBEAT_MS)
        self.connection = stomp.Connection12(
            [(host, int(port))], heartbeats=beats, timeout=ANSWER_S, reconnect_attempts_max=1
        )
        self.connection.set_listener("", self)
        self.connection.connect(wait=True)

    def on_receipt(self, frame: Frame) -> None:
        """A message is on the broker's disk."""
        self._frames.put(frame)

    def on_message(self, frame: Frame) -> None:
        """A message for the consumer."""
        self._frames.put(frame)

    def on_disconnected(self) -> None:
        """Nothing more will come."""
        self._frames.put(None)

    def next(self) -> Frame:
        """The next frame; raises LostError."""
        with contextlib.suppress(queue.Empty):
            if frame := self._frames.get(timeout=ANSWER_S):
                return frame
        raise LostError


LOST = (LostError, OSError, stomp.exception.StompException)


@contextlib.contextmanager
def connected(servers: Iterator[str]) -> Iterator[Line]:
    """A connection to the next server in turn; raises what is in LOST when it does not run the broker."""
    line = Line(next(servers))
    try:
        yield line
    finally:
        with contextlib.suppress(*LOST):
            line.connection.disconnect()


def produce(servers: Iterator[str], messages: int) -> None:
    """Send every message until its receipt has come."""
    number = 0
    while number < messages:
        try:
            with connected(servers) as line:
                while number < messages:
                    receipt = f"order-{number}"
                    body = json.dumps({"order": number})
                    line.connection.send(DESTINATION, body, persistent="true", receipt=receipt)
                    while line.next().headers.get("receipt-id") != receipt:
                        pass
                    print(f"acknowledged {number}", flush=True)
                    number += 1
        except LOST:
            threading.Event().wait(PAUSE_S)


def consume(servers: Iterator[str], messages: int) -> dict[str, int]:
    """Do every order once, whatever is delivered twice."""
    done: set[int] = set()  # a real consumer keeps this with what the order changed, in one transaction
    again = 0
    while len(done) < messages:
        try:
            with connected(servers) as line:
                line.connection.subscribe(DESTINATION, id="1", ack="client-individual")
                while len(done) < messages:
                    frame = line.next()
                    order = json.loads(frame.body)["order"]
                    again += order in done
                    done.add(order)
                    line.connection.ack(frame.headers["ack"])
        except LOST:
            threading.Event().wait(PAUSE_S)
    return {"done": len(done), "again": again}


def main() -> None:
    """Both at once, until every message has come through."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--servers", required=True)
    arguments.add_argument("--messages", type=int, default=1000)
    given = arguments.parse_args()
    servers = given.servers.split(",")
    producing = threading.Thread(target=produce, args=(itertools.cycle(servers), given.messages))
    producing.start()
    found = consume(itertools.cycle(servers), given.messages)
    producing.join()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
