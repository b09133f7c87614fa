"""What a terminal and a member say to each other over the control socket.

One JSON object a line, ended by a newline, in each direction; `do` names the request, `is` the answer. A connection
starts with `hello`; each request gets one answer, in order, except `events`, which gets any number of `event` lines
and then `end` (never, when it follows). Values carry states and reasons as enums and short words: sentences are made
by whoever shows them. Unknown keys are ignored, so that a newer side may say more.
"""

from msgspec import Struct, field

from standfast.member.alert_protocol import AlertReport, TestAlert
from standfast.member.config_protocol import ConfigReport
from standfast.member.copy_protocol import LostCopy
from standfast.member.report import StatusReport
from standfast.member.snapshot import Snapshot
from standfast.model.cluster import Cluster, MemberSpec
from standfast.model.override import Override, Word
from standfast.quorum.can_stop import Safety
from standfast.quorum.signals import Verdict

VERSION = 1
"""Grows when a side that knows only the older one could no longer make sense of the other."""

# ---------------------------------------------------------------- requests


class Hello(Struct, frozen=True, tag_field="do", tag="hello"):
    """Always first: the version that the client speaks.

    Attributes:
        version: see VERSION.
        on_behalf: for whom the client asks, as it has found out itself; empty: for the user that it runs as. Whoever
            may open the socket may do everything, so that this names a person and gives no right.
    """

    version: int = VERSION
    on_behalf: str = ""


class Status(Struct, frozen=True, tag_field="do", tag="status"):
    """What the member knows now; answered by StatusReport."""


class Events(Struct, frozen=True, tag_field="do", tag="events"):
    """The event log after a revision of the store, oldest first; answered by EventLine, then End.

    Attributes:
        since: only what was written after this revision; 0 for all that is kept.
        follow: go on with each new event as it comes, without an End.
    """

    since: int = 0
    follow: bool = False


class Move(Struct, frozen=True, tag_field="do", tag="move"):
    """Run a queue manager on another member; answered by OrderResult."""

    qm: str
    to: str


class Drain(Struct, frozen=True, tag_field="do", tag="drain"):
    """Let a member run nothing; answered by OrderResult."""

    member: str


class Undrain(Struct, frozen=True, tag_field="do", tag="undrain"):
    """Let a drained member run queue managers again; answered by OrderResult."""

    member: str


class Clear(Struct, frozen=True, tag_field="do", tag="clear"):
    """Let a member out of quarantine; answered by OrderResult."""

    member: str


class ConfirmFenced(Struct, frozen=True, tag_field="do", tag="confirm_fenced"):
    """The operator answers for it that an evicted member is off; answered by OrderResult."""

    member: str


class CanStop(Struct, frozen=True, tag_field="do", tag="can_stop"):
    """Whether a member may be stopped now; answered by SafetyReport."""

    member: str


class TakeSnapshot(Struct, frozen=True, tag_field="do", tag="snapshot"):
    """What the member knows, with all that the deciders need; answered by Snapshot."""


class Freeze(Struct, frozen=True, tag_field="do", tag="freeze"):
    """Suspend takeovers and moves; answered by OrderResult."""


class Thaw(Struct, frozen=True, tag_field="do", tag="thaw"):
    """Resume takeovers and moves; answered by OrderResult."""


class Restart(Struct, frozen=True, tag_field="do", tag="restart"):
    """A new daemon takes this one's place (`check`: is only loaded; `leave`: that, then this ends); RestartReport."""

    check: bool = False
    leave: bool = False


class GrantOverride(Struct, frozen=True, kw_only=True, tag_field="do", tag="grant_override"):
    """Let the asked member run without a majority; answered by OrderResult.

    Attributes:
        cluster: its name.
        reason: why.
        queue_managers: which; empty for all.
        dry: only say what the answer would be.
    """

    cluster: str
    reason: str
    queue_managers: tuple[str, ...] = ()
    dry: bool = False


class EndOverride(Struct, frozen=True, tag_field="do", tag="end_override"):
    """End the override of a member; answered by OrderResult."""

    member: str


class AddMember(Struct, frozen=True, tag_field="do", tag="add_member"):
    """Let one more member vote; answered by OrderResult."""

    spec: MemberSpec


class RemoveMember(Struct, frozen=True, tag_field="do", tag="remove_member"):
    """Let a member that is stopped or evicted vote no more; answered by OrderResult."""

    member: str


class ReplaceMember(Struct, frozen=True, tag_field="do", tag="replace_member"):
    """Let another machine be that member, at these addresses (none: at the old ones); answered by OrderResult."""

    member: str
    addresses: tuple[str, ...] = ()
    client_address: str = ""


