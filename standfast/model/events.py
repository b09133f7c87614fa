"""The catalogue of events: what changed, how grave it is, what it means and what to do next."""

from msgspec import Struct, field

from standfast.model.event_kinds import EventKind, Severity


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened. Ids, wall-clock time and the member that tells it are added when it is stored.

    Attributes:
        kind: from the catalogue.
        subject: the member or queue manager that it is about.
        fields: details by name, numbers with their unit in the name.
    """

    kind: EventKind
    subject: str
    fields: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the catalogue.

    Attributes:
        severity: how soon a person should look.
        stored: True when it is written to the store with the change it tells of; False when only the member
            that saw it can tell (it may be without a store then).
        meaning: what happened.
        action: what to do next.
    """

    severity: Severity
    stored: bool
    meaning: str
    action: str


def _entry(severity: Severity, meaning: str, action: str, *, stored: bool = True) -> Entry:
    return Entry(severity=severity, stored=stored, meaning=meaning, action=action)


_I, _W, _C = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_NOTHING = "Nothing to do."

CATALOGUE: dict[EventKind, Entry] = {
    EventKind.CLUSTER_FOUNDED: _entry(_I, "The first member wrote the cluster's settings.", _NOTHING),
    EventKind.MEMBER_JOINED: _entry(_I, "A member joined under a new incarnation.", _NOTHING),
    EventKind.MEMBER_IN_DOUBT: _entry(
        _W, "Too few members hear this one for it to keep its lease.", "Look at the machine and its network."
    ),
    EventKind.MEMBER_BACK: _entry(_I, "A member in doubt was heard again in time.", _NOTHING),
    EventKind.MEMBER_TOLD_TO_GO: _entry(
        _W,
        "A member must stop its queue managers and leave.",
        "See `reason` and `decided_by`; it rejoins by itself when that is mended.",
    ),
    EventKind.MEMBER_EVICTED: _entry(
        _C, "A majority's grants to the member have lapsed; others take over.", "Repair it; it rejoins by itself."
    ),
    EventKind.MEMBER_FENCED: _entry(
        _W,
        "An evicted member was switched off, because a queue manager of it could not be started elsewhere for sure.",
        "Look why it did not stop by itself, then start it.",
    ),
    EventKind.FENCING_FAILED: _entry(
        _C,
        "The queue manager is not started, because its former owner, an evicted member, could not be switched off.",
        "Read the detail; switch the machine off by hand, then say so: standfast fence confirm NAME.",
    ),
    EventKind.MEMBER_LEFT: _entry(_I, "A member was stopped cleanly.", "Start it when the work is done."),
    EventKind.QM_ASSIGNED: _entry(_I, "A queue manager has a new owner.", _NOTHING),
    EventKind.QM_STARTING: _entry(_I, "Its owner is about to start the queue manager.", _NOTHING),
    EventKind.QM_RUNNING: _entry(_I, "The queue manager answers its clients.", _NOTHING),
    EventKind.QM_TAKEN_OVER: _entry(
        _W,
        "The queue manager runs here after a takeover: `total_ms` after the first doubt about its former owner, "
        "`took_ms` of them after the decision.",
        "Clients are served again. Look why the former owner went.",
        stored=False,
    ),
    EventKind.QM_FAILED: _entry(
        _W, "The queue manager ended or did not answer; it is started again.", "Read its log if it recurs."
    ),
    EventKind.QM_RELEASED: _entry(_I, "Its owner stopped the queue manager and gave it up.", _NOTHING),
    EventKind.QM_KEPT: _entry(
        _I, "Its owner's daemon was restarted; the queue manager stayed where it was, under the same epoch.", _NOTHING
    ),
    EventKind.QM_GIVEN_UP: _entry(
        _C,
        "No eligible member could start the queue manager.",
        "Read its log, mend the cause, then move it to a member.",
    ),
    EventKind.QM_VERSION: _entry(
        _I,
        "The queue manager runs with another version of its program than the last time.",
        "Bring the other data members to it: an older one is not chosen, see docs/readiness.md.",
    ),
    EventKind.QM_GROUP_BROKEN: _entry(
        _W,
        "It runs beside a queue manager that it is to be apart from, or away from one that it is to be together with.",
        "Nothing moves by itself: `standfast move` it when that suits its clients.",
    ),
    EventKind.QM_GROUP_WAITS: _entry(
        _C,
        "The queue manager stays down: a strict group rules out every member that could run it.",
        "Bring another data member back, or move the others of its group; docs/groups.md.",
    ),
    EventKind.QM_GROUP_HELD: _entry(_I, "The groups of the queue manager are as wanted again.", _NOTHING),
    EventKind.QM_MOVING: _entry(_I, "The queue manager is being moved.", _NOTHING),
    EventKind.QM_MOVE_ABANDONED: _entry(
        _W, "The move was given up: the target can not take it.", "See the reason, then move it again."
    ),
    EventKind.MEMBER_DRAINED: _entry(_I, "The member runs nothing until undrained.", "Undrain it after the work."),
    EventKind.MEMBER_UNDRAINED: _entry(_I, "The member may run queue managers again.", _NOTHING),
    EventKind.QM_ADDED: _entry(_I, "An operator added the queue manager.", _NOTHING),
    EventKind.QM_CHANGED: _entry(
        _I,
        "An operator changed the queue manager; most of that takes effect at its next start.",
        "Move it or restart it when that suits its clients.",
    ),
    EventKind.QM_HALTED: _entry(
        _I, "An operator wants the queue manager stopped.", "Take `halted` back when it shall run again."
    ),
    EventKind.QM_RESUMED: _entry(_I, "An operator wants the queue manager to run again.", _NOTHING),
    EventKind.QM_REMOVED: _entry(
        _I,
        "An operator removed the queue manager; its data are where they were.",
        "Delete the data if nobody needs them.",
    ),
    EventKind.MEMBER_ADDED: _entry(
        _I, "An operator added a voting member.", "Start its machine: until it runs, it counts as one that is down."
    ),
    EventKind.MEMBER_REMOVED: _entry(_I, "An operator removed a voting member.", _NOTHING),
    EventKind.MEMBER_REPLACED: _entry(
        _I, "An operator put a member at another address.", "Start the new machine there, and the old one no more."
    ),
    EventKind.SETTINGS_CHANGED: _entry(
        _I,
        "An operator changed the settings; the members adopt them one after the other.",
        "See what changed, and who.",
    ),
    EventKind.SETTINGS_SETTLED: _entry(
        _I, "Every member goes by the shorter term, and no lease of the longer one is left.", _NOTHING
    ),
    EventKind.MEMBER_QUARANTINED: _entry(
        _W,
        "The member lost its lease uncleanly too often; it is chosen for nothing while another member can be.",
        "Find out why it failed, mend it, then clear it: `standfast clear NAME`.",
    ),
    EventKind.MEMBER_CLEARED: _entry(_I, "The member is out of quarantine.", _NOTHING),
    EventKind.MEMBER_STEADY: _entry(_I, "The member has stayed for long; its earlier losses are forgotten.", _NOTHING),
    EventKind.CLUSTER_FROZEN: _entry(
        _W, "Nothing is taken over or moved until thawed.", "Thaw the cluster after the work."
    ),
    EventKind.CLUSTER_THAWED: _entry(_I, "Takeovers are possible again.", _NOTHING),
    EventKind.LEASE_LOST: _entry(
        _C,
        "This member has no majority and stops its queue managers.",
        "Look at its network; a majority of members must reach each other.",
        stored=False,
    ),
    EventKind.LEASE_REGAINED: _entry(_I, "This member has a majority again.", _NOTHING, stored=False),
    EventKind.WATCHDOG_READY: _entry(
        _I, "This member can use its kernel's watchdog again, or for the first time.", _NOTHING, stored=False
    ),
    EventKind.WATCHDOG_MISSING: _entry(
        _W,
        "This member can not use its kernel's watchdog; where it is required, it runs nothing.",
        "See the detail and docs/watchdog.md.",
        stored=False,
    ),
    EventKind.WATCHDOG_RESET: _entry(
        _C,
        "This machine went down while its watchdog was started: something still ran as the lease ended, or its power "
        "failed; `evidence` says how sure that is.",
        "Look for what could not be stopped: a hung disk or mount, a warden that was killed, a frozen machine.",
        stored=False,
    ),
    EventKind.LINK_LOST: _entry(
        _W, "This member does not hear the other one any more.", "Look at the network between them.", stored=False
    ),
    EventKind.LINK_HEALED: _entry(_I, "This member hears the other one again.", _NOTHING, stored=False),
    EventKind.MEMBER_ISOLATED: _entry(
        _W,
        "This member does not hear the other one any more, and reads its newer heartbeats on the shared disk: the "
        "machine lives, what is between them does not work.",
        "Look at the network of both machines.",
        stored=False,
    ),
    EventKind.DISK_LINK_LOST: _entry(
        _W,
        "This member can not read or write the shared disk; heartbeats over the network go on.",
        "See the state and docs/shared-disk.md.",
        stored=False,
    ),
    EventKind.DISK_LINK_HEALED: _entry(
        _I, "This member reads and writes the shared disk again.", _NOTHING, stored=False
    ),
    EventKind.LINK_FLAPPING: _entry(
        _W,
        "The link to the other member comes and goes; nothing more is told of it until it has been quiet for a while.",
        "Look for a bad cable, port, driver or an overloaded path between them.",
        stored=False,
    ),
    EventKind.HOP_LOST: _entry(
        _W,
        "None of this member's next hops answers pings; what it runs goes to a member whose hop answers, if any does.",
        "Look at its clients' network: the gateway, the cable, the port.",
        stored=False,
    ),
    EventKind.HOP_FOUND: _entry(_I, "A next hop of this member answers pings again, steadily.", _NOTHING, stored=False),
    EventKind.MEMBER_HELD_BACK: _entry(
        _W,
        "This member was evicted and waits until its links have held for `settle_ms`; it joins sooner if it is needed.",
        "Mend its links; it then joins by itself. docs/arbitration.md says how long it waits.",
        stored=False,
    ),
    EventKind.STORAGE_CONTESTED: _entry(
        _C,
        "The storage of a queue manager that ran here names a later owner, or another one: it was killed at once.",
        "See `rival` and `detail`: make sure that nothing else uses that directory, then see docs/storage.md.",
        stored=False,
    ),
    EventKind.QM_STOP_STUCK: _entry(
        _C,
        "A queue manager could not be killed within its budget.",
        "Look for a hung disk or mount; reset the machine if it stays.",
        stored=False,
    ),
    EventKind.COPY_OUTDATED: _entry(
        _W,
        "The owner lost the `copy` of its data on that member and writes on: the queue manager can not start there "
        "now.",
        "Mend that machine or the link between them; it resynchronises by itself.",
    ),
    EventKind.COPY_CURRENT: _entry(_I, "That `copy` has all data again: the queue manager may start there.", _NOTHING),
    EventKind.ENDPOINT_HELD: _entry(_I, "This member has the endpoint: it leads clients here.", _NOTHING, stored=False),
    EventKind.ENDPOINT_CONTESTED: _entry(
        _C,
        "Another machine says that it has this virtual IP; `rival` is its hardware address. Not taken yet, the address "
        "is not taken before that machine is silent; taken already, it is announced again.",
        "Find the machine by its hardware address and take the address from it: docs/endpoints.md.",
        stored=False,
    ),
    EventKind.ENDPOINT_FAILED: _entry(
        _C,
        "This member runs the queue manager and can not have its endpoint; it tries again by itself.",
        "See the detail, and `standfast check` on this member; docs/endpoints.md.",
        stored=False,
    ),
    EventKind.INSTANCE_ENDING: _entry(
        _W,
        "AWS is going to end this member's machine; what it runs is moved away, and nothing is placed there.",
        "Nothing to do if its Auto Scaling group replaces it; otherwise start another machine: docs/instances.md.",
        stored=False,
    ),
    EventKind.INSTANCE_UNHEALTHY: _entry(
        _C,
        "This member is beyond repair by itself and has reported its machine to its Auto Scaling group, or could not.",
        "See why; the group replaces the machine after its grace period: docs/instances.md.",
        stored=False,
    ),
    EventKind.NAMESAKE: _entry(
        _C, "Another machine joined under this member's name.", "Give each member its own name.", stored=False
    ),
    EventKind.STORE_RESTORED: _entry(
        _W,
        "An operator restored the store from a backup: what was decided after the backup is forgotten.",
        "Compare queue managers, drained members and settings with what you expect.",
    ),
    EventKind.STORE_RECOVERED: _entry(
        _C,
        "An operator rebuilt the store from what this member had of it: what it had not seen is forgotten. The "
        "machines of all other members count as lost for good.",
        "Bring the others back with empty state directories, never with their old disks: docs/override.md.",
    ),
    EventKind.OVERRIDE_GRANTED: _entry(
        _C,
        "An operator ordered this member to run without a majority. Told at once by itself, and by the store when a "
        "majority is back; the number is the same.",
        "Keep the other data members off until a majority is back: docs/override.md.",
    ),
    EventKind.GUARD_BYPASSED: _entry(
        _W,
        "An override bypassed this guard: `majority` (nobody confirms that no other member runs), `start_record` (the "
        "store was not asked before the start), `data_currency` (nobody confirms that the data here are the newest).",
        "See that what the guard watches over is so: docs/override.md.",
    ),
    EventKind.QM_ADOPTED: _entry(
        _I, "A majority is back, and the store says that the queue manager is the overridden member's.", _NOTHING
    ),
    EventKind.OVERRIDE_CONFLICT: _entry(
        _C,
        "Two sides decided: while this member ran by an override, another one ran the same under a lease, had an "
        "override itself, or the store has changed beyond it. This member stops its queue managers; see `why`.",
        "Compare the data of both sides before anybody writes more: docs/override.md.",
        stored=False,
    ),
    EventKind.OVERRIDE_ENDED: _entry(
        _I, "An override is over; `why` says how it came.", "Nothing to do, unless a conflict was told before it."
    ),
    EventKind.STORE_LOST: _entry(
        _W,
        "This member's last calls to the store failed; what runs goes on, and nothing can be taken over through it.",
        "See `detail`; a majority of the etcds must run and reach each other: docs/store.md.",
        stored=False,
    ),
    EventKind.STORE_BACK: _entry(_I, "The store answers this member again.", _NOTHING, stored=False),
    EventKind.STORE_FULL: _entry(
        _C,
        "The store refuses writes, because its quota is used up: nothing can be taken over or moved.",
        "Make room: `standfast store make-room`, see docs/store.md.",
        stored=False,
    ),
    EventKind.STANDBY_UNREADY: _entry(
        _W,
        "This member could not run the queue manager now if it had to.",
        "See `why` and `detail`, and docs/readiness.md; `standfast check` on this member says more.",
        stored=False,
    ),
    EventKind.STANDBY_READY: _entry(_I, "This member could run the queue manager again.", _NOTHING, stored=False),
    EventKind.SINK_FAILING: _entry(
        _W,
        "This member could not deliver to the sink; what is to be delivered waits.",
        "See `detail`; `standfast alert test SINK` tries it.",
        stored=False,
    ),
    EventKind.SINK_WORKING: _entry(_I, "The sink takes events again.", _NOTHING, stored=False),
    EventKind.ALERT_TEST: _entry(_I, "An operator tried whether alerts arrive.", _NOTHING, stored=False),
    EventKind.ORDER_GIVEN: _entry(
        _I,
        "Somebody gave a member an order; `by` says who, `verdict` what became of it. Subject: what it was about. "
        "Where the store does not take it, that member alone tells it.",
        _NOTHING,
    ),
    EventKind.LOGIN_REFUSED: _entry(
        _W,
        "Somebody was not let in by this member's API; `count` attempts since the last such event of that address.",
        "Find out who that is, if it is not one of you: docs/api.md.",
        stored=False,
    ),
}

__all__ = ["CATALOGUE", "Entry", "Event", "EventKind", "Severity"]
