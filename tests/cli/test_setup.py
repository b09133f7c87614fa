"""From nothing to a member that may run: init, check, run, proxy."""

import json
import os
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

from standfast.cli import machine
from standfast.cli import main as main_module
from standfast.clusterfile import load
from standfast.errors import ClusterFileError, KeyFileError, MachineError, StateError, UsageError
from standfast.member.statedir import StateDir
from standfast.member.urgency import Priority
from standfast.model.cluster import Role
from standfast.trust import load_cluster_key
from tests.addresses import own

ROOT = Path(main_module.__file__).parents[2]
NET = own(60)
"""`check` tries to bind ports, and two that do so at once are in each other's way."""
DATA = ["--data", f"a={NET}.1", "--data", f"b={NET}.2,{NET}.12", "--witness", f"w={NET}.3"]


@pytest.fixture
def made(terminal, tmp_path) -> Path:
    """A directory as `init` leaves it, with shared storage for one queue manager."""
    (tmp_path / "shared").mkdir()
    qm = f"orders:nats:4260:{tmp_path}/shared/orders"
    result = terminal("init", "--cluster", "shop", *DATA, "--queue-manager", qm, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    return tmp_path / "out"


def check(terminal, made: Path, *more: str, member: str = "a") -> tuple[int, list[dict[str, str]]]:
    words = ["check", str(made / "cluster.toml"), "--json", "--run-dir", str(made), "--state-dir", str(made / "state")]
    result = terminal(*words, *(["--member", member] if member else []), *more)
    return result.exit_code, json.loads(result.stdout)


def problems(found: list[dict[str, str]]) -> list[str]:
    return [finding["subject"] for finding in found if finding["level"] == "PROBLEM"]


def edit(made: Path, before: str, after: str) -> None:
    file = made / "cluster.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


# ---------------------------------------------------------------- init


def test_init_writes_what_it_was_told_and_keys_for_each_member(made):
    cluster = load(made / "cluster.toml")
    assert [(m.name, m.role, m.addresses) for m in cluster.members] == [
        ("a", Role.DATA, (f"{NET}.1",)),
        ("b", Role.DATA, (f"{NET}.2", f"{NET}.12")),
        ("w", Role.WITNESS, (f"{NET}.3",)),
    ]
    assert [(q.name, q.kind, q.port) for q in cluster.queue_managers] == [("orders", "nats", 4260)]
    assert len({load_cluster_key(made / "trust" / name / "cluster.key") for name in "abw"}) == 1


def test_two_clusters_of_one_name_are_told_apart(made, terminal, tmp_path):
    assert terminal("init", "--cluster", "shop", *DATA, "--out", str(tmp_path / "other")).exit_code == 0
    assert load(tmp_path / "other" / "cluster.toml").id != load(made / "cluster.toml").id


def test_init_overwrites_nothing(made, terminal):
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert terminal("init", "--cluster", "shop", *DATA, "--out", str(made)).exit_code == UsageError.exit_code
    (made / "cluster.toml").rename(made / "kept.toml")
    assert terminal("init", "--cluster", "shop", *DATA, "--out", str(made)).exit_code == KeyFileError.exit_code
    (made / "kept.toml").rename(made / "cluster.toml")
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "words",
    [
        DATA[:4],
        [*DATA, "--witness", f"x={NET}.4"],
        [*DATA[:-1], f"a={NET}.3"],
        [*DATA[:-1], f"w={NET}.1"],
        [*DATA[:-1], "w"],
        [*DATA, "--queue-manager", "orders:nats:4222"],
        [*DATA, "--queue-manager", "orders:nats:4222:shared"],
        [*DATA, "--queue-manager", "a:nats:4222:/a", "--queue-manager", "b:nats:4222:/b"],
    ],
    ids=["two", "four", "name twice", "address twice", "no address", "no path", "relative path", "port twice"],
)
def test_init_refuses_what_can_not_be_a_cluster_and_writes_nothing(terminal, tmp_path, words):
    result = terminal("init", "--cluster", "shop", *words, "--out", str(tmp_path / "out"))
    assert result.exit_code == UsageError.exit_code
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- check


