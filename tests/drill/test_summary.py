"""The audit and the result: nothing lost is overlooked, and nothing unproven is called kept."""

import msgspec
import pytest
from msgspec import structs

from standfast.drill.audit import Verdict, audit
from standfast.drill.identity import Identity, decode, encode
from standfast.drill.record import LoadRecord
from standfast.drill.result import DrillResult
from standfast.drill.summary import summarise
from standfast.ports import Durability
from tests.drill.example import AWAY, FAULTS, circumstances, load


def with_stored(record: LoadRecord, **changes: int) -> LoadRecord:
    """The record with other numbers of stored copies, by sequence number ("_17=0")."""
    assert record.stored is not None
    stored = [list(record.stored[0])]
    for sequence, copies in changes.items():
        stored[0][int(sequence[1:])] = copies
    return structs.replace(record, stored=stored)


def test_a_message_acknowledged_and_not_stored_is_lost() -> None:
    got = audit(with_stored(load(1000, []), _17=0), Durability.SYNCED)
    assert (got.lost, got.verdict) == ((Identity(0, 17),), Verdict.BROKEN)


def test_messages_beyond_the_last_one_stored_are_lost_too() -> None:
    record = load(1000, [])
    assert len(audit(structs.replace(record, stored=[]), Durability.SYNCED).lost) == 200


def test_a_message_neither_acknowledged_nor_stored_is_not_lost() -> None:
    record = with_stored(load(1000, []), _17=0)
    record.sent[0][17].acked_ns = 0
    got = audit(record, Durability.SYNCED)
    assert (got.lost, got.verdict) == ((), Verdict.KEPT)


def test_a_message_stored_twice_is_doubled_which_breaks_nothing() -> None:
    got = audit(with_stored(load(1000, []), _17=2), Durability.SYNCED)
    assert (got.doubled, got.verdict) == ((Identity(0, 17),), Verdict.KEPT)


@pytest.mark.parametrize("copies", [0, 1])
def test_a_driver_that_promises_nothing_keeps_nothing(copies: int) -> None:
    got = audit(with_stored(load(1000, []), _17=copies), Durability.NONE)
    assert (len(got.lost), got.verdict) == (1 - copies, Verdict.NO_PROMISE)


def test_what_could_not_be_read_back_is_not_called_kept() -> None:
    record = structs.replace(load(1000, []), stored=None, unreadable="gone")
    assert audit(record, Durability.SYNCED).verdict is Verdict.UNPROVEN


def test_a_run_without_an_acknowledgement_proves_nothing() -> None:
    assert audit(load(0, []), Durability.SYNCED).verdict is Verdict.UNPROVEN


def test_any_other_breach_breaks_the_promise_of_the_drill() -> None:
    got = summarise(load(1000, []), circumstances(faults=(), breaches=("two owners",)))
    assert got.verdict is Verdict.BROKEN


def test_each_fault_has_its_outage_and_its_messages() -> None:
    record = with_stored(load(80_000, AWAY), _2000=0, _6050=2, _15999=0)
    got = summarise(record, circumstances())
    assert [row.outage_ms for row in got.faults] == [930, 0, 120, 860, 210, 0, 6400, 2400]
    # 2000 was acknowledged before the first fault, 15999 after the last one, 6050 after the kill of the queue manager.
    assert [row.lost for row in got.faults] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert [row.doubled for row in got.faults] == [0, 0, 1, 0, 0, 0, 0, 0]
    before_the_first = 12_000 // 5
    assert sum(row.acked for row in got.faults) == got.totals.acked - before_the_first


def test_the_parts_of_an_outage_add_up() -> None:
    first = summarise(load(80_000, AWAY), circumstances()).faults[0]
    parts = (first.detect_ms, first.decide_ms, first.start_ms, first.client_ms)
    assert sum(part for part in parts if part is not None) == pytest.approx(first.outage_ms)


def test_rates_show_every_acknowledgement_of_every_whole_step() -> None:
    got = summarise(load(80_000, AWAY), circumstances())
    assert sum(got.rates) == got.totals.acked
    assert set(got.rates[665:720]) == {0}


def test_a_result_is_a_json_file() -> None:
    got = summarise(load(80_000, AWAY), circumstances())
    assert msgspec.json.decode(msgspec.json.encode(got), type=DrillResult) == got
    assert len(got.faults) == len(FAULTS)


@pytest.mark.parametrize("payload", [b"", b"hello", encode("other", Identity(0, 1), 50), b"standfast-drill run x y "])
def test_a_message_of_another_run_is_not_counted(payload: bytes) -> None:
    assert decode("run", payload) is None


def test_a_message_keeps_its_identity_whatever_its_size() -> None:
    for size in (1, 40, 5000):
        assert decode("run", encode("run", Identity(3, 12345), size)) == Identity(3, 12345)
