"""The words for what the cluster says in enums: what it is called, what it means, and what to do next.

Tables, so that a test can walk all of them: an enum without words would show a person nothing at 3 a.m.
"""

from enum import StrEnum
from typing import NamedTuple

from standfast.member.report import NoticeKind
from standfast.model.records import MemberState, Phase
from standfast.quorum.can_stop import Cost
from standfast.quorum.runs import RunState
from standfast.quorum.ties import Untied

MS_PER_S = 1_000
_UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Level(StrEnum):
    """How bad it is; also the word that is shown, so that nothing hangs on a colour."""

    OK = "OK"
    NOTE = "NOTE"  # to know, not to act upon now: it takes nothing from the verdict
    WARNING = "WARNING"
    PROBLEM = "PROBLEM"


STYLES = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


class Words(NamedTuple):
    """Of a state: its name, how bad it is, what it means and what to do; the latter empty when there is nothing."""

    name: str
    level: Level
    meaning: str
    action: str


NEVER_JOINED = Words("not joined", Level.WARNING, "it has never joined the cluster", "start its daemon")

MEMBER_STATES: dict[MemberState, Words] = {
    MemberState.ONLINE: Words("online", Level.OK, "it takes part", ""),
    MemberState.IN_DOUBT: Words(
        "in doubt", Level.WARNING, "too few members hear it", "look at the machine and its network"
    ),
    MemberState.EVICTING: Words(
        "leaving", Level.WARNING, "it was told to stop its queue managers", "see the reason; it rejoins when mended"
    ),
    MemberState.EVICTED: Words(
        "evicted", Level.PROBLEM, "its lease lapsed at a majority", "repair it; it rejoins by itself"
    ),
    MemberState.LEFT: Words(
        "stopped", Level.WARNING, "it was stopped cleanly", "start its daemon when the work is done"
    ),
    MemberState.REMOVED: Words("removed", Level.OK, "it votes no more", ""),
}

ISOLATED = Words(
    "isolated",
    Level.WARNING,
    "its heartbeats come over the shared disk alone: the machine lives",
    "look at its network, not at the machine",
)

NOT_HEARD = Words(
    "not heard", Level.WARNING, "the answering member does not hear it", "look at the network between them"
)

PHASES: dict[Phase, Words] = {
    Phase.UNPLACED: Words(
        "not placed", Level.PROBLEM, "no member owns it", "see which members are fit; one must be online and leased"
    ),
    Phase.ASSIGNED: Words("assigned", Level.WARNING, "its new owner has yet to start it", ""),
    Phase.STARTING: Words(
        "starting", Level.WARNING, "it does not answer its clients yet", "read its log if it stays so"
    ),
    Phase.RUNNING: Words("running", Level.OK, "it answers its clients", ""),
    Phase.HALTED: Words("halted", Level.OK, "an operator wants it stopped", ""),
    Phase.REMOVED: Words("removed", Level.OK, "it is no queue manager any more", ""),
    Phase.GIVEN_UP: Words(
        "given up",
        Level.PROBLEM,
        "no eligible member could start it",
        "read its log, mend the cause, then `standfast move` it",
    ),
}

UNTIED: dict[Untied, Words] = {
    Untied.NONE: Words("held", Level.OK, "its groups are as wanted", ""),
    Untied.APART: Words(
        "not apart",
        Level.WARNING,
        "it runs on one member with {others}, from which it is to be apart",
        "`standfast move` one of them when that suits its clients",
    ),
    Untied.TOGETHER: Words(
        "not together",
        Level.WARNING,
        "it runs on another member than {others}, with which it is to be together",
        "`standfast move` it: all of its group moves with it",
    ),
    Untied.WAITS_APART: Words(
        "waits, apart",
        Level.PROBLEM,
        "whoever could run it runs one of {others}, from which it must be apart",
        'bring another data member back, or make its group apart_rule = "preferred"',
    ),
    Untied.WAITS_TOGETHER: Words(
        "waits, together",
        Level.PROBLEM,
        "it can not run where {others} run, with which it must be together",
        "mend the cause there, or `standfast move` it to a member that can run all of them",
    ),
}
"""What there is to say of groups that are not held; `{others}` are those of the group."""

UNSURE = Words(
    "unsure", Level.WARNING, "its owner is not heard here: it may run there, or be taken over soon", "look at its owner"
)

RUN_STATES: dict[RunState, str] = {
    RunState.IDLE: "idle",
    RunState.LAUNCHING: "launching",
    RunState.SERVING: "serving",
    RunState.STOPPING: "stopping",
}

