"""What each command asks of the member, and what it makes of the answer."""

import json

import pytest

from standfast.errors import NotSafe, Outdated, Refused, StoreUnavailable, UsageError
from standfast.member.control_protocol import (
    CanStop,
    Clear,
    Drain,
    EventLine,
    Events,
    Freeze,
    Move,
    OrderResult,
    SafetyReport,
    Thaw,
    Undrain,
)
from standfast.member.report import situation
from standfast.member.turns import takeovers
from standfast.model.events import CATALOGUE, EventKind
from standfast.quorum.can_stop import Cost, Situation, can_stop
from standfast.quorum.signals import Verdict

from .stand_in import NOW_MS, qm_report, status_report


def line(revision: int, kind: str, subject: str, **fields) -> EventLine:
    return EventLine(
        revision=revision, at_unix_ms=NOW_MS + 1000 * revision, teller="w", kind=kind, subject=subject, fields=fields
    )


LOG = [
    line(1, "cluster_founded", "shop"),
    line(2, "qm_assigned", "orders", owner="a", epoch=1, reason="placed", was=None),
    line(3, "qm_starting", "orders", owner="a", epoch=1),
    line(4, "qm_running", "orders", owner="a", epoch=1, claim_ms=3.5, start_ms=31.5),
    line(5, "member_in_doubt", "a", incarnation=3, reason="silent"),
    line(6, "member_evicted", "a", incarnation=3, reason="silent"),
    line(6, "qm_assigned", "orders", owner="b", epoch=2, reason="a_evicted", was="a"),
    line(7, "qm_running", "orders", owner="b", epoch=2, claim_ms=4.0, start_ms=42.0),
    line(8, "qm_failed", "orders", owner="b", epoch=2, code="exit_9"),
    line(9, "qm_running", "orders", owner="b", epoch=2, claim_ms=1.0, start_ms=40.0),
    line(10, "qm_assigned", "bills", owner="b", epoch=4, reason="placed", was=None),
    line(11, "qm_given_up", "bills", owner="b", epoch=4, failed_on="b"),
    line(12, "kind_of_tomorrow", "a"),
]


# ---------------------------------------------------------------- orders

ORDERS = [
    ("move orders b", Move("orders", "b")),
    ("drain b", Drain("b")),
    ("undrain b", Undrain("b")),
    ("clear b", Clear("b")),
    ("freeze", Freeze()),
    ("thaw", Thaw()),
]
ENDINGS = {
    Verdict.DONE: 0,
    Verdict.ALREADY_THERE: 0,
    Verdict.ALREADY_SO: 0,
    Verdict.NO_SUCH_QUEUE_MANAGER: UsageError.exit_code,
    Verdict.NO_SUCH_MEMBER: UsageError.exit_code,
    Verdict.NOT_A_DATA_MEMBER: UsageError.exit_code,
    Verdict.TARGET_NOT_ELIGIBLE: Refused.exit_code,
    Verdict.TARGET_QUARANTINED: Refused.exit_code,
    Verdict.TARGET_WITHOUT_HOP: Refused.exit_code,
    Verdict.TARGET_OUTDATED: Refused.exit_code,
    Verdict.NOT_THE_OWNER: Refused.exit_code,
    Verdict.OWN_COPY: UsageError.exit_code,
    Verdict.TARGET_APART: Refused.exit_code,
    Verdict.FROZEN: Refused.exit_code,
    Verdict.WRONG_CLUSTER: UsageError.exit_code,
    Verdict.OVERRIDDEN: Refused.exit_code,
    Verdict.MAJORITY_IN_TOUCH: Refused.exit_code,
    Verdict.ANOTHER_HEARD: Refused.exit_code,
    Verdict.RIVAL_LEASE: Refused.exit_code,
    Verdict.STILL_RUNNING: Refused.exit_code,
    Verdict.NO_OVERRIDE: Refused.exit_code,
    Verdict.MEMBER_HEARD: Refused.exit_code,
    Verdict.CHANGED_MEANWHILE: Refused.exit_code,
    Verdict.STORE_UNREACHABLE: StoreUnavailable.exit_code,
    Verdict.LAST_DATA_MEMBER: Refused.exit_code,
    Verdict.ALREADY_A_MEMBER: UsageError.exit_code,
    Verdict.ADDRESS_TAKEN: UsageError.exit_code,
    Verdict.NOT_EVICTED: Refused.exit_code,
    Verdict.NOT_GONE: Refused.exit_code,
    Verdict.NOT_SETTLED: Refused.exit_code,
    Verdict.NO_MAJORITY_THEN: Refused.exit_code,
    Verdict.TOO_FEW_MEMBERS: Refused.exit_code,
    Verdict.NOT_FOUNDED: Refused.exit_code,
    Verdict.OTHER_EDITION: Outdated.exit_code,
    Verdict.NOT_HALTED: Refused.exit_code,
    Verdict.TOO_MANY_CHANGES: UsageError.exit_code,
    Verdict.HALTED: Refused.exit_code,
    Verdict.MEMBERS_DIFFER: UsageError.exit_code,
}


@pytest.mark.parametrize(("words", "request_"), ORDERS)
def test_an_order_reaches_the_member_as_it_was_given(terminal, words, request_):
    terminal.member.answers[type(request_)] = OrderResult(Verdict.DONE)
    terminal.member.answers[CanStop] = SafetyReport(can_stop(HEALTHY, "b"))
    assert terminal(*words.split()).exit_code == 0
    assert request_ in terminal.member.asked