def test_what_init_wrote_passes(made, terminal):
    code, found = check(terminal, made)
    assert (code, problems(found)) == (0, [])
    assert {"keys", "state", "etcd", "orders", f"address {NET}.1"} <= {finding["subject"] for finding in found}


def test_without_a_member_only_the_file_is_judged(made, terminal):
    code, found = check(terminal, made, member="")
    assert code == 0
    assert [finding["level"] for finding in found] == ["OK", "WARNING"]


def test_a_witness_needs_no_storage_and_no_broker(made, terminal):
    code, found = check(terminal, made, member="w")
    assert code == 0
    assert "orders" not in {finding["subject"] for finding in found}


def test_a_member_that_the_file_does_not_know_is_refused(made, terminal):
    result = terminal("check", str(made / "cluster.toml"), "--member", "z")
    assert result.exit_code == UsageError.exit_code


def test_problems_of_the_file_are_listed_together(made, terminal):
    edit(made, 'role = "witness"', 'rule = "witness"')
    code, found = check(terminal, made, member="")
    assert (code, len(problems(found))) == (ClusterFileError.exit_code, 2)  # an unknown key, and a missing one


@pytest.mark.parametrize(
    ("before", "after"),
    [('kind = "nats"', 'kind = "nuts"'), ("[queue_manager.options]", "[queue_manager.options]\nx = 1")],
)
def test_what_the_driver_does_not_know_is_a_problem_of_the_file(made, terminal, before, after):
    edit(made, before, after)
    code, found = check(terminal, made)
    assert (code, problems(found)) == (ClusterFileError.exit_code, ["orders"])


def test_a_key_that_others_can_read(made, terminal):
    (made / "trust" / "a" / "cluster.key").chmod(0o644)
    code, found = check(terminal, made)
    assert (code, problems(found)) == (KeyFileError.exit_code, ["keys"])


@pytest.mark.parametrize(
    ("kind", "port", "subject"),
    [
        (socket.SOCK_DGRAM, 7400, "port 7400/udp"),
        (socket.SOCK_STREAM, 7402, "port 7402/tcp"),
        (socket.SOCK_STREAM, 4260, "port 4260/tcp"),
    ],
)
def test_a_port_that_somebody_holds(made, terminal, kind, port, subject):
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind((f"{NET}.1", port))
        if kind == socket.SOCK_STREAM:
            held.listen()
        code, found = check(terminal, made)
    assert (code, problems(found)) == (MachineError.exit_code, [subject])


def test_ports_of_a_member_that_runs_here_are_its_own(made, terminal):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((f"{NET}.2", 7400))
        code, found = check(terminal, made, "--run-dir", str(terminal.socket.parent), member="b")
    assert (code, problems(found)) == (0, [])


def test_an_address_of_another_machine(made, terminal):
    edit(made, f'"{NET}.1"', '"198.51.100.1"')
    code, found = check(terminal, made)
    assert code == MachineError.exit_code
    assert problems(found)[0] == "address 198.51.100.1"


