"""The SNMP MIB module of Standfast (SMIv2, RFC 2578 to 2580): numbers of all objects, and the text made from them.

Numbers never change their meaning. Notifications hang directly below ``.0`` so that they can be told as SNMPv1 traps,
too (RFC 3584), under the number that the catalogue gives to each kind of event.

The root is a place for experiments below net-snmp's number, until the project has a number of its own from IANA: it is
one constant here, and a setting of each sink and of the agent.
"""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final, NamedTuple

from standfast.model.cluster import Role
from standfast.model.event_fields import CARRIED
from standfast.model.events import CATALOGUE, EventKind, Severity
from standfast.model.records import MemberState, Phase

ROOT: Final = "1.3.6.1.4.1.8072.9999.9999.7403"
MODULE: Final = "STANDFAST-MIB"
MAX_TEXT: Final = 255
"""Longest DisplayString in bytes (RFC 2579)."""
UPDATED: Final = "202611220000Z"


class Object(NamedTuple):
    """One object: its name, number, syntax, and what it means."""

    name: str
    number: int
    syntax: str
    meaning: str


_TEXT = f"DisplayString (SIZE (0..{MAX_TEXT}))"


def _enum(words: type[Severity] | type[MemberState] | type[Phase] | type[Role]) -> str:
    listed = ", ".join(f"{label(word)}({number})" for number, word in enumerate(words, start=1))
    return f"INTEGER {{ {listed} }}"


def label(word: str) -> str:
    """An enum's word or an event's kind as SMI writes names: `in_doubt` is inDoubt."""
    first, *rest = word.split("_")
    return first + "".join(part.capitalize() for part in rest)


TOLD: Final = (
    Object("sfEventId", 1, _TEXT, "Equal ids are the same event, however often it arrives."),
    Object("sfEventKind", 2, _TEXT, "Name of the event in the catalogue."),
    Object("sfEventSeverity", 3, _enum(Severity), "How soon a person should look."),
    Object("sfEventTime", 4, _TEXT, "Wall clock of the teller, ISO 8601, UTC."),
    Object("sfEventCluster", 5, _TEXT, "Name of the cluster."),
    Object("sfEventMember", 6, _TEXT, "The member that tells it."),
    Object("sfEventSubject", 7, _TEXT, "The member, queue manager or sink that it is about."),
    Object("sfEventDetail", 8, _TEXT, "Fields of the event as name=value, cut at the end if they are too long."),
    Object("sfEventAction", 9, _TEXT, "What to do next."),
)
"""What each notification carries, in this order."""

STATUS: Final = (
    Object("sfClusterName", 1, _TEXT, "Name of the cluster."),
    Object("sfAnsweredBy", 2, _TEXT, "The member whose view this is."),
    Object("sfStoreReachable", 3, "TruthValue", "Whether its last read of the store succeeded."),
    Object("sfStoreLeader", 4, _TEXT, "The member whose etcd leads; empty when unknown."),
    Object("sfSeenAge", 5, "Gauge32", "Age of this view in milliseconds."),
)
MEMBER: Final = (
    Object("sfMemberIndex", 1, "Integer32 (1..2147483647)", "Position by name."),
    Object("sfMemberName", 2, _TEXT, "Name of the member."),
    Object("sfMemberRole", 3, _enum(Role), "What it may do."),
    Object(
        "sfMemberState",
        4,
        f"INTEGER {{ {', '.join(f'{label(w)}({n})' for n, w in enumerate((*MemberState, 'never_joined'), start=1))} }}",
        "What the store holds of it.",
    ),
    Object("sfMemberHeard", 5, "Integer32 (-1..2147483647)", "Milliseconds since it was heard here; -1: never."),
    Object("sfMemberLeased", 6, "TruthValue", "Whether it says that it holds a lease."),
    Object(
        "sfMemberLeaseLeft",
        7,
        "Integer32 (-1..2147483647)",
        "What is left of the lease of the member that answers, in milliseconds; -1 for others.",
    ),
    Object("sfMemberCoordinator", 8, "TruthValue", "Whether it coordinates, as the member that answers sees it."),
)
QM: Final = (
    Object("sfQmIndex", 1, "Integer32 (1..2147483647)", "Position by name."),
    Object("sfQmName", 2, _TEXT, "Name of the queue manager."),
    Object("sfQmKind", 3, _TEXT, "Its driver."),
    Object("sfQmPhase", 4, _enum(Phase), "How far its assignment has come."),
    Object("sfQmOwner", 5, _TEXT, "The member that owns it; empty when none does."),
    Object("sfQmEpoch", 6, "Gauge32", "Grows with every owner."),
    Object("sfQmAddress", 7, _TEXT, "Where its clients connect."),
)

NOTIFICATIONS, TELLING, SEEN, CONFORMANCE = 0, 1, 2, 3
"""Branches below the root; tables hang below SEEN."""
MEMBER_TABLE, QM_TABLE = 6, 7


def notification_name(kind: EventKind) -> str:
    """Such as sfMemberEvicted."""
    return "sf" + "".join(part.capitalize() for part in kind.split("_"))


def module(root: str = ROOT) -> str:
    """The text of the MIB module below that root."""
    return "\n".join(_lines(root)) + "\n"


