"""What the store holds: one record per key. Records change only in guarded transactions.

=====================  ===================
key                    record
=====================  ===================
``members/NAME``       MemberRecord
``assignments/QM``     Assignment
``specs/QM``           QueueManagerSpec
``orders``             Orders
``settings``           SettingsRecord
``events/ID``          an event, written once, in the transaction of the change that it tells of
=====================  ===================
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct, structs

from standfast.model.cluster import Cluster, MemberSpec, Policy, QueueManagerSpec, Role
from standfast.model.events import Event
from standfast.model.sinks import SinkSpec
from standfast.model.timing import Timing

ORDERS_KEY = "orders"
SETTINGS_KEY = "settings"


def member_key(name: str) -> str:
    """Key of a member's record."""
    return f"members/{name}"


def assignment_key(qm: str) -> str:
    """Key of a queue manager's assignment."""
    return f"assignments/{qm}"


def spec_key(qm: str) -> str:
    """Key of a queue manager's specification."""
    return f"specs/{qm}"


class MemberState(StrEnum):
    """What the cluster holds of one incarnation of a member.

    online -> in_doubt -> evicted     silence, then a majority of lapsed grants
    in_doubt -> online                heard again in time
    online -> evicting -> evicted     told to go; voters stop acknowledging it
    online -> left                    a clean stop
    online, in_doubt -> online, next incarnation, since an earlier one: its daemon alone was restarted
    evicted | left -> removed         it votes no more; the record keeps its incarnation
    any -> online, next incarnation   it joined (again)
    """

    ONLINE = "online"
    IN_DOUBT = "in_doubt"
    EVICTING = "evicting"
    EVICTED = "evicted"
    LEFT = "left"
    REMOVED = "removed"


GONE = frozenset({MemberState.EVICTED, MemberState.LEFT, MemberState.REMOVED})
BALLOT = frozenset({MemberState.IN_DOUBT, MemberState.EVICTING})


class MemberRecord(Struct, frozen=True, kw_only=True):
    """One member in the store.

    Attributes:
        name: of the member.
        role: of the member.
        incarnation: grows by one with every join.
        identity: random, made with the state directory: tells the same machine from a namesake.
        state: see MemberState. In a ballot state the record's revision is the ballot.
        reason: why it is in this state, a short word.
        replaced: it took the place of another machine, which may not know that yet.
        overridden: number of its last override of which the store holds the end; 0: none.
        losses: how often it lost its lease uncleanly since it last stayed for long; see quorum/quarantine.py.
        quarantined: it is chosen for nothing while another member can be.
        since: the first of its incarnations whose queue managers may have run on without a break, because each later
            process found them alive; 0: nothing of an earlier incarnation runs.
        evictions: how often it was evicted, or told to go, without having been well for long between.
        fenced: the last of its incarnations that was switched off for sure after its eviction; see quorum/fencing.py.
    """

    name: str
    role: Role
    incarnation: int
    identity: str
    state: MemberState
    reason: str = ""
    replaced: bool = False
    overridden: int = 0
    losses: int = 0
    quarantined: bool = False
    since: int = 0
    evictions: int = 0
    fenced: int = 0

    @property
    def first(self) -> int:
        """The first incarnation whose assignments are still this member's."""
        return self.since or self.incarnation


class Phase(StrEnum):
    """How far an assignment has come.

    unplaced -> assigned -> starting -> running    the way up, each step by a guarded transaction
    running -> starting                            restarted in place
    any -> unplaced | assigned                     released or moved: the next owner has a larger epoch
    any -> given_up                                no eligible member could start it; waits for an operator
    any -> halted -> unplaced                      an operator wants it stopped; wants it again
    halted -> removed -> unplaced | halted         it is no queue manager any more; its epoch is kept for a later one
    """

    UNPLACED = "unplaced"
    ASSIGNED = "assigned"
    STARTING = "starting"
    RUNNING = "running"
    GIVEN_UP = "given_up"
    HALTED = "halted"
    REMOVED = "removed"


