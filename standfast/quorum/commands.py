"""What operators order a member to do, and how an order ends. Values."""

from enum import StrEnum

from msgspec import Struct

from standfast.model.cluster import Cluster
from standfast.model.view import View
from standfast.quorum.voter_orders import Change


class Move(Struct, frozen=True):
    """Run a queue manager on another member."""

    qm: str
    to: str


class Drain(Struct, frozen=True):
    """Let a member run nothing (`on`), or let it run queue managers again."""

    member: str
    on: bool


class Clear(Struct, frozen=True):
    """Let a member out of quarantine, and forget its losses."""

    member: str


class Freeze(Struct, frozen=True):
    """Suspend takeovers and moves (`on`), or resume them."""

    on: bool


class Configure(Struct, frozen=True):
    """Let this be in force: timing, policy, queue managers of `wanted`, made from that edition; `by`: who wants it."""

    wanted: Cluster
    edition: int
    by: str


class ConfirmFenced(Struct, frozen=True):
    """A member that was evicted is off for sure: `by` answers for it."""

    member: str
    by: str


class LeaveCluster(Struct, frozen=True):
    """Hand over, then end this daemon."""


class GrantOverride(Struct, frozen=True, kw_only=True):
    """Let this member run without a majority.

    Attributes:
        cluster: its name, as a proof that the operator means this one.
        reason: of the operator.
        by: who ordered it.
        at_unix_ms: wall-clock time.
        queue_managers: which; empty for all.
        known: the newest state of the store that this member still has: for epochs and specifications only.
        dry: only say whether it would be granted now.
    """

    cluster: str
    reason: str
    by: str
    at_unix_ms: int
    queue_managers: tuple[str, ...] = ()
    known: View = View()
    dry: bool = False


class EndOverride(Struct, frozen=True):
    """End the override of a member; for another one the operator answers for it that nothing runs there."""

    member: str


class Outdate(Struct, frozen=True):
    """The copy on `member` will lack what the owner, which orders this, writes from now on."""

    qm: str
    member: str


class Refresh(Struct, frozen=True):
    """The copy on `member` was seen to have all data again, after the assignment had this revision."""

    qm: str
    member: str
    revision: int


CopyOrder = Outdate | Refresh
"""Given by the storage of the member itself, not by operators."""
Order = (
    Move
    | Drain
    | Clear
    | Freeze
    | ConfirmFenced
    | Configure
    | Change
    | LeaveCluster
    | GrantOverride
    | EndOverride
    | CopyOrder
)


class Verdict(StrEnum):
    """How an order ended."""

    DONE = "done"
    NO_SUCH_QUEUE_MANAGER = "no_such_queue_manager"
    NO_SUCH_MEMBER = "no_such_member"
    NOT_A_DATA_MEMBER = "not_a_data_member"
    TARGET_NOT_ELIGIBLE = "target_not_eligible"
    ALREADY_THERE = "already_there"
    ALREADY_SO = "already_so"
    FROZEN = "frozen"
    CHANGED_MEANWHILE = "changed_meanwhile"
    STORE_UNREACHABLE = "store_unreachable"
    LAST_DATA_MEMBER = "last_data_member"
    NOT_FOUNDED = "not_founded"
    OTHER_EDITION = "other_edition"
    MEMBERS_DIFFER = "members_differ"
    WRONG_CLUSTER = "wrong_cluster"
    OVERRIDDEN = "overridden"
    NOT_EVICTED = "not_evicted"
    MAJORITY_IN_TOUCH = "majority_in_touch"
    ANOTHER_HEARD = "another_heard"
    RIVAL_LEASE = "rival_lease"
    STILL_RUNNING = "still_running"
    NO_OVERRIDE = "no_override"
    MEMBER_HEARD = "member_heard"
    TARGET_QUARANTINED = "target_quarantined"
    NOT_HALTED = "not_halted"
    TOO_MANY_CHANGES = "too_many_changes"
    HALTED = "halted"
    ALREADY_A_MEMBER = "already_a_member"
    ADDRESS_TAKEN = "address_taken"
    NOT_GONE = "not_gone"
    NOT_SETTLED = "not_settled"
    NO_MAJORITY_THEN = "no_majority_then"
    TOO_FEW_MEMBERS = "too_few_members"
    TARGET_WITHOUT_HOP = "target_without_hop"
    TARGET_OUTDATED = "target_outdated"
    NOT_THE_OWNER = "not_the_owner"
    OWN_COPY = "own_copy"
    TARGET_APART = "target_apart"
