"""Outages follow from the acknowledgements alone, and each is blamed on the fault before it."""

from standfast.drill.outage import Fault, Outage, impacts, outages
from standfast.drill.record import Sent

SHORTEST = 30


def life(*rows: tuple[int, int]) -> list[Sent]:
    """Messages as (created, acknowledged); 0 for never."""
    return [Sent(created, created, acked, 1) for created, acked in rows]


def test_an_outage_runs_from_the_first_message_that_waited_to_the_next_acknowledgement() -> None:
    messages = life((10, 11), (15, 16), (20, 120), (25, 121), (125, 126))
    assert outages(messages, 0, 130, SHORTEST) == [Outage(20, 120)]


def test_a_pause_of_the_load_itself_is_no_outage() -> None:
    assert outages(life((10, 11), (500, 501)), 0, 510, SHORTEST) == []


def test_one_message_with_bad_luck_beside_others_that_pass_is_no_outage() -> None:
    messages = life((10, 200), *((now, now + 1) for now in range(15, 220, 5)))
    assert outages(messages, 0, 220, SHORTEST) == []


def test_a_message_under_way_when_the_service_died_does_not_backdate_the_outage() -> None:
    assert outages(life((10, 21), (12, 121)), 0, 130, SHORTEST) == [Outage(21, 121)]


def test_the_order_in_which_waiting_messages_get_through_does_not_matter() -> None:
    assert outages(life((10, 11), (25, 120), (20, 125)), 0, 130, SHORTEST) == [Outage(20, 120)]


def test_a_service_that_never_came_back_is_an_outage_without_end() -> None:
    assert outages(life((10, 11), (20, 0), (25, 0)), 0, 200, SHORTEST) == [Outage(20, 200, ended=False)]


def test_a_service_that_was_never_there_is_one_too() -> None:
    assert outages(life((10, 0)), 0, 200, SHORTEST) == [Outage(10, 200, ended=False)]


def test_an_outage_is_blamed_on_the_last_fault_before_it() -> None:
    first, second = Fault(label="first", at_ns=10), Fault(label="second", at_ns=300)
    got = impacts([first, second], [Outage(20, 120), Outage(310, 400)])
    assert [one.longest_ns for one in got] == [100, 90]


def test_a_return_in_the_middle_of_an_outage_answers_for_the_rest_of_it() -> None:
    got = impacts([Fault(label="death", at_ns=10), Fault(label="return", at_ns=80)], [Outage(20, 120)])
    assert [one.longest_ns for one in got] == [100, 40]


def test_a_fault_that_nobody_noticed_has_no_outage() -> None:
    (got,) = impacts([Fault(label="witness", at_ns=500)], [Outage(20, 120)])
    assert (got.longest_ns, got.ended, got.outages) == (0, True, ())


def test_the_length_of_an_outage_is_split_by_the_marks_of_the_cluster() -> None:
    fault = Fault(label="kill", at_ns=10, detected_ns=60, decided_ns=65, running_ns=90)
    (got,) = impacts([fault], [Outage(20, 120)])
    assert (got.detect_ns, got.decide_ns, got.start_ns, got.client_ns) == (50, 5, 25, 30)


def test_a_hiccup_after_the_return_is_told_apart_from_the_outage() -> None:
    fault = Fault(label="kill", at_ns=10, detected_ns=60, decided_ns=65, running_ns=90)
    (got,) = impacts([fault], [Outage(20, 120), Outage(150, 190)])
    assert (got.longest_ns, got.hiccups_ns, got.client_ns) == (100, 40, 30)


def test_clients_may_have_it_back_before_its_owner_has_noted_that() -> None:
    fault = Fault(label="kill", at_ns=10, detected_ns=60, decided_ns=65, running_ns=121)
    assert impacts([fault], [Outage(20, 120)])[0].client_ns == 0


def test_a_mark_that_is_missing_leaves_its_parts_unknown() -> None:
    (got,) = impacts([Fault(label="kill", at_ns=10, detected_ns=60)], [Outage(20, 120)])
    assert (got.detect_ns, got.decide_ns, got.start_ns, got.client_ns) == (50, None, None, None)