class ShowOverride(Struct, frozen=True, tag_field="do", tag="show_override"):
    """What the asked member knows of overrides; answered by OverrideReport."""


class TellRefused(Struct, frozen=True, kw_only=True, tag_field="do", tag="tell_refused"):
    """Let it be an event that somebody was not let in; answered by OrderResult.

    Attributes:
        address: where the attempts came from.
        why: a short word.
        count: how many there were since the last one told of that address.
    """

    address: str
    why: str
    count: int


class ShowConfig(Struct, frozen=True, tag_field="do", tag="config"):
    """The configuration in force; answered by ConfigReport."""


class ApplyConfig(Struct, frozen=True, tag_field="do", tag="apply_config"):
    """Let this be in force; answered by OrderResult.

    Attributes:
        wanted: the whole; what can not be changed live must be as it is.
        edition: of the configuration from which it was made.
    """

    wanted: Cluster
    edition: int


ORDERS = (
    Move,
    Drain,
    Undrain,
    Clear,
    ConfirmFenced,
    Freeze,
    Thaw,
    Restart,
    ApplyConfig,
    GrantOverride,
    EndOverride,
    AddMember,
    RemoveMember,
    ReplaceMember,
    TestAlert,
)
"""Requests that change something."""
Request = (
    Hello
    | Status
    | Events
    | Move
    | Drain
    | Undrain
    | Clear
    | ConfirmFenced
    | CanStop
    | Freeze
    | Thaw
    | TakeSnapshot
    | Restart
    | GrantOverride
    | EndOverride
    | ShowOverride
    | ShowConfig
    | TellRefused
    | ApplyConfig
    | AddMember
    | RemoveMember
    | ReplaceMember
    | TestAlert
    | LostCopy
)

# ---------------------------------------------------------------- answers


class Welcome(Struct, frozen=True, tag_field="is", tag="welcome"):
    """Who answers, and the version that it speaks."""

    version: int
    cluster: str
    member: str


class OrderResult(Struct, frozen=True, tag_field="is", tag="order_result"):
    """How an order ended. Done means that it stands in the store, not that it is carried out."""

    verdict: Verdict


class OverrideReport(Struct, frozen=True, kw_only=True, tag_field="is", tag="override"):
    """What a member knows of overrides.

    Attributes:
        cluster: name of the cluster.
        member: that answers.
        own: its own, until the store holds its end; None when there is none.
        words: the newest word on each member that ever had one.
        grantable: what would be answered to an order now.
        wait_ms: how long another data member's lease may still last, as far as the member knows; 0: none does.
    """

    cluster: str
    member: str
    own: Override | None
    words: tuple[Word, ...]
    grantable: Verdict
    wait_ms: int


class SafetyReport(Struct, frozen=True, tag_field="is", tag="safety"):
    """The answer to CanStop."""

    safety: Safety


class RestartReport(Struct, frozen=True, kw_only=True, tag_field="is", tag="restart_report"):
    """The answer to Restart. The old daemon ends right after it, if that was asked for.

    Attributes:
        was: the release of the daemon that answers.
        release: of the new one, which is loaded.
        warden: version of the warden that runs here.
        ends: whether the new one would have to end what the warden runs.
        running: queue managers of which something runs here.
    """

    was: str
    release: str
    warden: int
    ends: bool
    running: tuple[str, ...]


class EventLine(Struct, frozen=True, kw_only=True, tag_field="is", tag="event"):
    """One line of the event log.

    Attributes:
        revision: of the store at which it was written; 0 for one that only the telling member holds.
        at_unix_ms: wall-clock time at the member that wrote it, in milliseconds since 1970 UTC.
        teller: the member that wrote it.
        kind: name of an EventKind; a text, because a newer member may tell of kinds unknown here.
        subject: the member or queue manager that it is about.
        fields: details, see the catalogue.
    """

    revision: int
    at_unix_ms: int
    teller: str
    kind: str
    subject: str
    fields: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class End(Struct, frozen=True, tag_field="is", tag="end"):
    """No more events; the next request may ask from this revision."""

    revision: int


class Failed(Struct, frozen=True, tag_field="is", tag="failed"):
    """The request could not be answered.

    Attributes:
        error: name of a class in errors.py.
        message: what happened, why, and what to do next.
    """

    error: str
    message: str


Response = (
    Welcome
    | OrderResult
    | SafetyReport
    | RestartReport
    | EventLine
    | End
    | Failed
    | StatusReport
    | Snapshot
    | OverrideReport
    | ConfigReport
    | AlertReport
)
