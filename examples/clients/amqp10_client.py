"""An AMQP 1.0 client that loses nothing when the queue manager moves: a producer and a consumer.

    python amqp10_client.py --servers amqp://guest:guest@10.0.0.1:5672,amqp://guest:guest@10.0.0.2:5672 --messages 1000

What makes it safe: the list of all data members, tried in turn; durable messages; a message counts as sent when the
broker has settled it as accepted, and is sent again until then; the consumer accepts what it has done, and knows by its
id what it has done before. The queue exists already, made durable (RabbitMQ: a quorum queue) by whoever owns it.
"""

import argparse
import contextlib
import itertools
import json
import threading
from collections.abc import Iterator

from proton import Message, ProtonException
from proton.utils import BlockingConnection

PAUSE_S = 0.1
ANSWER_S = 2.0
HEARTBEAT_S = 2
LOST = (ProtonException, OSError)


@contextlib.contextmanager
def connected(servers: Iterator[str]) -> Iterator[BlockingConnection]:
    """A connection to the next server in turn; raises what is in LOST when it does not run the broker."""
    connection = BlockingConnection(
        next(servers), timeout=ANSWER_S, heartbeat=HEARTBEAT_S, reconnect=False, allowed_mechs="PLAIN"
    )
    try:
        yield connection
    finally:
        with contextlib.suppress(*LOST):
            connection.close()


def produce(servers: Iterator[str], queue: str, messages: int) -> None:
    """Send every message until it is accepted."""
    number = 0
    while number < messages:
        try:
            with connected(servers) as connection:
                sender = connection.create_sender(queue)
                while number < messages:
                    sender.send(Message(json.dumps({"order": number}), durable=True), timeout=ANSWER_S)
                    print(f"acknowledged {number}", flush=True)
                    number += 1
        except LOST:
            threading.Event().wait(PAUSE_S)


def consume(servers: Iterator[str], queue: str, messages: int) -> dict[str, int]:
    """Do every order once, whatever is delivered twice."""
    done: set[int] = set()  # a real consumer keeps this with what the order changed, in one transaction
    again = 0
    while len(done) < messages:
        try:
            with connected(servers) as connection:
                receiver = connection.create_receiver(queue, credit=50)
                while len(done) < messages:
                    order = json.loads(receiver.receive(timeout=ANSWER_S).body)["order"]
                    again += order in done
                    done.add(order)
                    receiver.accept()
        except LOST:
            threading.Event().wait(PAUSE_S)
    return {"done": len(done), "again": again}


def main() -> None:
    """Both at once, until every message has come through."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--servers", required=True)
    arguments.add_argument("--queue", default="/amq/queue/orders", help="As RabbitMQ 3 names a queue; others: its name")
    arguments.add_argument("--messages", type=int, default=1000)
    given = arguments.parse_args()
    servers = given.servers.split(",")
    producing = threading.Thread(target=produce, args=(itertools.cycle(servers), given.queue, given.messages))
    producing.start()
    found = consume(itertools.cycle(servers), given.queue, given.messages)
    producing.join()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