NOTICES: dict[NoticeKind, Words] = {
    NoticeKind.OVERRIDE: Words(
        "OVERRIDE",
        Level.PROBLEM,
        "an operator ordered it to run without a majority",
        "`standfast override show` says how it ends; keep the other data members off till then",
    ),
    NoticeKind.STORE_VERSION: Words(
        "store version", Level.NOTE, "this release of etcd has known defects", "`standfast check` explains them"
    ),
    NoticeKind.STORE_SERVER: Words(
        "store server",
        Level.WARNING,
        "its etcd does not serve: the store survives fewer losses",
        "if it stays so, read etcd.log in that member's state directory",
    ),
    NoticeKind.STORE_STRANGER: Words(
        "store",
        Level.WARNING,
        "its etcd still counts in the store's majority, though the cluster does not have it there any more",
        "wait: it is taken off the list as soon as all others are connected",
    ),
    NoticeKind.STORE_FULL: Words(
        "store full",
        Level.WARNING,
        "its quota is used up: what runs goes on, but no owner can change",
        "`standfast store make-room`",
    ),
    NoticeKind.BAD_KEY: Words(
        "wrong key",
        Level.WARNING,
        "datagrams arrive that are not sealed with this cluster's key",
        "compare cluster.key on all members; look who sends them",
    ),
    NoticeKind.OTHER_CLUSTER: Words(
        "other cluster", Level.WARNING, "datagrams of another cluster arrive", "give the clusters different ports"
    ),
    NoticeKind.NO_CGROUP: Words(
        "no cgroup",
        Level.WARNING,
        "queue managers are held together by process group only",
        "let it make cgroups: run it as root, or with Delegate=yes under systemd",
    ),
    NoticeKind.STANDBY_UNREADY: Words(
        "standby", Level.WARNING, "the answering member could not run it", "mend that; docs/readiness.md"
    ),
    NoticeKind.TIMING_DIFFERS: Words(
        "timing",
        Level.NOTE,
        "the file's timers are not those in force, which does no harm",
        "renew the file: `standfast config show --toml > FILE`",
    ),
    NoticeKind.SETTINGS_CACHE: Words(
        "settings",
        Level.NOTE,
        "what was kept of them is not used; they are read from the store",
        "see that the state directory is sound and has room",
    ),
    NoticeKind.SETTINGS_PENDING: Words(
        "settings",
        Level.NOTE,
        "not every member goes by them yet",
        "wait; start or repair those members if it stays so",
    ),
    NoticeKind.WATCHDOG_UNREADY: Words(
        "watchdog", Level.WARNING, "its watchdog can not be used", "see docs/watchdog.md"
    ),
    NoticeKind.WATCHDOG_RESET: Words(
        "watchdog",
        Level.NOTE,
        "this machine went down while its watchdog was started",
        "look for what could not be stopped; `standfast explain watchdog_reset`",
    ),
    NoticeKind.DISK_LOST: Words(
        "shared disk",
        Level.WARNING,
        "the answering member can not use the shared disk",
        "look at the disk; heartbeats over the network go on",
    ),
    NoticeKind.DISK_SLOT: Words(
        "disk slot",
        Level.WARNING,
        "its slot on the shared disk is spoiled",
        "if it stays so, see who else writes to the disk: `standfast disk show`",
    ),
    NoticeKind.FENCING: Words(
        "fencing",
        Level.WARNING,
        "it waits until its former owner is switched off",
        "if that fails, switch it off by hand, then `standfast fence confirm NAME`; docs/fencing.md",
    ),
    NoticeKind.HELD_BACK: Words(
        "held back",
        Level.WARNING,
        "it was evicted and waits until its links have held; it joins sooner if it is needed",
        "mend its links; docs/arbitration.md",
    ),
    NoticeKind.HOP_UNCHECKED: Words(
        "next hop",
        Level.WARNING,
        "its next hops can not be looked at",
        "see the detail; `standfast check` on that member",
    ),
    NoticeKind.ENDPOINT_AWAY: Words(
        "endpoint",
        Level.WARNING,
        "clients may not reach it: this endpoint does not lead here",
        "see the detail; `standfast check` on that member; docs/endpoints.md",
    ),
    NoticeKind.HOP_LOST: Words(
        "next hop",
        Level.WARNING,
        "none of its next hops answers: what it runs goes to a member whose hop does, if any",
        "look at its clients' network; docs/arbitration.md",
    ),
    NoticeKind.REPLICA: Words(
        "copy",
        Level.WARNING,
        "the copies of its data are not in sync, as this member sees it",
        "see the detail and `standfast drbd status`; docs/drbd.md",
    ),
    NoticeKind.LINK_FLAPPING: Words(
        "link",
        Level.WARNING,
        "its link comes and goes",
        "look for a bad cable, port or an overloaded path between them",
    ),
    NoticeKind.FILE_DIFFERS: Words(
        "cluster file",
        Level.NOTE,
        "the file differs from what is in force, which does no harm",
        "renew the file: `standfast config show --toml > FILE`",
    ),
}

COSTS: dict[Cost, str] = {
    Cost.NO_MAJORITY: "only {left} of the {needed} members that make a majority would be left: everything would stop",
    Cost.NO_STORE: "only {left} of the {needed} etcd servers that make a majority would be left: no owner could change",
    Cost.OUT_OF_TOUCH: "the owner of {subject} would hear {left} of the {needed} that it needs, and stop",
    Cost.NOWHERE_TO_RUN: "{subject} could run nowhere else",
    Cost.GROUP: "{subject} would stay down: its groups leave it no other member",
    Cost.FROZEN: "{subject} would stay down: the cluster is frozen",
}


FURTHER: dict[Cost, str] = {
    Cost.NO_MAJORITY: "no majority would be left",
    Cost.NO_STORE: "too few etcd servers would be left to change an owner",
    Cost.OUT_OF_TOUCH: "an owner would hear too few, and stop",
    Cost.NOWHERE_TO_RUN: "a queue manager could run nowhere",
    Cost.GROUP: "a queue manager would stay down for its groups",
    Cost.FROZEN: "a queue manager would stay down, for the cluster is frozen",
}


def plain(word: str) -> str:
    """A short word of the protocol as people write it."""
    return word.replace("_", " ")


def duration(milliseconds: float) -> str:
    """Such as `320 ms`, `2.4 s`, `12 s`, `3 min 12 s`, `2 d 4 h`: two units at most."""
    if milliseconds < MS_PER_S:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / MS_PER_S
    if seconds < 10:  # noqa: PLR2004 - below it, tenths tell something
        return f"{seconds:.1f} s"
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS_S:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}")
        if len(parts) == 2:  # noqa: PLR2004 - two units
            break
    return " ".join(part for part in parts if not part.startswith("0 "))
