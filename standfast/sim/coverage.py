"""What a campaign must have exercised: a rule that no run has reached is a rule that no run has tested."""

from collections import Counter
from collections.abc import Iterator

from standfast.model.events import EventKind
from standfast.model.messages import Refusal
from standfast.model.override import Stage, Stance
from standfast.model.records import MemberState, Phase
from standfast.quorum.arbiter import Grounds
from standfast.quorum.behind import HOP_LOST
from standfast.quorum.ladder import Rung
from standfast.quorum.signals import LeaveReason, Verdict
from standfast.sim.aims import AIMS
from standfast.sim.draws import Mood
from standfast.sim.faults import FAULTS
from standfast.sim.flicker import Shape

OUT_OF_REACH = frozenset(
    {
        EventKind.QM_STOP_STUCK,
        EventKind.QM_TAKEN_OVER,
        EventKind.STORAGE_CONTESTED,
        EventKind.STORE_LOST,
        EventKind.STORE_BACK,
        EventKind.STORE_FULL,
        EventKind.STANDBY_UNREADY,
        EventKind.QM_VERSION,
        EventKind.STANDBY_READY,
        EventKind.SINK_FAILING,
        EventKind.SINK_WORKING,
        EventKind.ALERT_TEST,
        EventKind.STORE_RECOVERED,
        EventKind.STORE_RESTORED,
        EventKind.DISK_LINK_LOST,
        EventKind.DISK_LINK_HEALED,
        EventKind.WATCHDOG_READY,
        EventKind.WATCHDOG_MISSING,
        EventKind.WATCHDOG_RESET,
        EventKind.COPY_OUTDATED,
        EventKind.COPY_CURRENT,
        EventKind.ORDER_GIVEN,
        EventKind.LOGIN_REFUSED,
        EventKind.ENDPOINT_HELD,
        EventKind.ENDPOINT_CONTESTED,
        EventKind.ENDPOINT_FAILED,
        EventKind.INSTANCE_ENDING,
        EventKind.INSTANCE_UNHEALTHY,
    }
)
"""A process that outlives SIGKILL: against the assumption under which the lease's end is promised. A restore: no member
runs while it is done. The watchdog: a device of the machine, which these machines have not.
How the shared disk does: the matter of its link. Operators, clients and clouds: what is beside the core. Copies of
replicated data: runs of their own, see replicas.py."""
BEYOND_THREE = frozenset({Rung.MAJORITY, Rung.CIRCLE})
"""Rungs that never decide a lost link of three members: of those who hear a majority all circles are equally large."""
ASKED_WRONGLY = frozenset(
    {
        Verdict.NO_SUCH_QUEUE_MANAGER,
        Verdict.NO_SUCH_MEMBER,
        Verdict.NOT_A_DATA_MEMBER,
        Verdict.ALREADY_SO,
        Verdict.NOT_FOUNDED,
        Verdict.MEMBERS_DIFFER,
        Verdict.WRONG_CLUSTER,
        Verdict.STILL_RUNNING,
        Verdict.TOO_MANY_CHANGES,
        Verdict.ALREADY_A_MEMBER,
        Verdict.ADDRESS_TAKEN,
        Verdict.TARGET_OUTDATED,
        Verdict.NOT_THE_OWNER,
        Verdict.OWN_COPY,
    }
)
"""Refusals of orders that make no sense, or stand behind another one that comes first here; tests cover them."""