@pytest.mark.parametrize("verdict", Verdict)
def test_how_an_order_ended_is_the_exit_code(terminal, verdict):
    terminal.member.answers[Move] = OrderResult(verdict)
    result = terminal("move", "orders", "b", "--json")
    assert result.exit_code == ENDINGS[verdict]
    assert json.loads(result.stdout) == {"verdict": verdict}
    assert bool(result.stderr) is bool(ENDINGS[verdict])


# ---------------------------------------------------------------- can-stop


HEALTHY = situation(status_report())
FIVE = Situation(members=tuple("abcvw"), up=frozenset("abcvw"), able={"q": frozenset("abc")})
LONELY = Situation(members=tuple("abw"), up=frozenset("ab"), able={"q": frozenset("ab")})


STALE = situation(status_report(queue_managers=(qm_report("orders", outdated=("b",)),)))
"""Only a, which runs it, has all of its data."""


@pytest.mark.parametrize(
    ("seen", "more", "code"),
    [(HEALTHY, [], 0), (HEALTHY, ["--one-more"], 12), (FIVE, ["--one-more"], 0), (LONELY, [], 12)],
)
def test_can_stop_answers_with_its_exit_code(terminal, seen, more, code):
    assert NotSafe.exit_code == 12
    safety = can_stop(seen, "b")
    terminal.member.answers[CanStop] = SafetyReport(safety)
    result = terminal("can-stop", "b", "--json", *more)
    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert document["safe"] is safety.safe
    assert document["safety"]["survives_one_more"] is safety.survives_one_more
    assert terminal("can-stop", "b", *more).exit_code == code
    assert terminal.member.asked[-1] == CanStop("b")


def test_who_has_the_only_current_copy_must_not_be_stopped_and_who_has_the_outdated_one_may():
    costs = {name: [reason.cost for reason in can_stop(STALE, name).reasons] for name in "ab"}
    assert costs == {"a": [Cost.NOWHERE_TO_RUN], "b": []}


# ---------------------------------------------------------------- events


def test_events_are_one_json_object_a_line_with_their_severity(terminal):
    terminal.member.log = LOG
    found = [json.loads(text) for text in terminal("events", "--json").stdout.splitlines()]
    assert [entry["revision"] for entry in found] == [entry.revision for entry in LOG]
    for entry in found:
        known = CATALOGUE[EventKind(entry["kind"])].severity if entry["kind"] in set(EventKind) else "warning"
        assert entry["severity"] == known
    assert set(found[0]) == {"severity", "revision", "at_unix_ms", "teller", "kind", "subject", "fields"}


def test_events_since_a_revision_are_asked_for_by_it(terminal):
    terminal.member.log = LOG
    assert len(terminal("events", "--since", "9", "--json").stdout.splitlines()) == 3
    assert terminal.member.asked[-1] == Events(since=9)


def test_events_since_an_age_are_chosen_by_their_time(terminal, monkeypatch):
    terminal.member.log = LOG
    monkeypatch.setattr("time.time", lambda: NOW_MS / 1000 + 20)
    found = terminal("events", "--since", "15s", "--json").stdout.splitlines()
    assert [json.loads(text)["revision"] for text in found] == [5, 6, 6, 7, 8, 9, 10, 11, 12]


def test_in_a_pipe_an_event_is_one_line(terminal):
    terminal.member.log = LOG
    assert len(terminal("events").stdout.splitlines()) == len(LOG)


# ---------------------------------------------------------------- history


def test_takeovers_are_made_from_the_log():
    found = [(t.qm, t.was, t.owner, t.epoch, t.took_ms) for t in takeovers(LOG)]
    assert found == [
        ("orders", None, "a", 1, 35.0),
        ("orders", "a", "b", 2, 46.0),
        ("orders", "b", "b", 2, 41.0),
        ("bills", None, "b", 4, None),
    ]


def test_a_start_that_another_owner_overtook_never_ran():
    log = [LOG[1], line(5, "qm_assigned", "orders", owner="b", epoch=2, reason="x", was="a"), LOG[3], LOG[7]]
    assert [(t.epoch, t.took_ms) for t in takeovers(log)] == [(1, None), (2, 46.0)]


@pytest.mark.parametrize(
    ("order", "told"), [(("move", "orders"), "alice"), (("drain", "b"), "alice"), (("drain", "a"), ""), (None, "")]
)
def test_who_ordered_a_move_is_told_with_it(order, told):
    moved = [
        line(12, "qm_moving", "orders", owner="b", to="a", epoch=2, reason="x"),
        *([line(13, "order_given", order[1], order=order[0], by="alice", verdict="done")] if order else []),
        line(14, "qm_assigned", "orders", owner="a", epoch=3, reason="x", was="b"),
        line(15, "qm_running", "orders", owner="a", epoch=3, claim_ms=4.0, start_ms=42.0),
    ]
    evicted = [
        line(90, "qm_assigned", "orders", owner="b", epoch=4, reason="a_evicted", was="a"),
        line(91, "qm_running", "orders", owner="b", epoch=4, claim_ms=4.0, start_ms=42.0),
    ]
    found = takeovers([*LOG, *moved, *evicted])
    assert [(t.by, t.planned) for t in found][-2:] == [(told, True), ("", False)]
    assert not any(t.planned for t in found[:-2])


def test_history_as_json_can_be_narrowed(terminal):
    terminal.member.log = LOG
    found = json.loads(terminal("history", "-q", "orders", "--last", "2", "--json").stdout)
    assert [(t["owner"], t["took_ms"]) for t in found] == [("b", 46.0), ("b", 41.0)]


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("log", [LOG, []])
def test_history_fits(terminal, width, log):
    terminal.member.log = log
    result = terminal("history", width=width)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= width
