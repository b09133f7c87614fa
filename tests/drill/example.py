"""A drill that never took place: three members, eight faults, one message every 5 ms, as exact as arithmetic is."""

from standfast.drill.outage import Fault
from standfast.drill.record import LoadRecord, LoadSettings, Sent
from standfast.drill.summary import Circumstances, Ownership
from standfast.model.timing import NS_PER_MS
from standfast.ports import Durability

BEGAN_NS = 5_000_000_000_000
EVERY_MS = 5
ACK_MS = 0.4


def at(ms: float) -> int:
    return BEGAN_NS + round(ms * NS_PER_MS)


def load(length_ms: int, away: list[tuple[int, int]]) -> LoadRecord:
    """A load whose service was away in the given spans (milliseconds)."""
    sent = [_life(ms, away) for ms in range(0, length_ms, EVERY_MS)]
    ones = [[1] * len(sent)]
    settings = LoadSettings(kind="nats", address="127.0.0.1", port=4222, run="example", every_ms=EVERY_MS)
    return LoadRecord(
        settings=settings,
        began_ns=BEGAN_NS,
        ended_ns=at(length_ms),
        sent=[sent],
        consumed=[list(ones[0])],
        stored=[list(ones[0])],
        connections=1 + len(away),
    )


def _life(ms: int, away: list[tuple[int, int]]) -> Sent:
    for start, end in away:
        if start <= ms < end:
            return Sent(at(ms), at(end - 1), at(end), 2 if ms - start < EVERY_MS else 1)
    return Sent(at(ms), at(ms), at(ms + ACK_MS), 1)


AWAY = [(12_000, 12_930), (30_000, 30_120), (38_000, 38_860), (50_000, 50_210), (66_000, 72_400)]


def fault(ms: int, label: str, detail: str, *marks: int) -> Fault:
    detected, decided, running = (at(ms + one) for one in marks) if marks else (None, None, None)
    return Fault(label=label, detail=detail, at_ns=at(ms), detected_ns=detected, decided_ns=decided, running_ns=running)


FAULTS = (
    fault(12_000, "kill node a", "SIGKILL of daemon, warden, etcd and queue manager", 845, 861, 916),
    fault(22_000, "node a returns", "started again with its disk"),
    fault(30_000, "kill queue manager", "SIGKILL of nats-server alone, on b", 9, 32, 110),
    fault(38_000, "stop daemon of b", "SIGSTOP: the warden must act", 812, 828, 851),
    fault(50_000, "move to b", "a planned move", 1, 90, 202),
    fault(58_000, "kill witness w", "the rest still is a majority"),
    fault(66_000, "kill node a", "the majority is gone: everything must stop in time"),
    fault(70_000, "node a returns", "a majority again", 1_900, 1_930, 2_380),
)
OWNERS = (
    Ownership("a", at(0), at(12_000)),
    Ownership("b", at(12_861), at(38_700)),
    Ownership("a", at(38_828), at(50_080)),
    Ownership("b", at(50_090), at(66_550)),
    Ownership("b", at(71_930), at(80_000)),
)


def circumstances(**changes: object) -> Circumstances:
    fields = {
        "cluster": "demo",
        "queue_manager": "orders",
        "began_at": "2026-03-02 14:05:09 +01:00",
        "durability": Durability.SYNCED,
        "durability_note": "JetStream syncs each message to the disk before it acknowledges it.",
        "faults": FAULTS,
        "owners": OWNERS,
        "members": ("a", "b", "w"),
        "environment": {
            "timing": "fast: 100 ms x 8",
            "processors": "2",
            "Standfast": "0.1.0",
            "nats-server": "2.15.1",
            "etcd": "3.4.23",
            "Python": "3.11.7",
            "kernel": "6.1.0-18-amd64",
            "load": "1 producer, 1 consumer, every 5 ms",
        },
    }
    return Circumstances(**(fields | changes))  # type: ignore[arg-type]