def test_no_etcd(made, terminal, monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    code, found = check(terminal, made)
    assert code == MachineError.exit_code
    assert "etcd" in problems(found)


@pytest.mark.parametrize("other", ["member", "cluster", "broken"])
def test_a_state_directory_that_is_not_this_members(made, terminal, other):
    if other == "broken":
        (made / "state").mkdir()
        (made / "state" / "identity.json").write_text('{"cluster_id"')
    else:
        cluster_id = "x" * 10 if other == "cluster" else load(made / "cluster.toml").id
        StateDir(made / "state", cluster_id, "b" if other == "member" else "a").close()
    code, found = check(terminal, made)
    assert (code, problems(found)) == (StateError.exit_code, ["state"])


def test_storage_whose_parent_is_missing(made, terminal):
    (made.parent / "shared").rmdir()
    code, found = check(terminal, made)
    assert (code, problems(found)) == (MachineError.exit_code, ["orders"])


def test_storage_that_must_be_mounted_and_is_not(made, terminal):
    (made.parent / "shared" / "orders").mkdir()
    edit(made, "#mount = false", "mount = true")
    code, found = check(terminal, made)
    assert (code, problems(found)) == (MachineError.exit_code, ["orders"])


def test_storage_that_hangs_hangs_only_a_child(made, terminal, monkeypatch):
    monkeypatch.setattr(machine, "_PROBE", "import signal; signal.pause()")
    monkeypatch.setattr(machine, "STORAGE_DEADLINE_S", 0.05)
    code, found = check(terminal, made)
    assert (code, problems(found)) == (MachineError.exit_code, ["orders"])


def test_check_changes_nothing(made, terminal):
    before = sorted(made.parent.rglob("*"))
    check(terminal, made)
    assert sorted(made.parent.rglob("*")) == before


@pytest.mark.parametrize("width", [80, 100])
def test_the_findings_fit(made, terminal, width):
    (made / "trust" / "a" / "cluster.key").chmod(0o644)
    result = terminal("check", str(made / "cluster.toml"), "--member", "a", width=width)
    longest_word = max(len(word) for word in result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= max(width, longest_word + 40)


# ---------------------------------------------------------------- run


def test_run_hands_a_checked_cluster_to_the_daemon(made, terminal, monkeypatch):
    calls = []
    stand_in = types.ModuleType("standfast.member.daemon")
    stand_in.main = lambda **values: calls.append(values)
    monkeypatch.setitem(sys.modules, "standfast.member.daemon", stand_in)
    file = made / "cluster.toml"
    result = terminal("run", "--file", str(file), "--member", "a", "--run-dir", "/r", "--log-format", "json")
    assert result.exit_code == 0, result.output
    assert calls == [
        {
            "cluster": load(file),
            "member": "a",
            "trust": made / "trust" / "a",
            "state_dir": Path("/var/lib/standfast/a"),
            "run_dir": Path("/r"),
            "group": None,
            "log_format": "json",
            "priority": Priority.REALTIME,
        }
    ]


@pytest.mark.parametrize(
    ("words", "error"),
    [(["--member", "z"], UsageError), (["--file", "/none.toml", "--member", "a"], ClusterFileError)],
)
def test_run_refuses_before_anything_starts(made, terminal, words, error):
    result = terminal("run", "--file", str(made / "cluster.toml"), *words)
    assert result.exit_code == error.exit_code


# ---------------------------------------------------------------- proxy


@pytest.mark.parametrize("more", [["--member", "a=127.0.60.1:7403"], ["--file"]])
def test_the_proxy_listens_until_it_is_told_to_end(made, more):
    words = ["proxy", "--listen", "127.0.60.9:0", "-q", "orders", *more]
    words += [str(made / "cluster.toml")] if more == ["--file"] else []
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = "from standfast.cli.main import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, *words], env=env, stderr=subprocess.PIPE, text=True) as process:
        told = process.stderr.readline()
        port = int(told.rpartition(":")[2])
        socket.create_connection(("127.0.60.9", port), timeout=5).close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    "words",
    ["", "--member a=127.0.60.1", "--member a=127.0.60.1:7403 --file cluster.toml", "--member a=127.0.60.1:99999"],
)
def test_the_proxy_must_know_where_the_members_are(terminal, words):
    result = terminal("proxy", "--listen", "127.0.60.9:0", "-q", "orders", *words.split())
    assert result.exit_code == UsageError.exit_code


def test_the_proxy_refuses_a_queue_manager_that_the_file_does_not_know(made, terminal):
    result = terminal("proxy", "--listen", "127.0.60.9:0", "-q", "order", "--file", str(made / "cluster.toml"))
    assert result.exit_code == UsageError.exit_code


def test_init_tells_programs_what_it_wrote_where(terminal, tmp_path):
    told = json.loads(terminal("init", "--cluster", "shop", *DATA, "--out", str(tmp_path / "out"), "--json").stdout)
    assert load(told["cluster_file"]).member("w").api_port
    assert [Path(told["trust"], name, "member.key").exists() for name in told["members"]] == [True] * 3