class Assignment(Struct, frozen=True, kw_only=True):
    """Who runs a queue manager.

    Attributes:
        qm: name of the queue manager.
        epoch: grows with every change of owner; the fencing token of the storage.
        phase: see Phase.
        owner: member that owns it, or None.
        incarnation: of the owner.
        target: member to which the owner shall hand it over, or None.
        failed_on: members that could not start it since an operator last moved it or it last ran.
        shunned: members that failed to run it since an operator last moved it: it does not fall back to them.
        outdated: members whose copy of its data may lack what an owner wrote, so that it must not start there; changed
            by the owner alone, see quorum/copies.py. Always empty for storage that all members share.
        told: how many events its owner has told of it under this epoch: after a transaction of unknown outcome the
            owner sees by it what it has told, and tells nothing twice.
        reason: why it is where it is, a short word.
        unproven: former owners, since it last ran, of which nothing but the end of the lease says that they stopped.
        version: of the program that ran it last, as its driver tells; empty: unknown.
        untied: what was told last of its groups not being held, see quorum/ties.py; empty: they are.
    """

    qm: str
    epoch: int = 0
    phase: Phase = Phase.UNPLACED
    owner: str | None = None
    incarnation: int = 0
    target: str | None = None
    failed_on: tuple[str, ...] = ()
    told: int = 0
    reason: str = ""
    shunned: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    untied: str = ""
    version: str = ""

    def suspecting(self, names: Iterable[str]) -> tuple[str, ...]:
        """Its `unproven` with these."""
        return (*self.unproven, *(name for name in names if name not in self.unproven))


class Orders(Struct, frozen=True, kw_only=True):
    """What operators told the cluster, until they say otherwise.

    Attributes:
        frozen: nothing is moved, evicted or placed.
        drained: members that shall run nothing.
    """

    frozen: bool = False
    drained: tuple[str, ...] = ()


class SettingsRecord(Struct, frozen=True, kw_only=True):
    """Settings that all members share; the store's copy is the one in force.

    Attributes:
        cluster_id: of the cluster file that made the store.
        members: names of all voters.
        timing: the timers.
        term_ceiling_ms: the longest term that any member may still hold.
        specs: of all voters; empty in a record of an older release: those of the cluster file.
        policy: how to decide where there is a choice; None in a record of an older release: that of the cluster file.
        edition: how often an operator has changed the settings or the queue managers.
        sinks: where events go; None in a record of an older release: those of the cluster file.
    """

    cluster_id: str
    members: tuple[str, ...]
    timing: Timing
    term_ceiling_ms: int
    specs: tuple[MemberSpec, ...] = ()
    policy: Policy | None = None
    edition: int = 0
    sinks: tuple[SinkSpec, ...] | None = None

    def in_force(self, file: Cluster) -> Cluster:
        """The cluster as the store has it; `file` says what the store does not hold."""
        return structs.replace(
            file,
            members=self.specs or file.members,
            timing=self.timing,
            policy=self.policy or file.policy,
            sinks=file.sinks if self.sinks is None else self.sinks,
        )


Record = MemberRecord | Assignment | QueueManagerSpec | Orders | SettingsRecord


class Guard(Struct, frozen=True):
    """A condition of a transaction: the key was last changed at that revision (0: does not exist)."""

    key: str
    revision: int


class Put(Struct, frozen=True):
    """A record to write."""

    key: str
    record: Record


class Transaction(Struct, frozen=True, kw_only=True):
    """A change and the events that tell of it: all of it happens, or none.

    Attributes:
        guards: all must hold.
        puts: what to write.
        events: appended to the event log in the same transaction.
    """

    guards: tuple[Guard, ...]
    puts: tuple[Put, ...]
    events: tuple[Event, ...] = ()


class Outcome(StrEnum):
    """What became of a transaction. Unknown is never repaired by a retry, only by reading."""

    COMMITTED = "committed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
