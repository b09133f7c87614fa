"""How orders end, in words: a table, so that a test can walk all of it."""

from typing import NamedTuple

from standfast.errors import Outdated, Refused, StandfastError, StoreUnavailable, UsageError
from standfast.quorum.signals import Verdict


class Ending(NamedTuple):
    """How an order ended: the error to raise (None: it stands), and the sentence."""

    raises: type[StandfastError] | None
    sentence: str


VERDICTS: dict[Verdict, Ending] = {
    Verdict.DONE: Ending(None, "Ordered."),
    Verdict.ALREADY_THERE: Ending(None, "It runs there already: nothing to do."),
    Verdict.ALREADY_SO: Ending(None, "It is so already: nothing to do."),
    Verdict.NO_SUCH_QUEUE_MANAGER: Ending(
        UsageError, "The cluster has no queue manager of that name: `standfast status` lists them."
    ),
    Verdict.NO_SUCH_MEMBER: Ending(
        UsageError, "The cluster has no member of that name: `standfast status` lists them."
    ),
    Verdict.NOT_A_DATA_MEMBER: Ending(UsageError, "That member is a witness: it only votes and never runs anything."),
    Verdict.TARGET_NOT_ELIGIBLE: Ending(
        Refused,
        "That member can not take it now: it must be online, leased, not drained and fit. See `standfast status`.",
    ),
    Verdict.TARGET_QUARANTINED: Ending(
        Refused, "That member is in quarantine: mend it, then let it out with `standfast clear NAME`, and try again."
    ),
    Verdict.TARGET_WITHOUT_HOP: Ending(
        Refused,
        "That member lost its next hop and another one has its own: it would hand over at once. Mend its network.",
    ),
    Verdict.TARGET_OUTDATED: Ending(
        Refused,
        "That member's copy of the data is outdated: it can when it has resynchronised. See `standfast status`.",
    ),
    Verdict.NOT_THE_OWNER: Ending(
        Refused, "Only the member that owns the queue manager may say that, and this one does not own it."
    ),
    Verdict.TARGET_APART: Ending(
        Refused,
        "A queue manager of its group, or of one that moves with it, is there, from which it must stay apart: "
        "move that one first, or choose another member. docs/groups.md.",
    ),
    Verdict.OWN_COPY: Ending(UsageError, "An owner's own copy is the newest: name another member."),
    Verdict.FROZEN: Ending(Refused, "The cluster is frozen: `standfast thaw` first, when the work is done."),
    Verdict.CHANGED_MEANWHILE: Ending(
        Refused,
        "Something else changed at the same moment and nothing was done: look at `standfast status`, try again.",
    ),
    Verdict.STORE_UNREACHABLE: Ending(
        StoreUnavailable,
        "The store does not answer, so owners can not change now; what runs goes on. See that a majority of members "
        "reach each other, then try again.",
    ),
    Verdict.ALREADY_A_MEMBER: Ending(
        UsageError, "The cluster has a member of that name: `standfast status` lists them."
    ),
    Verdict.ADDRESS_TAKEN: Ending(UsageError, "Another member listens at that address and port: give one of its own."),
    Verdict.NOT_EVICTED: Ending(
        Refused,
        "That member was not evicted: its lease may last, so nobody waits for its end, and nothing was done.",
    ),
    Verdict.NOT_GONE: Ending(
        Refused,
        "That member still counts, so nothing was done. If it runs, `standfast drain` it, stop its daemon, try again; "
        "if its machine is dead, wait until `standfast status` says that it was evicted.",
    ),
    Verdict.NOT_SETTLED: Ending(
        Refused,
        "The change before this one is not settled: not every member is known to go by it, or leases of before may "
        "last. That takes a term or two while all members that count are heard: see `standfast status`, try again.",
    ),
    Verdict.NO_MAJORITY_THEN: Ending(
        Refused,
        "After that too few of the members would be up for a majority: every queue manager would stop. Start or repair "
        "others first.",
    ),
    Verdict.TOO_FEW_MEMBERS: Ending(
        Refused, "Three members are the fewest that can lose one: add another before you remove this one."
    ),
    Verdict.LAST_DATA_MEMBER: Ending(
        Refused, "No other data member could run anything: undrain or repair another one first."
    ),
    Verdict.NOT_FOUNDED: Ending(
        Refused, "The store has no settings yet: a majority of members must run and reach each other first."
    ),
    Verdict.NOT_HALTED: Ending(
        Refused,
        "A queue manager can be removed only when it is halted and nothing runs of it: apply `halted = true` first.",
    ),
    Verdict.TOO_MANY_CHANGES: Ending(
        UsageError, "So many queue managers can not be changed in one step: apply the change in parts of 30."
    ),
    Verdict.HALTED: Ending(Refused, "It is halted: take `halted` back with `standfast config edit` first."),
    Verdict.OTHER_EDITION: Ending(
        Outdated,
        "Nothing was changed: the configuration is not the one any more from which this was made. Look at it with "
        "`standfast config show`, then make the change anew.",
    ),
    Verdict.MEMBERS_DIFFER: Ending(
        UsageError, "Name, id, store and members of a cluster are not changed this way: see `standfast member --help`."
    ),
    Verdict.WRONG_CLUSTER: Ending(
        UsageError, "This member belongs to another cluster: `standfast status` shows its name. Nothing was changed."
    ),
    Verdict.OVERRIDDEN: Ending(
        Refused, "An override is in force: `standfast override show` says whose, and how it ends. End that one first."
    ),
    Verdict.MAJORITY_IN_TOUCH: Ending(
        Refused,
        "This member is in touch with a majority, or its lease is not over: no override is needed. `standfast status` "
        "says why a queue manager does not run.",
    ),
    Verdict.ANOTHER_HEARD: Ending(
        Refused,
        "Another data member is alive: it is heard here, on the shared disk, or by a member that is heard. Stop its "
        "daemon (or switch it off), or let it run the queue managers; then try again.",
    ),
    Verdict.RIVAL_LEASE: Ending(
        Refused,
        "Another data member may still hold a lease: since it was last heard, or since this daemon started, less time "
        "has passed than a lease lasts. Try again in some seconds: `standfast override show` says when.",
    ),
    Verdict.STILL_RUNNING: Ending(
        Refused,
        "A queue manager's process is still there on this member. Wait until `standfast status` shows none; if it "
        "stays, it can not be killed, and the machine must be reset.",
    ),
    Verdict.NO_OVERRIDE: Ending(Refused, "No override of that member is known here: nothing to end."),
    Verdict.MEMBER_HEARD: Ending(
        Refused, "That member is heard, so it can be asked itself: run `standfast override end` there."
    ),
}
