"""`status`: the verdict is right, and the screen fits."""

import json

import msgspec
import pytest

from standfast.cli.screen import Column, hanging, table
from standfast.cli.verdict import headline, member_words, qm_words, remarks
from standfast.cli.words import ISOLATED, UNSURE, Level, duration
from standfast.errors import Refused, Unreachable
from standfast.member.control_protocol import Hello, Status
from standfast.member.report import Notice, NoticeKind, StatusReport, StoreReport
from standfast.model.records import MemberState, Orders, Phase
from standfast.quorum.can_stop import Cost
from standfast.quorum.runs import RunState
from standfast.quorum.ties import Untied

from .stand_in import member_report, qm_report, status_report

A, B, W = status_report().members
SILENT_A = member_report("a", heard_ms=5_000)
ISOLATED_A = member_report("a", heard_ms=5_000, isolated_by=("b",), disk_ms=120)
EVICTED_A = member_report("a", heard_ms=60_000, state=MemberState.EVICTED, reason="silent", leased=False)
LONG = "x" * 20 + "-" + "y" * 20

BUSY = status_report(
    members=(EVICTED_A, B, W),
    queue_managers=(
        qm_report("orders", "b", phase=Phase.STARTING, local=RunState.LAUNCHING, reason="a_evicted", target="a"),
        qm_report("bills", "b", kind="mosquitto", durability="kernel"),
        qm_report("q3", None, phase=Phase.GIVEN_UP, failed_on=("a", "b"), address="", since_unix_ms=None),
    ),
    orders=Orders(frozen=True, drained=("a",)),
    notices=tuple(Notice(kind, "", "detail") for kind in NoticeKind),
    store=StoreReport(reachable=False),
)


# ---------------------------------------------------------------- the verdict


@pytest.mark.parametrize(
    ("report", "level", "up", "spare"),
    [
        (status_report(), Level.OK, 3, True),
        (status_report(members=(SILENT_A, B, W)), Level.WARNING, 2, False),
        (status_report(members=(ISOLATED_A, B, W)), Level.WARNING, 2, False),
        (status_report(members=(EVICTED_A, B, W)), Level.WARNING, 2, False),
        (status_report(members=(SILENT_A, B, member_report("w", heard_ms=None))), Level.PROBLEM, 1, False),
        (status_report(members=(A, member_report("b", heard_ms=0, unfit=("*",)), W)), Level.WARNING, 3, False),
        (status_report(queue_managers=(qm_report("orders", phase=Phase.STARTING),)), Level.PROBLEM, 3, True),
        (status_report(queue_managers=()), Level.OK, 3, True),
        (status_report(members=(member_report("wa"), B, W)), Level.WARNING, 3, False),
        (status_report(queue_managers=(qm_report("orders", failed_on=("b",)),)), Level.WARNING, 3, False),
        (status_report(orders=Orders(frozen=True)), Level.WARNING, 3, False),
        (status_report(orders=Orders(drained=("b",))), Level.WARNING, 3, False),
        (status_report(store=StoreReport(reachable=False)), Level.WARNING, 3, True),
        (status_report(notices=(Notice(NoticeKind.BAD_KEY, "", "12"),)), Level.WARNING, 3, True),
        (status_report(notices=(Notice(NoticeKind.STORE_VERSION, "etcd", "3.4.23"),)), Level.OK, 3, True),
        (status_report(store=StoreReport(reachable=True, serving=("a", "b", "w"))), Level.OK, 3, True),
        (status_report(store=StoreReport(reachable=True, serving=("b", "w"))), Level.WARNING, 3, False),
        (status_report(members=tuple(member_report(name, state=None) for name in "abw")), Level.PROBLEM, 0, False),
        (BUSY, Level.PROBLEM, 2, False),
    ],
)
def test_the_verdict(report, level, up, spare):
    found = headline(report)
    assert (found.level, found.up, found.could_lose_one_more) == (level, up, spare)


def test_the_verdict_names_whom_the_cluster_must_not_lose():
    found = headline(status_report(members=(SILENT_A, B, W)))
    assert {(point.subject, point.cost) for point in found.weak_points} == {
        ("b", Cost.NO_MAJORITY),
        ("w", Cost.NO_MAJORITY),
    }


@pytest.mark.parametrize("state", [MemberState.ONLINE, MemberState.IN_DOUBT])
def test_a_member_that_lives_by_the_disk_alone_is_told_from_a_silent_one(state: MemberState):
    isolated = msgspec.structs.replace(ISOLATED_A, state=state)
    assert member_words(status_report(), isolated) is ISOLATED
    silent = msgspec.structs.replace(isolated, isolated_by=())
    assert member_words(status_report(), silent) is not ISOLATED


def test_everything_that_is_not_well_is_remarked_on_with_a_next_step():
    found = list(remarks(BUSY))
    assert {r.subject for r in found} >= {"orders", "q3", "a", "store", "cluster"}
    assert len(found) == 2 + 1 + 1 + 1 + 1 + len(NoticeKind)
    assert all(r.action for r in found)


def test_a_group_that_is_not_held_is_remarked_on_while_it_is_so():
    near = qm_report("orders", "a", apart="hubs", untied=Untied.APART)
    beside, away = (qm_report("bills", owner, apart="hubs") for owner in "ab")
    down = qm_report("orders", None, phase=Phase.UNPLACED, rivals=("bills",), untied=Untied.WAITS_APART)
    for queue_managers, level in (((near, beside), Level.WARNING), ((near, away), None), ((down, away), Level.PROBLEM)):
        found = [r for r in remarks(status_report(queue_managers=queue_managers)) if r.subject == "orders"]
        assert [r.level for r in found] == ([] if level is None else [level])
        assert all("bills" in r.meaning and r.action for r in found)


