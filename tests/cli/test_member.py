"""`standfast member`: keys for one more machine; orders to add, remove and replace."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from standfast.cli.verdict import remarks
from standfast.errors import KeyFileError, Refused, UsageError
from standfast.member.control_protocol import AddMember, OrderResult, RemoveMember, ReplaceMember
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.quorum.commands import Verdict
from standfast.trust import load_cluster_key, write_trust
from tests.cli.stand_in import member_report, status_report


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    members = tuple(MemberSpec(name=n, role=Role.DATA, addresses=(f"127.0.45.{i}",)) for i, n in enumerate("abw", 1))
    write_trust(tmp_path / "trust", Cluster(name="t", id="t-12345678", members=members))
    return tmp_path / "trust"


def test_keys_for_one_more_machine_lie_beside_the_others(terminal, trust):
    done = terminal("member", "keys", "d", "--address", "127.0.45.4", "--trust", trust)
    assert done.exit_code == 0, done.output
    assert load_cluster_key(trust / "d" / "cluster.key") == load_cluster_key(trust / "a" / "cluster.key")
    assert str(trust / "d") in done.output


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (("a", "--address", "127.0.45.4"), KeyFileError),  # it has keys already
        (("no name", "--address", "127.0.45.4"), UsageError),
        (("d", "--address", "nowhere.example"), UsageError),
        (("d",), UsageError),
    ],
)
def test_keys_that_can_not_be_are_refused_and_nothing_is_written(terminal, trust, line, error):
    before = {file: file.stat().st_mtime_ns for file in trust.rglob("*")}
    assert terminal("member", "keys", *line, "--trust", trust).exit_code == error.exit_code
    assert {file: file.stat().st_mtime_ns for file in trust.rglob("*")} == before


D = MemberSpec(name="d", role=Role.WITNESS, addresses=("10.0.0.4", "10.1.0.4"), client_address="10.0.0.5")
ORDERED = [
    (
        "add d --role witness --address 10.0.0.4 --address 10.1.0.4 --client-address 10.0.0.5",
        AddMember(D),
        ["standfast member keys d --address 10.0.0.4 --address 10.1.0.4", "standfast run", "10.0.0.4"],
    ),
    ("remove d", RemoveMember("d"), ["disable"]),
    ("replace d --address 10.0.0.9", ReplaceMember("d", ("10.0.0.9",)), ["--address 10.0.0.9", "standfast run"]),
]


@pytest.mark.parametrize(("words", "request_", "next_steps"), ORDERED)
def test_an_order_reaches_the_member_and_what_is_left_to_do_is_told_as_commands(terminal, words, request_, next_steps):
    terminal.member.answers[type(request_)] = OrderResult(Verdict.DONE)
    done = terminal("member", *words.split())
    assert done.exit_code == 0, done.output
    assert request_ in terminal.member.asked
    assert all(step in done.output for step in next_steps)


@pytest.mark.parametrize("verdict", [Verdict.NOT_SETTLED, Verdict.NOT_GONE, Verdict.NO_MAJORITY_THEN])
def test_a_refusal_is_an_exit_code_with_json_too(terminal, verdict):
    terminal.member.answers[RemoveMember] = OrderResult(verdict)
    done = terminal("member", "remove", "d", "--json")
    assert done.exit_code == Refused.exit_code
    assert json.loads(done.stdout) == {"verdict": verdict}


def test_at_the_same_address_nothing_has_to_be_ordered(terminal):
    terminal.member.answers[ReplaceMember] = OrderResult(Verdict.ALREADY_SO)
    assert terminal("member", "replace", "d").exit_code == 0


def test_an_even_number_of_voters_is_a_state_with_a_next_step():
    four = status_report()
    four = structs.replace(four, members=(*four.members, member_report("d")))
    (remark,) = [r for r in remarks(four) if r.subject == "cluster"]
    assert "standfast member add" in remark.action
    assert not [r for r in remarks(status_report()) if r.subject == "cluster"]
