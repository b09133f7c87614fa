"""Groups in the cluster file: what can not be held is told, and where."""

import pytest

from standfast.clusterfile import Fault, read, template
from standfast.clusterfile.written import written
from standfast.model.choices import Tie
from standfast.model.cluster import MemberSpec, QueueManagerSpec, Role, StorageSpec

SOFT = Tie.PREFERRED


def judged(*wanted: dict, data: int = 2):
    """Queue managers q0, q1, ... with these fields, in a cluster of so many data members."""
    names = [*"abcde"[:data], *"vw"[: 1 if data % 2 == 0 else 2]]
    members = [
        MemberSpec(name=n, role=Role.DATA if n in "abcde" else Role.WITNESS, addresses=(f"10.0.0.{i}",))
        for i, n in enumerate(names, 1)
    ]
    specs = [
        QueueManagerSpec(name=f"q{i}", kind="nats", port=4000 + i, storage=StorageSpec(path=f"/shared/q{i}"), **fields)
        for i, fields in enumerate(wanted)
    ]
    return read(template("shop", "0123456789abcdef", tuple(members), tuple(specs), "fast").encode())


@pytest.mark.parametrize(
    "wanted",
    [
        [{"together": "t"}, {"together": "t"}, {"apart": "s"}, {"apart": "s"}],
        [{"together": "t", "apart": "s"}, {"together": "t"}, {"apart": "s"}],
        [{"apart": "s", "apart_rule": SOFT}] * 5,
        [{"together": "t", "together_rule": SOFT, "preferred": ("a",)}, {"together": "t", "together_rule": SOFT}],
        [{"together": f"t{i % 2}", "apart": f"s{i // 2}"} for i in range(4)],
    ],
)
def test_groups_that_can_be_held_are_read_and_written_again(wanted):
    reading = judged(*wanted)
    assert (reading.problems, reading.warnings) == ((), ())
    assert read(written(reading.cluster).encode()).cluster == reading.cluster


@pytest.mark.parametrize(
    ("wanted", "where", "fault"),
    [
        ([{"apart": "two words"}, {"apart": "two words"}], (0, "apart"), Fault.BAD_NAME),
        ([{"apart_rule": SOFT}], (0, "apart"), Fault.MISSING),
        ([{"together": "t"}, {"together": "t", "together_rule": SOFT}], (1, "together_rule"), Fault.CONTRADICTION),
        ([{"together": "t"}, {"together": "t", "preferred": ("b",)}], (1, "preferred"), Fault.CONTRADICTION),
        ([{"together": "t", "apart": "s"}] * 2, (1, "apart"), Fault.CONTRADICTION),
        ([{"apart": "s"}] * 3, (2, "apart"), Fault.CONTRADICTION),
        ([{"together": "t"}] * 31, (30, "together"), Fault.BAD_VALUE),
        # Each pair can be apart, and yet three blocks can not be apart from each other on two members.
        (
            [
                {"together": "x", "apart": "1"},
                {"together": "y", "apart": "1"},
                {"together": "y", "apart": "2"},
                {"together": "z", "apart": "2"},
                {"together": "z", "apart": "3"},
                {"together": "x", "apart": "3"},
            ],
            (0, "apart"),
            Fault.CONTRADICTION,
        ),
    ],
)
def test_what_can_not_be_held_is_told_at_its_place(wanted, where, fault):
    found = {(problem.path[1:], problem.fault) for problem in judged(*wanted).problems}
    assert (where, fault) in found


def test_the_same_groups_fit_on_more_data_members():
    blocks = [("x", "1"), ("y", "1"), ("y", "2"), ("z", "2"), ("z", "3"), ("x", "3")]
    assert not judged(*({"together": t, "apart": s} for t, s in blocks), data=3).problems


def test_a_group_of_one_may_be_a_slip():
    found = [warning.fault for warning in judged({"apart": "hubs"}, {"apart": "hub"}).warnings]
    assert found == [Fault.LONELY_GROUP] * 2
