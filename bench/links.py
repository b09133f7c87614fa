"""What a heartbeat costs: microseconds to seal and send, to receive and open. Run: python bench/links.py"""

import asyncio
import time

from standfast.links.udp import UdpLinks
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.messages import Ack, Message

ROUNDS = 200
BURST = 100  # fits the default socket buffer
CLUSTER = Cluster(
    name="bench",
    id="bench",
    members=tuple(
        MemberSpec(name=name, role=Role.DATA, addresses=(f"127.0.30.{at}",)) for at, name in enumerate("abc", 21)
    ),
)
MESSAGE = Ack(sender="a", incarnation=7, sent_ns=123_456_789_012_345, term_ns=2_500_000_000)


async def main() -> None:
    a, b = (UdpLinks(CLUSTER, name, bytes(32)) for name in "ab")
    arrived = asyncio.Event()
    heard = 0

    def receive(_: Message) -> None:
        nonlocal heard
        heard += 1
        if heard % BURST == 0:
            arrived.set()

    await a.open(lambda _: None)
    await b.open(receive)
    while not a.counters.hellos:
        a.send("b", MESSAGE)
        await asyncio.sleep(0.02)
    heard = 0
    sending_s, receiving_s = [], []
    for _ in range(ROUNDS):
        arrived.clear()
        began = time.perf_counter()
        for _ in range(BURST):
            a.send("b", MESSAGE)
        sent = time.perf_counter()
        await arrived.wait()
        sending_s.append((sent - began) / BURST)
        receiving_s.append((time.perf_counter() - sent) / BURST)
    for name, values in (("send", sorted(sending_s)), ("receive", sorted(receiving_s))):
        print(f"{name:8} median {values[ROUNDS // 2] * 1e6:5.1f} us   worst burst {values[-1] * 1e6:5.1f} us")
    a.close()
    b.close()


asyncio.run(main())
