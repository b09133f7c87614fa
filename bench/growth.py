"""How the cost of a member grows with members and queue managers: the real cores, on the simulator's virtual clock.

    python bench/growth.py [--members 3 ...] [--queue-managers 1 ...] [--keep]

A cluster is laid out as a snapshot in which everything runs, and played on (standfast/sim/what_if.py). Half of the
members hold data, and one of them dies in the end. Measured at rest, for one interval and member: processor time of the
core's steps, messages, bytes of heartbeats; then the steps that doubt, evict and give away, to the last that runs
again. Each number of members with few queue managers, each number of queue managers with few members.
"""

import argparse
import gc
import json
import time
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any, Self

import msgspec
from figures import renewed, save

from standfast.links.frame import KEY_BYTES, Endpoint, Seal, encode
from standfast.member.snapshot import Heard, Snapshot
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.messages import Heartbeat
from standfast.model.records import Assignment, MemberRecord, MemberState, Phase, SettingsRecord
from standfast.model.timing import PROFILES
from standfast.model.view import Kept, View
from standfast.ports import LinkCounters
from standfast.quorum import signals as sig
from standfast.quorum.core import Core
from standfast.quorum.distribution import Distribution
from standfast.quorum.overrides import Overrides
from standfast.quorum.placement import Candidate
from standfast.sim.prospect import Supposition
from standfast.sim.what_if import Play

PART, KEYS = "growth", ("members", "queue_managers")
TIMING = PROFILES["normal"]
MEMBERS = (3, 5, 7, 15, 31, 63, 99)
QUEUE_MANAGERS = (1, 10, 100, 1_000, 10_000)
FEW_MEMBERS, FEW_QUEUE_MANAGERS = 7, 10
INTERVALS, MOST_MESSAGES = 20, 40_000
"""Of a cluster at rest, so many are measured, but fewer where members say so much to each other."""
MOST_DEATHS = 1_000
"""With more queue managers the death is not played: each of so many transactions is looked at by each member."""
MASKS, LARGEST_MASK = ("hears", "isolated", "fit"), (1 << 64) - 1
VICTIM = "m01"
MS = 1_000.0
NS_PER_MS = 1e6
KIB = 1024


def cluster_of(members: int, count: int) -> Cluster:
    """So many members, the larger half of them with data."""
    specs = tuple(
        MemberSpec(
            name=f"m{n:02}",
            role=Role.DATA if n <= members // 2 else Role.WITNESS,
            addresses=(f"127.0.0.{n + 1}",),
        )
        for n in range(members)
    )
    queue_managers = tuple(
        QueueManagerSpec(name=f"q{n:05}", kind="simulated", port=1_000 + n, storage=StorageSpec(path=f"/q{n:05}"))
        for n in range(count)
    )
    return Cluster(name="growth", id="growth", members=specs, timing=TIMING, queue_managers=queue_managers)


def running(cluster: Cluster) -> Snapshot:
    """That cluster with everything up."""
    data = [m.name for m in cluster.members if m.role is Role.DATA]
    names = tuple(m.name for m in cluster.members)
    settings = SettingsRecord(
        cluster_id=cluster.id,
        members=names,
        timing=cluster.timing,
        term_ceiling_ms=cluster.timing.term_ms,
        specs=cluster.members,
    )
    view = View(
        revision=1,
        newest=1,
        members={
            m.name: Kept(
                MemberRecord(name=m.name, role=m.role, incarnation=1, identity=m.name, state=MemberState.ONLINE), 1
            )
            for m in cluster.members
        },
        specs={spec.name: Kept(spec, 1) for spec in cluster.queue_managers},
        assignments={
            spec.name: Kept(
                Assignment(qm=spec.name, owner=data[n % len(data)], incarnation=1, epoch=1, phase=Phase.RUNNING), 1
            )
            for n, spec in enumerate(cluster.queue_managers)
        },
        settings=Kept(settings, 1),
    )
    return Snapshot(
        taken_by=names[0],
        at_unix_ms=0,
        cluster=cluster,
        view=view,
        heard={m.name: Heard(hears=names, incarnation=1, leased=True) for m in cluster.members},
        store_leader=names[-1],
        store_outside=True,
    )


