"""What a member tells: events to those who follow, and where its file differs from what is in force."""

import asyncio
from collections.abc import Sequence

from msgspec import structs

from standfast.errors import StoreUnavailable
from standfast.member.control import Actor
from standfast.member.control_protocol import EventLine, Events
from standfast.member.handler import MemberHandler
from standfast.member.journal import Journal
from standfast.member.report import NoticeKind
from standfast.member.reporter import Reporter
from standfast.member.scribe import Scribe
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import SettingsRecord
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.ports import KeyChange, LinkCounters
from standfast.quorum.core import Core, Identity
from standfast.stores.ledger import Ledger
from standfast.stores.memory import MemoryStore

SPEC = QueueManagerSpec(name="q", kind="nats", port=1, storage=StorageSpec(path="/q"))
CLUSTER = Cluster(
    name="c",
    id="1",
    members=tuple(MemberSpec(name=n, role=Role.DATA, addresses=(f"127.0.0.{i}",)) for i, n in enumerate("abc", 1)),
    queue_managers=(SPEC,),
)
ACTOR = Actor(1, 0, 0)


class AwayStore:
    """A store that is away."""

    asked = 0

    async def log(self, after: int, limit: int) -> Sequence[KeyChange]:
        raise StoreUnavailable("away")

    async def transact(self, guards: object, puts: object) -> int | None:
        self.asked += 1
        raise StoreUnavailable("away")


class HungStore:
    async def transact(self, guards: object, puts: object) -> int | None:
        await asyncio.sleep(3600)
        return None


async def test_followers_hear_what_a_member_tells_while_the_store_is_away() -> None:
    journal = Journal("a")
    ledger = Ledger(AwayStore(), "a")  # type: ignore[arg-type]
    handler = MemberHandler(
        CLUSTER, None, ledger, journal, None, tell=None, restart=None, configuring=None, alerting=None, replication=None
    )  # type: ignore[arg-type]
    lines = handler.events(Events(follow=True), ACTOR)
    heard: asyncio.Task[EventLine] = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)  # it waits now
    journal.told(Event(kind=EventKind.LEASE_LOST, subject="a"))
    assert (await asyncio.wait_for(heard, 1)).kind == EventKind.LEASE_LOST
    await lines.aclose()


async def test_news_between_a_look_and_the_wait_is_not_missed() -> None:
    journal = Journal("a")
    known = journal.stirred
    journal.stir()
    await asyncio.wait_for(journal.news(known, within_s=60), 1)


def test_where_the_file_differs_from_the_store_is_shown() -> None:
    core = Core(Identity(name="a", machine="m", process=1), CLUSTER, 0)
    reporter = Reporter(CLUSTER, core, _Store(), _Store(), LinkCounters())  # type: ignore[arg-type]
    settings = SettingsRecord(cluster_id="1", members=("a", "b", "x"), timing=PROFILES["fast"], term_ceiling_ms=1)
    other = structs.replace(SPEC, port=2)
    core.desk.view = View().merged(1, [("settings", settings, 1), ("specs/q", other, 1), ("specs/more", SPEC, 1)])
    shown = {(notice.kind, notice.subject) for notice in reporter.status().notices}
    assert shown >= {
        (NoticeKind.TIMING_DIFFERS, ""),
        *((NoticeKind.FILE_DIFFERS, name) for name in ("c", "x", "q", "more")),
    }


class _Store:
    """Facts of a store of which nothing is known."""

    leader = version = ""
    full = False
    silent = read_ms = None
    listed = 0
    strangers = ()


# ---------------------------------------------------------------- what goes with no change of the store


def scribe_of(store, journal: Journal) -> Scribe:
    return Scribe(CLUSTER.id, Ledger(store, "a"), store, journal, view=View, inbox=None)  # type: ignore[arg-type]


ORDERED = Event(kind=EventKind.ORDER_GIVEN, subject="q", fields={"order": "move", "by": "uid 0", "verdict": "done"})


async def test_an_order_is_in_the_log_of_all_when_its_teller_goes_on() -> None:
    journal, store = Journal("a"), MemoryStore()
    heard = []
    journal.on_told = lambda event, stored: heard.append((event.id, stored))
    await scribe_of(store, journal).tell(ORDERED)
    (logged,) = await Ledger(store, "b").history(0, 10)
    assert (logged.kind, logged.member, logged.fields) == (ORDERED.kind, "a", ORDERED.fields)
    assert heard == [(logged.id, True)]
    assert journal.local_since(0)[0] == []


async def test_an_order_that_the_store_does_not_take_is_told_by_its_member_alone() -> None:
    journal, store = Journal("a"), AwayStore()
    scribe = scribe_of(store, journal)
    for count in (1, 2):
        await scribe.tell(ORDERED)
        assert [line.kind for line in journal.local_since(0)[0]] == [EventKind.ORDER_GIVEN] * count
    assert store.asked == 1  # then it is known to be away, and nobody waits for it


async def test_an_order_whose_telling_hangs_with_the_store_holds_up_nobody(monkeypatch) -> None:
    monkeypatch.setattr("standfast.member.scribe.TOLD_WITHIN_S", 0.01)
    journal, store = Journal("a"), HungStore()
    scribe = scribe_of(store, journal)
    await asyncio.wait_for(scribe.tell(ORDERED), 1)
    assert journal.local_since(0)[0] == []
    await scribe.close()  # the member ends, and tells what it could not write
    assert [line.kind for line in journal.local_since(0)[0]] == [EventKind.ORDER_GIVEN]