def test_what_a_silent_owner_runs_is_not_sure():
    report = status_report(members=(SILENT_A, B, W))
    assert qm_words(report, report.queue_managers[0]) is UNSURE
    assert headline(report).running == 0
    assert headline(status_report()).running == 1


def test_a_thousand_queue_managers_have_a_short_verdict():
    names = [f"qm-{number}" for number in range(1_000)]
    down = {"qm-7": Phase.STARTING, "qm-8": Phase.GIVEN_UP}
    report = status_report(queue_managers=tuple(qm_report(n, phase=down.get(n, Phase.RUNNING)) for n in names))
    found = headline(report)
    assert found.running == 998
    assert len(found.sentence) < 200


def test_a_member_that_is_online_in_the_store_but_not_heard_is_not_shown_as_online():
    report = status_report(members=(SILENT_A, B, W))
    assert member_words(report, SILENT_A).level is Level.WARNING


# ---------------------------------------------------------------- the screen


def words_of(line: str) -> list[str]:
    return line.split()


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("report", [status_report(), BUSY], ids=["well", "busy"])
def test_the_screen_fits(terminal, report, width):
    terminal.member.answers[Status] = report
    result = terminal("status", width=width)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= width
    assert "\x1b" not in result.stdout


def test_a_healthy_cluster_is_one_look(terminal):
    lines = terminal("status").stdout.splitlines()
    assert words_of(lines[0])[0] == Level.OK
    assert len(lines) <= 14


def test_columns_line_up_and_long_names_are_never_cut(terminal):
    members = (msgspec.structs.replace(A, name=LONG), B, W)
    terminal.member.answers[Status] = status_report(
        members=members, queue_managers=(qm_report(LONG, LONG, phase=Phase.STARTING), qm_report("orders"))
    )
    lines = terminal("status").stdout.splitlines()
    (head,) = (line for line in lines if line.startswith("MEMBER"))
    rows = [line for line in lines if words_of(line)[1:2] in (["data"], ["witness"])]
    assert len(rows) == 3
    assert {row.index(word) for row in rows for word in ("data", "witness") if word in row} == {head.index("ROLE")}
    assert sum(line.startswith(LONG + " ") for line in lines) == 2


def test_json_has_the_report_and_the_verdict(terminal):
    terminal.member.answers[Status] = BUSY
    document = json.loads(terminal("status", "--json").stdout)
    assert document["verdict"]["level"] == "PROBLEM"
    assert document["verdict"]["weak_points"][0]["cost"] == "no_majority"
    assert msgspec.convert(document, StatusReport) == BUSY


def test_watch_and_json_together_are_refused(terminal):
    assert terminal("status", "--watch", "--json").exit_code == 2


# ---------------------------------------------------------------- the table maker


def test_spare_columns_go_first_and_names_never():
    columns = (Column("NAME"), Column("KIND", spare=2), Column("SINCE", spare=1))
    rows = [["n" * 20, "k" * 20, "s" * 20]]
    shown = {width: table(columns, rows, width)[1].plain for width in (64, 63, 41, 10)}
    assert shown == {
        64: "n" * 20 + "  " + "k" * 20 + "  " + "s" * 20,
        63: "n" * 20 + "  " + "s" * 20,
        41: "n" * 20,
        10: "n" * 20,
    }


def test_a_note_without_room_beside_goes_below():
    columns = (Column("NAME"), Column("NOTE", note=True))
    lines = [line.plain for line in table(columns, [["n" * 20, "some words"], ["m", ""]], 30)]
    assert lines == ["NAME", "n" * 20, "    some words", "m"]


def test_sentences_hang_below_their_first_word_and_names_are_not_broken_at_dashes():
    lines = [line.plain for line in hanging("WARNING", "one two-three-four five", 20)]
    assert lines == ["WARNING  one", "         two-three-four", "         five"]


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (12_300, "12 s"),
        (60_000, "1 min"),
        (192_000, "3 min 12 s"),
        (3_612_000, "1 h"),
        (86_400_000, "1 d"),
        (90_061_000, "1 d 1 h"),
    ],
)
def test_durations(milliseconds, words):
    assert duration(milliseconds) == words


# ---------------------------------------------------------------- whom to ask


def test_without_a_member_it_is_unreachable(terminal, tmp_path):
    assert terminal("status", "--socket", str(tmp_path / "none.sock")).exit_code == Unreachable.exit_code


def test_a_refusal_is_its_exit_code_and_no_traceback(terminal):
    terminal.member.answers[Hello] = Refused("no")
    result = terminal("status")
    assert (result.exit_code, result.stdout) == (Refused.exit_code, "")
    assert "Traceback" not in result.stderr


def test_the_only_socket_is_found_and_several_must_be_told_apart(terminal, monkeypatch):
    monkeypatch.setattr("standfast.cli.asking.RUN_DIR", terminal.socket.parent)
    assert terminal("status", asking=False).exit_code == 0
    (terminal.socket.parent / "a.sock").touch()
    assert terminal("status", asking=False).exit_code == Unreachable.exit_code
    assert terminal("status", "--member", "b", asking=False).exit_code == 0
    terminal.socket.unlink()
    (terminal.socket.parent / "a.sock").unlink()
    assert terminal("status", asking=False).exit_code == Unreachable.exit_code
