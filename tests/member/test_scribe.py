"""Between core and store: how many transactions go at once, and that each ends in one input."""

import asyncio
from typing import Any

from standfast.member.journal import Journal
from standfast.member.scribe import AT_ONCE, Scribe
from standfast.model.records import Outcome, Transaction
from standfast.model.view import View
from standfast.quorum import signals as sig
from standfast.stores.ledger import Settled

QUEUE_MANAGERS = 1000
NOTHING = Transaction(guards=(), puts=(), events=())


class SlowLedger:
    """Stands in for a store that answers when it is let."""

    def __init__(self) -> None:
        self.under_way = 0
        self.asked = 0
        self.let = asyncio.Event()

    async def transact(self, tx: Transaction) -> Settled:
        self.asked += 1
        self.under_way += 1
        try:
            await self.let.wait()
        finally:
            self.under_way -= 1
        return Settled(Outcome.REFUSED)


class Inbox:
    def __init__(self) -> None:
        self.tags: list[str] = []

    def give(self, given: Any) -> None:
        assert isinstance(given, sig.Transacted)
        self.tags.append(given.tag)

    def fail(self, error: BaseException) -> None:
        raise error


async def turns() -> None:
    """Let everything that can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


def scribe_of(ledger: SlowLedger, inbox: Inbox) -> Scribe:
    return Scribe("1", ledger, None, Journal("a"), view=View, inbox=inbox)  # type: ignore[arg-type]


async def test_of_a_thousand_placements_few_go_at_once_and_each_ends_once_in_their_order() -> None:
    """All at once they needed a connection each, missed their deadlines, and took the reads' connections with them."""
    ledger, inbox = SlowLedger(), Inbox()
    scribe = scribe_of(ledger, inbox)
    given = [f"place:q{n}" for n in range(QUEUE_MANAGERS)]
    for tag in given:
        scribe.transact(tag, NOTHING)
    await turns()
    assert ledger.under_way == AT_ONCE
    ledger.let.set()
    while len(inbox.tags) < QUEUE_MANAGERS:
        await turns()
    assert inbox.tags == given


async def test_what_is_decided_about_a_member_does_not_wait_behind_queue_managers() -> None:
    ledger, inbox = SlowLedger(), Inbox()
    scribe = scribe_of(ledger, inbox)
    for n in range(QUEUE_MANAGERS):
        scribe.transact(f"note:q{n}", NOTHING)
    await turns()
    before = ledger.asked
    for tag in ("doubt:b", "evict:b", "back:b", "join:a", "order:1"):
        scribe.transact(tag, NOTHING)
    await turns()
    assert ledger.asked == before + 5
    await scribe.close()
    assert not inbox.tags
