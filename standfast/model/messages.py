"""What members say to each other: two messages, both repeated, both harmless when late, lost or doubled."""

from enum import StrEnum

from msgspec import Struct

from standfast.model.override import Word


class Refusal(StrEnum):
    """Why a voter does not acknowledge a heartbeat."""

    NONE = ""
    RESTARTING = "restarting"  # the voter keeps its memory-less start's promise
    UNKNOWN = "unknown"  # this incarnation is not the one in the voter's view
    TOLD_TO_GO = "told_to_go"  # evicting, evicted or left
    VOTED = "voted"  # the voter promised not to, until the member's record changes
    UNAWARE = "unaware"  # an override is in force of which the member does not say that it knows
    LISTENING = "listening"  # heard again after a term or more: first the voter listens who else is there


class Hop(StrEnum):
    """How it stands with a member's next hop: whether any of the addresses it is to ping answers."""

    NONE = ""  # it has none to ping
    UNKNOWN = "unknown"  # no answer yet, and not long enough without one
    FOUND = "found"
    RETURNING = "returning"  # it answers again, but not for long enough
    LOST = "lost"


class Vote(Struct, frozen=True, array_like=True):
    """A promise to acknowledge the member no more while its record is at this ballot (a revision).

    Given only after the voter's grant to that member has lapsed.
    """

    member: str
    ballot: int


class Ballot(Struct, frozen=True, array_like=True):
    """An open ballot in the sender's view: at that revision this incarnation was put in doubt, or told to go.

    Attributes:
        member: against whom.
        incarnation: of that member.
        revision: of its record.
        stopped: whether the sender read on the shared disk its word that nothing of it runs or will start for it.
    """

    member: str
    incarnation: int
    revision: int
    stopped: bool = False


class Heartbeat(Struct, frozen=True, array_like=True, tag="h"):
    """All that a member says; sent every interval, and at once when something in it changed.

    The same one is written to the shared disk, where there is one. What is read there may be old.

    Attributes:
        sender: name of the member.
        incarnation: of the sender; 0 before it has joined.
        process: random, one for each start of the daemon.
        seq: grows with every heartbeat of one process; older ones than seen are ignored.
        sent_ns: the sender's own clock, given back in the acknowledgement; meaningless elsewhere.
        term_ns: length of the lease asked for, in nanoseconds.
        hears: bit mask over the members sorted by name: whom the sender heard within the doubt time.
        newest: revision of the newest record in the sender's view; a larger one than its own makes the
            receiver read the store.
        able: whether the sender may act as coordinator (start-up promise kept, store in reach).
        leased: whether the sender holds a lease long enough to start queue managers.
        votes: lapse votes in force.
        stopped: ballot against the sender for which it says that nothing of it runs or will start; 0 none.
        unfit: names of queue managers that the sender could not run now; "*" for all.
        ballots: all that are open in the sender's view, none while the cluster is frozen.
        isolated: bit mask: whom the sender hears no more, while the shared disk brings newer heartbeats of it.
        settings: revision of the settings that the sender goes by; 0: it goes by its cluster file.
        interval_ns: the interval of those settings in nanoseconds: the sender counts on being spoken to as often.
        overrides: the newest word on each member's overrides.
        fit: bit mask as `hears`: who could run anything, the sender by itself and others by their own word to it. So
            those who do not hear such a member know of it all the same.
        voters: tells over whose names `hears` is counted, see Rules; 0: those of the receiver.
        hop: how it stands with its next hop.
    """

    sender: str
    incarnation: int
    process: int
    seq: int
    sent_ns: int
    term_ns: int
    hears: int
    newest: int
    able: bool
    leased: bool
    votes: tuple[Vote, ...] = ()
    stopped: int = 0
    unfit: tuple[str, ...] = ()
    ballots: tuple[Ballot, ...] = ()
    isolated: int = 0
    settings: int = 0
    interval_ns: int = 0
    overrides: tuple[Word, ...] = ()
    fit: int = 0
    voters: int = 0
    hop: Hop = Hop.NONE


class Ack(Struct, frozen=True, array_like=True, tag="a"):
    """The answer to a heartbeat: a grant of one term from its sending, or a refusal.

    Attributes:
        sender: the voter.
        incarnation: of the member that is answered.
        sent_ns: from the heartbeat.
        term_ns: from the heartbeat.
        refusal: empty when granted.
    """

    sender: str
    incarnation: int
    sent_ns: int
    term_ns: int
    refusal: Refusal = Refusal.NONE


Message = Heartbeat | Ack
