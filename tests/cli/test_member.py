"""`standfast member`: keys for one more machine."""

from pathlib import Path

import pytest

from standfast.errors import KeyFileError, UsageError
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.trust import load_cluster_key, write_trust


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