FOUND = (
    "",
    "What grows faster than the cluster: with the square of the members, the messages (all hear all) and the steps of",
    "the coordinator (it judges each member by what all hear), one reason why a cluster has seven at most; with the",
    "square of the queue managers, a takeover: each of its transactions is news to every member, which looks at all of",
    "its own queue managers then. All else grows in proportion, and a heartbeat hardly at all: of queue managers it",
    "names those only that its sender could not run. A frame holds no mask of more than 64 bits, one for each member",
    "that is heard: what more members would need is added to its bytes.",
)


class Scene(Play):
    """A play that can be looked at while it goes on."""

    @property
    def now_ns(self) -> int:
        return self._world.now_ns

    def go_on(self, span_ns: int) -> None:
        self._world.run_until(self._world.now_ns + span_ns)


class Watch:
    """Notes each step of each core while it is on: who, given what, how long, and what came of it."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, float]] = []
        self.effects: Counter[str] = Counter()
        self.bytes = 0
        self.largest_transaction = 0
        self._step = Core.step

    def __enter__(self) -> Self:
        step = self._step

        def timed(core: Core, now_ns: int, given: sig.Input) -> list[sig.Effect]:
            began = time.process_time()
            effects = step(core, now_ns, given)
            self.steps.append((core.me, type(given).__name__, time.process_time() - began))
            self._note(core, effects)
            return effects

        Core.step = timed  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        Core.step = self._step  # type: ignore[method-assign]

    def _note(self, core: Core, effects: list[sig.Effect]) -> None:
        for effect in effects:
            self.effects[type(effect).__name__] += 1
            if isinstance(effect, sig.Broadcast):
                self.effects["datagrams"] += len(core.rules.names) - 1
                self.bytes = max(self.bytes, frame_bytes(effect.heartbeat))
            elif isinstance(effect, sig.Send):
                self.effects["datagrams"] += 1
            elif isinstance(effect, sig.Transact):
                self.largest_transaction = max(self.largest_transaction, len(msgspec.json.encode(effect.transaction)))

    def longest_ms(self) -> float:
        return MS * max(took for _, _, took in self.steps)

    def total_ms(self) -> float:
        return MS * sum(took for _, _, took in self.steps)


def frame_bytes(heartbeat: Heartbeat) -> int:
    """On the wire, without the headers of UDP. The masks of more members than a frame knows: as if it had room."""
    me, other = Endpoint("a", 0), Endpoint("b", 0)
    seal = Seal(cluster_id="growth", key=bytes(KEY_BYTES), me=me, peers=(other,), counters=LinkCounters())
    masks: dict[str, int] = {name: getattr(heartbeat, name) for name in MASKS}
    cut = msgspec.structs.replace(heartbeat, **{name: mask & LARGEST_MASK for name, mask in masks.items()})
    more = sum((max(0, mask.bit_length() - LARGEST_MASK.bit_length()) + 7) // 8 for mask in masks.values())
    return len(seal.seal(other, encode(cut))) + more


def measure(members: int, count: int) -> dict[str, Any]:
    """One cluster at rest, then the death of one data member."""
    cluster = cluster_of(members, count)
    snapshot = running(cluster)
    play = Scene(snapshot)
    assert not play.warm_up()
    play.go_on(TIMING.term_ns)
    intervals = max(2, min(INTERVALS, MOST_MESSAGES // members**2))
    gc.collect()
    began_s = time.process_time()
    with Watch() as watch:
        play.go_on(intervals * TIMING.interval_ns)
    took_s = time.process_time() - began_s
    coordinator = cluster.rank[0]
    woken = {
        role: median([MS * took for name, given, took in watch.steps if name == who and given == "Woke"])
        for role, who in (("coordinator", coordinator), ("owner", "m00"))
    }
    return {
        "members": members,
        "queue_managers": count,
        "at_rest": {
            "step_ms": {role: round(value, 3) for role, value in woken.items()},
            "member_ms_per_interval": round(watch.total_ms() / intervals / members, 3),
            "datagrams_per_interval": round(watch.effects["datagrams"] / intervals),
            "heartbeat_bytes": watch.bytes,
            "simulated_s_per_s": round(intervals * TIMING.interval_ms / MS / took_s, 1),
        },
        "view_kib": round(sum(len(msgspec.json.encode(r)) for _, r, _ in snapshot.view.records()) / KIB, 1),
        "placement_ms": round(placed_ms(cluster), 1),
        "death": death(play, count) if count <= MOST_DEATHS else None,
    }


def death(play: Scene, count: int) -> dict[str, float]:
    """The death of one data member, until everything runs again."""
    began_ns, ran = play.now_ns, len(play.runs_on())
    assert ran == count
    with Watch() as watch:
        play.strike(Supposition(lose=(VICTIM,)))
        while len(play.runs_on()) < count or play.now_ns < began_ns + TIMING.term_ns:
            play.go_on(TIMING.interval_ns // 5)
    return {
        "over_ms": round((play.now_ns - began_ns) / NS_PER_MS),
        "longest_step_ms": round(watch.longest_ms(), 1),
        "all_steps_ms": round(watch.total_ms()),
        "transactions": watch.effects["Transact"],
        "largest_transaction_kib": round(watch.largest_transaction / KIB, 1),
    }


def placed_ms(cluster: Cluster) -> float:
    """Processor time of one decision that gives all of them away, on their first day."""
    held = running(cluster).view
    empty = {qm: Kept(Assignment(qm=qm), 1) for qm in held.assignments}
    view = msgspec.structs.replace(held, assignments=empty)
    times = []
    for _ in range(3):
        among = {m.name: Candidate(m.name, ()) for m in cluster.members if m.role is Role.DATA}
        began = time.process_time()
        list(Distribution(Overrides(cluster.members[0].name)).steps(view, among))
        times.append(MS * (time.process_time() - began))
    return median(times)


def sizes() -> Iterator[tuple[int, int]]:
    """Each number of members with few queue managers, and the other way round."""
    yield from ((members, FEW_QUEUE_MANAGERS) for members in MEMBERS)
    yield from ((FEW_MEMBERS, count) for count in QUEUE_MANAGERS)


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    found = [
        "## How the core's cost grows",
        "",
        "The real cores on the simulator's virtual clock; profile `normal`, an interval of 250 ms, everything running.",
        "A step: processor time of one decision of the coordinator; of an owner, in milliseconds; all steps: of",
        "one member in one interval, answers to heartbeats included. Placement: one decision that gives away all of",
        "them. Simulated: seconds of the whole cluster for one second of a core.",
        "",
        "| members | queue managers | step | all steps | datagrams | bytes | records, KiB | placing | simulated |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in figures:
        rest, steps = one["at_rest"], one["at_rest"]["step_ms"]
        found.append(
            f"| {one['members']} | {one['queue_managers']:,} | {steps['coordinator']}; {steps['owner']} | "
            f"{rest['member_ms_per_interval']} | {rest['datagrams_per_interval']:,} | {rest['heartbeat_bytes']} | "
            f"{one['view_kib']:,} | {one['placement_ms']} | {rest['simulated_s_per_s']:,} |"
        )
    found += [
        "",
        "The death of one data member, the larger half of the members having data:",
        "",
        "| members | queue managers | transactions | largest, KiB | longest step, ms | all steps of all members, ms |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for one in figures:
        if dead := one["death"]:
            head = f"| {one['members']} | {one['queue_managers']:,} | {dead['transactions']} |"
            cells = f"{dead['largest_transaction_kib']} | {dead['longest_step_ms']} | {dead['all_steps_ms']:,}"
            found.append(f"{head} {cells} |")
    return [*found, *FOUND]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, action="append")
    parser.add_argument("--queue-managers", type=int, action="append")
    parser.add_argument("--keep", action="store_true", help="keep the figures for the page")
    given = parser.parse_args()
    chosen = [(m, q) for m in given.members or () for q in given.queue_managers or (FEW_QUEUE_MANAGERS,)]
    for members, count in chosen or sizes():
        found = measure(members, count)
        print(json.dumps(found), flush=True)
        if given.keep:
            save(PART, renewed(PART, [found], KEYS))


if __name__ == "__main__":
    main()