def _lines(root: str) -> Iterator[str]:
    enterprise = root.removeprefix("1.3.6.1.4.1.").replace(".", " ")
    yield from (f"{MODULE} DEFINITIONS ::= BEGIN", "", "-- Made from the catalogue of events: do not edit.", "")
    yield from ("IMPORTS", "    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, Gauge32, enterprises")
    yield from ("        FROM SNMPv2-SMI", "    DisplayString, TruthValue", "        FROM SNMPv2-TC")
    yield from ("    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP", "        FROM SNMPv2-CONF;", "")
    yield from ("standfast MODULE-IDENTITY", f'    LAST-UPDATED "{UPDATED}"', '    ORGANIZATION "Standfast"')
    yield from ('    CONTACT-INFO "See the documents of the release."',)
    yield from _described("Queue managers kept available: what happened, and how it stands.")
    yield f'    REVISION "{UPDATED}"'
    yield from _described("First release.")
    yield from (f"    ::= {{ enterprises {enterprise} }}", "")
    for name, number in (
        ("sfNotifications", NOTIFICATIONS),
        ("sfTelling", TELLING),
        ("sfSeen", SEEN),
        ("sfConformance", CONFORMANCE),
    ):
        yield f"{name} OBJECT IDENTIFIER ::= {{ standfast {number} }}"
    yield from ("sfGroups OBJECT IDENTIFIER ::= { sfConformance 1 }", "")
    for one in TOLD:
        yield from _object(one, "sfTelling", "accessible-for-notify")
    for one in STATUS:
        yield from _object(one, "sfSeen", "read-only")
    yield from _table("sfMember", MEMBER_TABLE, MEMBER, "Members, by name.")
    yield from _table("sfQm", QM_TABLE, QM, "Queue managers, by name.")
    for kind in sorted(EventKind, key=lambda kind: CARRIED[kind].number):
        yield from _notification(kind)
    yield from _conformance()
    yield "END"


def _object(one: Object, parent: str, access: str) -> Iterator[str]:
    yield from (f"{one.name} OBJECT-TYPE", *_syntax(one.syntax), f"    MAX-ACCESS {access}", "    STATUS current")
    yield from _described(one.meaning)
    yield from (f"    ::= {{ {parent} {one.number} }}", "")


def _syntax(syntax: str) -> list[str]:
    return wrap(f"SYNTAX {syntax}", 78, initial_indent="    ", subsequent_indent="        ")


def _table(name: str, number: int, columns: tuple[Object, ...], meaning: str) -> Iterator[str]:
    entry = f"{name}Entry"
    yield from (f"{name}Table OBJECT-TYPE", f"    SYNTAX SEQUENCE OF {entry[0].upper()}{entry[1:]}")
    yield from ("    MAX-ACCESS not-accessible", "    STATUS current")
    yield from (*_described(meaning), f"    ::= {{ sfSeen {number} }}", "")
    yield from (f"{entry} OBJECT-TYPE", f"    SYNTAX {entry[0].upper()}{entry[1:]}", "    MAX-ACCESS not-accessible")
    yield from ("    STATUS current", *_described("One of them."), f"    INDEX {{ {columns[0].name} }}")
    yield from (f"    ::= {{ {name}Table 1 }}", "", f"{entry[0].upper()}{entry[1:]} ::= SEQUENCE {{")
    plain = [f"    {one.name} {one.syntax.split(' ')[0]}" for one in columns]
    yield from (",\n".join(plain), "}", "")
    for place, one in enumerate(columns):
        yield from _object(one, entry, "read-only" if place else "not-accessible")


def _notification(kind: EventKind) -> Iterator[str]:
    entry = CATALOGUE[kind]
    listed = ", ".join(one.name for one in TOLD)
    yield f"{notification_name(kind)} NOTIFICATION-TYPE"
    yield from wrap(f"OBJECTS {{ {listed} }}", 78, initial_indent="    ", subsequent_indent="        ")
    yield from ("    STATUS current", *_described(f"{entry.meaning} ({entry.severity}) {entry.action}"))
    yield from (f"    ::= {{ sfNotifications {CARRIED[kind].number} }}", "")


def _conformance() -> Iterator[str]:
    objects = [one.name for one in (*TOLD, *STATUS, *MEMBER[1:], *QM[1:])]
    kinds = sorted(EventKind, key=lambda kind: CARRIED[kind].number)
    yield from ("sfObjectGroup OBJECT-GROUP", *_listed("OBJECTS", objects), "    STATUS current")
    yield from (*_described("All objects."), "    ::= { sfGroups 1 }", "")
    yield from ("sfNotificationGroup NOTIFICATION-GROUP", *_listed("NOTIFICATIONS", map(notification_name, kinds)))
    yield from ("    STATUS current", *_described("All notifications."), "    ::= { sfGroups 2 }", "")
    yield from ("sfCompliance MODULE-COMPLIANCE", "    STATUS current", *_described("All of it."), "    MODULE")
    yield from ("    MANDATORY-GROUPS { sfObjectGroup, sfNotificationGroup }", "    ::= { sfConformance 2 }", "")


def _listed(word: str, names: "list[str] | map[str]") -> list[str]:
    return wrap(f"{word} {{ {', '.join(names)} }}", 78, initial_indent="    ", subsequent_indent="        ")


def _described(text: str) -> list[str]:
    quoted = '"' + text.replace('"', "'") + '"'
    return ["    DESCRIPTION", *wrap(quoted, 78, initial_indent="        ", subsequent_indent="        ")]
