"""`standfast watch`: whatever the cluster and the terminal are like, it fits, says it in words, and leaves no trace."""

import os
import pty
import select
import subprocess
import sys
import termios
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.cli.status import screen
from standfast.cli.watch_view import Seen, view
from standfast.member.control_protocol import EventLine
from standfast.member.report import CopyReport
from standfast.model.events import EventKind
from standfast.model.records import MemberState, Phase

from .stand_in import NOW_MS, member_report, qm_report, status_report


def line(kind: EventKind, subject: str, at_ms: int = 0, **fields) -> EventLine:
    return EventLine(revision=1, at_unix_ms=NOW_MS + at_ms, teller="w", kind=kind, subject=subject, fields=fields)


TAKEOVER = (
    line(EventKind.MEMBER_IN_DOUBT, "a"),
    line(EventKind.MEMBER_EVICTED, "a", 1500),
    line(EventKind.QM_ASSIGNED, "orders", 1500, owner="b", was="a", epoch=8, reason="a_evicted"),
    line(EventKind.QM_RUNNING, "orders", 1600, owner="b", epoch=8, claim_ms=20.0, start_ms=80.0),
)
DEAD = member_report("a", state=MemberState.EVICTED, heard_ms=9_000, hears=None, leased=False)
LIVE = (
    member_report("b", heard_ms=0, lease_left_ms=2_312, hears=("b", "w")),
    member_report("w", coordinator=True, heard_ms=87, hears=("b", "w")),
)


def words(seen: Seen, width: int = 80, height: int = 24) -> list[str]:
    return view(seen, width, height).plain.split("\n")


@settings(max_examples=60)
@given(st.integers(20, 220), st.integers(6, 70), st.integers(0, 30), st.booleans(), st.sampled_from(["", "away " * 30]))
def test_it_fits_every_terminal(width, height, count, dead, trouble):
    qms = tuple(qm_report(f"queue-manager-{number}") for number in range(count))
    members = (DEAD if dead else member_report("a", hears=("a", "b", "w")), *LIVE)
    shown = words(Seen(status_report(queue_managers=qms, members=members), TAKEOVER * 9, trouble), width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width


def test_without_colour_it_says_who_is_gone_who_hears_whom_and_what_is_left_of_leases():
    down = qm_report("bills", owner=None, phase=Phase.UNPLACED, address="")
    report = status_report(members=(DEAD, *LIVE), queue_managers=(down, qm_report("orders", owner="b")))
    shown = words(Seen(report, TAKEOVER, ""), 120, 40)
    assert shown[0].startswith("PROBLEM")
    lease = next(one for one in shown if one.startswith("b ") and "[" in one)
    assert lease[lease.index("[") : lease.index("]")].count("#") > 12
    gone = next(one for one in shown if one.startswith("a ") and "[" in one)
    assert "#" not in gone[gone.index("[") : gone.index("]")]
    hearing = {one.split()[0]: one.split()[1:4] for one in shown[[one[:5] for one in shown].index("HEARS") + 1 :][:3]}
    assert hearing == {"a": [".", "?", "?"], "b": ["NO", ".", "ok"], "w": ["NO", "ok", "."]}
    order = [next(number for number, one in enumerate(shown) if one.startswith(name)) for name in ("bills", "orders")]
    assert order == sorted(order)


def test_a_takeover_is_drawn_to_scale():
    shown = words(Seen(status_report(), TAKEOVER, ""))
    drawn = next(one for one in shown if "a -> b" in one)
    assert drawn.count("=") * 10 < drawn.replace("->", "").count("-")


def test_on_a_terminal_it_renews_itself_and_ends_with_q_as_if_it_had_never_been(terminal):
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-m", "standfast", "watch", "--socket", str(terminal.socket)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    )
    told, until_s = b"", time.monotonic() + 20
    while told.count(b"orders") < 6 and time.monotonic() < until_s:  # several screens
        if select.select([ours], [], [], 0.2)[0]:
            told += os.read(ours, 65536)
    os.write(ours, b"q")
    while process.poll() is None and time.monotonic() < until_s:
        if select.select([ours], [], [], 0.05)[0]:
            told += os.read(ours, 65536)
    assert process.returncode == 0
    assert b"\x1b[?1049h" in told
    assert b"\x1b[?1049l" in told  # the screen of before is back
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_in_a_pipe_it_says_what_to_use_instead(terminal):
    assert terminal("watch").exit_code == 2


def test_copies_of_replicated_data_are_told_as_far_as_the_asked_member_knows():
    resync = CopyReport(situation="resync", percent=43.2)
    for copy, outdated, said in (
        (None, (), "no copy is outdated"),
        (None, ("b",), "outdated on b"),
        (resync, ("b",), "resync 43 %, as b sees it; outdated on b"),
    ):
        report = status_report(queue_managers=(qm_report("orders", replicated=True, copy=copy, outdated=outdated),))
        assert f"copies: {said}" in " ".join(" ".join(words(Seen(report, (), ""), 160, 40)).split())
        assert f"copies: {said}" in " ".join(" ".join(line.plain for line in screen(report, 160)).split())
    assert "copies" not in "".join(words(Seen(status_report(), (), ""), 160, 40))