_MEMBER_PATHS = (
    ("absent", MemberState.ONLINE),
    (MemberState.ONLINE, MemberState.IN_DOUBT),
    (MemberState.IN_DOUBT, MemberState.ONLINE),
    (MemberState.IN_DOUBT, MemberState.EVICTED),
    (MemberState.IN_DOUBT, MemberState.EVICTING),
    (MemberState.ONLINE, MemberState.EVICTING),
    (MemberState.EVICTING, MemberState.EVICTED),
    (MemberState.EVICTED, MemberState.ONLINE),
    (MemberState.ONLINE, MemberState.LEFT),
    (MemberState.LEFT, MemberState.ONLINE),
    (MemberState.LEFT, MemberState.REMOVED),
    (MemberState.EVICTED, MemberState.REMOVED),
    (MemberState.REMOVED, MemberState.ONLINE),
    (MemberState.ONLINE, MemberState.ONLINE),
)
_PHASE_PATHS = (
    (Phase.UNPLACED, Phase.ASSIGNED),
    (Phase.ASSIGNED, Phase.STARTING),
    (Phase.STARTING, Phase.RUNNING),
    (Phase.RUNNING, Phase.STARTING),
    (Phase.RUNNING, Phase.ASSIGNED),
    (Phase.RUNNING, Phase.UNPLACED),
    (Phase.STARTING, Phase.UNPLACED),
    (Phase.UNPLACED, Phase.GIVEN_UP),
    (Phase.GIVEN_UP, Phase.ASSIGNED),
    (Phase.RUNNING, Phase.HALTED),
    (Phase.HALTED, Phase.UNPLACED),
    (Phase.HALTED, Phase.REMOVED),
    (Phase.REMOVED, Phase.UNPLACED),
)
_PARTS = (
    "failback",
    "daemon: found what runs",
    "member: joined as heir",
    "assignment: adopted",
    "evicted by: lapsed",
    "evicted by: stopped",
    "lapse vote",
    "word: stopped",
    "word: stopped, for a ballot read on the disk",
    "disk: read",
    "disk: write hung",
    "disk: landed late",
    "disk: slot torn",
    "warden: stops before the lease's end",
    "warden: kills at the lease's end",
    "launch refused: lease_short",
    "launch refused: storage_error",
    "network: lost",
    "network: delayed",
    "network: doubled",
    "store: answer lost",
    "store: committed late",
    "store: election",
    "store: outcome unknown",
    "store: refused",
    "store: request lost",
    "store: stale answer",
    "settings: adopted",
    "settings: lived by",
    "settings: term ceiling lowered",
    "settings: term ceiling raised",
    *(f"override: {stage}" for stage in Stage),
    *(f"override heard of: {stance}" for stance in Stance),
    "process began by an override",
    "override: two, where nobody could know",
    "voters: 3 -> 4",
    "voters: 4 -> 5",
    "voters: 5 -> 4",
    "voters: 4 -> 3",
    "launch refused: locked",
    "storage: still held",
    "fencing: done",
    "fencing: refused",
    "fencing: timeout",
    "queue manager: crashed",
    "queue manager: hung",
    "queue manager: never ready",
    "queue manager: stop hangs",
)

RARE = frozenset(
    {
        "override: two, where nobody could know",
        "event: qm_added",
        "event: qm_removed",
        "order: not_halted",
        "order: halted",
        "order: target_without_hop",
        "aimed at: ask leave",
        "moving: hop_lost",
        "flicker: link",
        "flicker: split",
        "lost link decided by: name",
        "lost link decided by: priority",
        "member: left -> removed",
        "member: removed -> online",
        "assignment: halted -> removed",
        "assignment: removed -> unplaced",
        "voters: 5 -> 4",
    }
)
"""What comes about once in some hundred runs: a campaign of thousands must reach it, a test of some dozens need not."""


def wanted() -> Iterator[str]:
    """Names of everything that a campaign must reach."""
    yield from (f"event: {kind}" for kind in EventKind if kind not in OUT_OF_REACH)
    yield from (f"refusal: {refusal}" for refusal in Refusal if refusal is not Refusal.NONE)
    yield from (f"order: {verdict}" for verdict in Verdict if verdict not in ASKED_WRONGLY)
    yield from (f"leave: {reason}" for reason in LeaveReason)
    yield from (f"mood: {mood}" for mood in Mood)
    yield from (f"fault: {name}" for name in FAULTS)
    yield from (f"aimed at: {name}" for name in AIMS)
    yield f"moving: {HOP_LOST}"
    yield from (f"flicker: {shape}" for shape in Shape)
    yield from (f"told to go: {grounds}" for grounds in (Grounds.DEAF, Grounds.TORN))
    yield from (f"lost link decided by: {rung}" for rung in Rung if rung not in BEYOND_THREE)
    yield from (f"member: {a} -> {b}" for a, b in _MEMBER_PATHS)
    yield from (f"assignment: {a} -> {b}" for a, b in _PHASE_PATHS)
    yield from _PARTS


def missed(coverage: Counter[str]) -> list[str]:
    """What was never reached."""
    return [name for name in wanted() if not coverage[name]]


def by_group(coverage: Counter[str]) -> dict[str, dict[str, int]]:
    """Counts by group (the word before the colon), with a zero for what was wanted and not reached."""
    groups: dict[str, dict[str, int]] = {}
    for name in sorted({*coverage, *wanted()}):
        group, _, rest = name.partition(": ")
        groups.setdefault(group, {})[rest or group] = coverage[name]
    return groups
