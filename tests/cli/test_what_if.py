"""`standfast what-if` and `standfast snapshot`: what they ask, what they print, and their exit codes."""

import json

import msgspec
import pytest
from msgspec import structs

from standfast.cli import what_if as module
from standfast.cli.story import NAMED, SENTENCES, STOPS, paragraphs
from standfast.cli.what_if import supposition
from standfast.errors import NotSafe, PromiseBroken, UsageError
from standfast.member.control_protocol import TakeSnapshot
from standfast.member.snapshot import read_snapshot
from standfast.model.events import EventKind
from standfast.model.records import Orders
from standfast.quorum.runs import StopReason
from standfast.sim.chronicle import Deed, Line
from standfast.sim.prospect import Supposition
from standfast.sim.what_if import what_if
from standfast.sim.world import Broken
from tests.snapshots import cluster_of, ordered, snapshot_of

THREE = cluster_of("abw")
KNOWN = snapshot_of(THREE)


def of_cities():
    cities = ("berlin", "athens", "oslo")
    members = tuple(structs.replace(m, name=name) for m, name in zip(THREE.members, cities, strict=True))
    return structs.replace(THREE, members=members)


@pytest.fixture
def asked(terminal):
    """A terminal whose member answers with KNOWN."""
    terminal.member.answers[TakeSnapshot] = KNOWN
    return terminal


def prospect_of(result) -> dict:
    return json.loads(result.stdout)


# ---------------------------------------------------------------- the question


def test_names_and_cuts_become_members_and_pairs():
    read = supposition(["a", "b,a"], ["a:b", "w>a"], [], THREE)
    assert read == Supposition(lose=("a", "b"), cut=(("a", "b"), ("b", "a"), ("w", "a")))
    assert set(supposition([], ["a,b:w"], [], THREE).cut) == {("a", "w"), ("w", "a"), ("b", "w"), ("w", "b")}
    assert supposition([], ["a>b", "a:b"], [], THREE).cut == (("a", "b"), ("b", "a"))


@pytest.mark.parametrize("cut", ["a", "a-b", "a:", ":a", "a:b:w", "a<b", "a:a", "a,b:b", "a:x", ""])
def test_a_cut_that_means_nothing_is_refused(cut):
    with pytest.raises(UsageError):
        supposition([], [cut], [], THREE)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="berlin"):
        supposition(["belrin"], [], [], of_cities())


@pytest.mark.parametrize("words", [("--lose", "x"), ("--cut", "a:x"), ("--cut", "a-b"), ("--snapshot", "/missing")])
def test_a_bad_question_has_the_exit_code_for_it(asked, words):
    assert asked("what-if", *words).exit_code == UsageError.exit_code


# ---------------------------------------------------------------- the answer


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        ("", 0),
        ("--lose a", 0),
        ("--lose w", 0),
        ("--cut a:b", 0),
        ("--cut a:b,w", 0),
        ("--lose a --lose w", NotSafe.exit_code),
        ("--lose a --cut b:w", NotSafe.exit_code),
    ],
)
def test_the_exit_code_says_whether_everything_runs(asked, words, exit_code):
    shown, data = asked("what-if", *words.split()), asked("what-if", "--json", *words.split())
    assert shown.exit_code == data.exit_code == exit_code
    assert prospect_of(data)["all_run"] is (exit_code == 0)
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_the_data_are_the_answer_of_the_play(asked):
    answer = prospect_of(asked("what-if", "--lose", "a", "--json"))
    supposed = Supposition(lose=("a",))
    assert answer["prospect"] == json.loads(msgspec.json.encode(what_if(KNOWN, supposed)))
    assert answer["supposed"] == {"lose": ["a"], "cut": [], "fail_hop": []}
    assert answer["taken_by"] == KNOWN.taken_by
    assert answer["survives_one_more"] is False


def test_the_story_is_shown_with_its_times_and_the_end(asked):
    shown = asked("what-if", "--cut", "a:b,w").stdout
    evicted = next(
        line for line in what_if(KNOWN, supposition([], ["a:b,w"], [], THREE)).story if line.fields.get("proof")
    )
    assert f"after {evicted.at_ms:.0f} ms" in shown
    assert ["orders", "running", "b", "a", "8"] in [line.split() for line in shown.splitlines()]


def test_a_member_that_does_not_reach_the_store_is_believed_with_caution(asked):
    plain = asked("what-if").stdout
    asked.member.answers[TakeSnapshot] = snapshot_of(cluster_of("abw"), store_reachable=False)
    assert asked("what-if").stdout.count("WARNING") == plain.count("WARNING") + 1


def test_a_play_that_breaks_a_promise_is_told_as_such(asked, monkeypatch):
    def breaks(*_):
        raise Broken("one owner", "two of them")

    monkeypatch.setattr(module, "play", breaks)
    assert asked("what-if").exit_code == PromiseBroken.exit_code


# ---------------------------------------------------------------- files


def test_a_snapshot_goes_through_a_file_without_a_member(asked, tmp_path):
    file = tmp_path / "monday.json"
    file.write_text(asked("snapshot").stdout)
    assert read_snapshot(file.read_bytes(), "monday") == KNOWN
    live = asked("what-if", "--lose", "a", "--json")
    saved = asked("what-if", "--lose", "a", "--json", "--snapshot", str(file), asking=False)
    assert saved.exit_code == 0
    assert saved.stdout == live.stdout


@pytest.mark.parametrize("text", [b"", b"{}", b'{"is": "status", "format": 1, "made_by": "0"}'])
def test_a_file_that_is_no_snapshot_has_the_exit_code_for_it(asked, tmp_path, text):
    file = tmp_path / "other.json"
    file.write_bytes(text)
    result = asked("what-if", "--snapshot", str(file))
    assert result.exit_code == UsageError.exit_code
    assert str(file) in result.stderr


# ---------------------------------------------------------------- the words


def test_every_deed_and_every_reason_to_stop_has_words():
    assert set(SENTENCES) >= set(Deed) - {Deed.CUT}
    assert set(STOPS) == set(StopReason)


def test_every_event_can_be_told():
    lines = [Line(at_ms=0, kind=kind, subject="subject", by="by", fields=FIELDS) for kind in EventKind]
    for line in lines:
        for _, sentence in paragraphs([line]):
            assert "subject" in sentence
            assert "{" not in sentence


FIELDS = {"reason": "r", "owner": "b", "seen_by": "b", "to": "b", "epoch": 1, "group": "g", "rule": "r", "other": "q"}


def test_what_happens_together_is_told_together_and_many_are_counted():
    lines = [Line(at_ms=i / 100, kind=Deed.LOST, subject=f"m{i}") for i in range(NAMED + 4)]
    later = Line(at_ms=500, kind=EventKind.LINK_LOST, subject="m1", by="b", fields={"seen_by": "b"})
    also = Line(at_ms=501, kind=EventKind.LINK_LOST, subject="m1", by="c", fields={"seen_by": "c"})
    (first, sentence), (second, links) = paragraphs([*lines, later, also])
    assert (first, second) == (0, 500)
    assert "m0" in sentence
    assert str(len(lines) - NAMED) in sentence
    assert "b, c" in links
    assert len(list(paragraphs([*lines, later, also], lost=["m1"]))) == 1


def test_a_frozen_cluster_is_no_good_answer(asked):
    asked.member.answers[TakeSnapshot] = ordered(KNOWN, Orders(frozen=True))
    assert asked("what-if", "--lose", "a").exit_code == NotSafe.exit_code
