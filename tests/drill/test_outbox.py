"""What a producer sends, and when: no message forgotten, no broker buried under retries."""

from standfast.drill.outbox import Outbox

RETRY, SILENCE = 20, 250


def outbox(window: int = 256) -> Outbox:
    box = Outbox(retry_ns=RETRY, silence_ns=SILENCE, window=window)
    box.connected(0)
    return box


def send_due(box: Outbox, now: int) -> list[int]:
    due = box.due(now)
    for sequence in due:
        box.sent(sequence, now)
    return due


def test_a_message_is_sent_once_while_its_answer_may_still_come() -> None:
    box = outbox()
    box.create(0)
    assert send_due(box, 0) == [0]
    assert send_due(box, RETRY - 1) == []


def test_a_message_is_sent_again_when_the_connection_is_silent() -> None:
    box = outbox()
    box.create(0)
    send_due(box, 0)
    assert send_due(box, RETRY) == [0]
    assert box.messages[0].attempts == 2


def test_only_the_oldest_message_is_sent_again_on_a_silent_connection() -> None:
    box = outbox()
    box.create(0)
    box.create(0)
    send_due(box, 0)
    assert send_due(box, RETRY) == [0]


def test_a_message_is_not_sent_again_while_others_are_answered() -> None:
    box = outbox()
    box.create(0)
    box.create(0)
    send_due(box, 0)
    box.answered(1, RETRY - 1, accepted=True)
    assert send_due(box, RETRY) == []


def test_a_refused_message_is_sent_again_after_the_retry_time() -> None:
    box = outbox()
    box.create(0)
    send_due(box, 0)
    assert box.answered(0, 5, accepted=False) is False
    assert send_due(box, 5 + RETRY - 1) == []
    assert send_due(box, 5 + RETRY) == [0]


def test_a_new_connection_gets_everything_that_waits_at_once_oldest_first() -> None:
    box = outbox()
    for now in range(3):
        box.create(now)
        send_due(box, now)
    box.answered(1, 4, accepted=True)
    box.connected(5)
    assert send_due(box, 5) == [0, 2]


def test_only_the_first_acknowledgement_counts() -> None:
    box = outbox()
    box.create(0)
    send_due(box, 0)
    send_due(box, RETRY)
    assert box.answered(0, 30, accepted=True) is True
    assert box.answered(0, 31, accepted=True) is False
    assert (box.messages[0].acked_ns, box.waiting) == (30, 0)


def test_a_broker_that_acknowledges_nothing_gets_a_few_messages_only() -> None:
    box = outbox()
    for _ in range(100):
        box.create(0)
    assert send_due(box, 0) == list(range(8))
    assert send_due(box, SILENCE - 1) == []


def test_each_acknowledgement_makes_room_for_two_until_the_window_is_reached() -> None:
    box = outbox(window=10)
    for _ in range(100):
        box.create(0)
    send_due(box, 0)
    box.answered(0, 1, accepted=True)
    assert send_due(box, 1) == [8, 9]
    box.answered(1, 2, accepted=True)
    assert send_due(box, 2) == [10, 11]
    box.answered(2, 3, accepted=True)
    assert send_due(box, 3) == [12]


def test_who_gave_up_a_silent_connection_is_more_patient_with_the_next_until_it_acknowledges() -> None:
    box = outbox()
    box.create(0)
    send_due(box, 0)
    box.answered(0, 0, accepted=True)
    box.create(0)
    for patience in (SILENCE, 2 * SILENCE, 4 * SILENCE):
        box.connected(0)
        send_due(box, 0)
        assert not box.dead(patience - 1)
        assert box.dead(patience)
    box.answered(1, 0, accepted=True)
    box.create(0)
    box.connected(0)
    send_due(box, 0)
    assert box.dead(SILENCE)


def test_a_connection_that_owes_answers_for_too_long_is_dead_and_an_idle_one_is_not() -> None:
    box = outbox()
    assert not box.dead(10 * SILENCE)
    box.create(10 * SILENCE)
    send_due(box, 10 * SILENCE)
    assert not box.dead(11 * SILENCE - 1)
    assert box.dead(11 * SILENCE)
