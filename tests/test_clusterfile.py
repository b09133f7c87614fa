"""The cluster file: what it says is what the members get, and everything wrong with it is told at once."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from standfast.clusterfile import Fault, load, read, template
from standfast.clusterfile.written import written
from standfast.errors import ClusterFileError
from standfast.model.cluster import (
    Cluster,
    DiskSpec,
    FenceWhen,
    FencingSpec,
    MemberSpec,
    Policy,
    QueueManagerSpec,
    Role,
    StorageSpec,
    StoreSpec,
)
from standfast.model.sinks import SinkSpec
from standfast.model.timing import PROFILES, Timing

ID = "0123456789abcdef"
MEMBERS = (
    MemberSpec(name="a", role=Role.DATA, addresses=("127.0.60.1", "127.0.60.101")),
    MemberSpec(name="b", role=Role.DATA, addresses=("127.0.60.2", "127.0.60.102"), client_address="127.0.60.22"),
    MemberSpec(name="w", role=Role.WITNESS, addresses=("127.0.60.3",), heartbeat_port=7500),
)
ORDERS = QueueManagerSpec(
    name="orders",
    kind="nats",
    port=4222,
    storage=StorageSpec(path='/shared/or"dérs', mount=True),
    preferred=("b", "a"),
    options={"sync": "always", "max_mb": 12, "debug": False},
)
BILLS = QueueManagerSpec(name="bills", kind="mosquitto", port=1883, storage=StorageSpec(path="/shared/bills"))
CLUSTER = Cluster(name="shop", id=ID, members=MEMBERS, timing=PROFILES["fast"], queue_managers=(ORDERS, BILLS))
TEXT = template("shop", ID, MEMBERS, (ORDERS, BILLS), "fast")


def faults(text: str) -> dict[tuple[str | int, ...], Fault]:
    return {problem.path: problem.fault for problem in read(text.encode()).problems}


def uncommented(text: str) -> str:
    return re.sub(r"(?m)^#(?=[\[a-z])", "", text)


# ---------------------------------------------------------------- what init writes


def test_the_template_says_what_it_was_given():
    assert read(TEXT.encode()) == read(TEXT.encode()).__class__(CLUSTER, ())


def test_the_commented_lines_of_the_template_are_the_defaults():
    """But for the sink, which is an example."""
    cluster = read(uncommented(TEXT).encode()).cluster
    assert msgspec.structs.replace(cluster, sinks=()) == CLUSTER
    assert [sink.name for sink in cluster.sinks] == ["syslog"]


def test_the_template_without_queue_managers_shows_one_that_would_load():
    text = template("shop", ID, MEMBERS)
    assert read(text.encode()).cluster.queue_managers == ()
    assert [q.name for q in read(uncommented(text).encode()).cluster.queue_managers] == ["orders"]


@pytest.mark.parametrize(
    "cls", [MemberSpec, Policy, QueueManagerSpec, StorageSpec, StoreSpec, DiskSpec, Timing, SinkSpec]
)
def test_every_key_of_every_table_is_in_the_template(cls):
    for field in msgspec.structs.fields(cls):
        assert re.search(rf"(?m)^(#?{field.name} = |#?( \[)?\[(queue_manager|sink)\.{field.name}\])", TEXT), field.name


def test_data_members_see_the_shared_disk_unless_their_table_says_otherwise():
    text = TEXT.replace("\n[disk]", '\n[disk]\npath = "/d"').replace('name = "w"', 'name = "w"\ndisk = "/dev/w"')
    cluster = read(text.encode()).cluster
    assert [cluster.disk_of(name) for name in "abw"] == ["/d", "/d", "/dev/w"]
    none = read(text.replace('name = "b"', 'name = "b"\ndisk = "none"').encode()).cluster
    assert [none.disk_of(name) for name in "abw"] == ["/d", "", "/dev/w"]


def test_lines_fit_a_terminal():
    assert max(map(len, TEXT.splitlines())) <= 100


# ---------------------------------------------------------------- the file as a whole


def test_load_reads_a_file(tmp_path):
    (tmp_path / "cluster.toml").write_text(TEXT)
    assert load(tmp_path / "cluster.toml") == CLUSTER


@pytest.mark.parametrize("what", ["missing", "a directory"])
def test_a_file_that_can_not_be_read_is_refused(tmp_path, what):
    with pytest.raises(ClusterFileError):
        load(tmp_path if what == "a directory" else tmp_path / "none.toml")


def test_the_error_of_load_lists_every_problem(tmp_path):
    bad = TEXT.replace('"data"', '"dada"').replace("port = 4222", 'port = "x"')
    path = tmp_path / "cluster.toml"
    path.write_text(bad)
    problems = read(bad.encode()).problems
    assert len(problems) == 3
    with pytest.raises(ClusterFileError) as caught:
        load(path)
    assert all(str(problem) in str(caught.value) for problem in problems)


@pytest.mark.parametrize(
    ("data", "fault", "line"),
    [
        (b"", Fault.EMPTY, None),
        (b" \n\n", Fault.EMPTY, None),
        (b"[cluster]\nname = 'sh\xffop'\n", Fault.NOT_TEXT, 2),
        (b"[cluster\n", Fault.NOT_TOML, None),
        (b"a = " + b"[" * 100_000, Fault.NOT_TOML, None),
        (b"a = " + b"9" * 5_000, Fault.NOT_TOML, None),
    ],
)
def test_what_is_no_cluster_file_at_all_is_one_problem(data, fault, line):
    (problem,) = read(data).problems
    assert (problem.fault, problem.line) == (fault, line)


def test_a_file_cut_short_anywhere_is_refused_or_at_least_warned_of():
    data = TEXT.encode()
    for end in range(len(data)):
        reading = read(data[:end])
        if not reading.problems and not data[:end].endswith(b"\n"):
            assert [w.fault for w in reading.warnings] == [Fault.NO_LAST_NEWLINE], end
        if reading.cluster:
            assert [m.name for m in reading.cluster.members] == ["a", "b", "w"]


def test_a_byte_order_mark_is_harmless():
    assert read(b"\xef\xbb\xbf" + TEXT.encode()).cluster == CLUSTER


# ---------------------------------------------------------------- one slip, one problem, at its place


def _line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1


B, W = ("member", 1), ("member", 2)
Q, R = ("queue_manager", 0), ("queue_manager", 1)

SLIPS = [
    # before, after, place, fault
    ("[cluster]", "[clutser]\nx = 1\n[cluster]", ("clutser",), Fault.UNKNOWN_KEY),
    ('name = "shop"', 'name = "my shop"', ("cluster", "name"), Fault.BAD_NAME),
    ('name = "shop"', 'name = "shop"\nnmae = "shop"', ("cluster", "nmae"), Fault.UNKNOWN_KEY),
    ('name = "shop"', "", ("cluster", "name"), Fault.MISSING),
    ("#quarantine_after = 3", "quarantine_after = -1", ("policy", "quarantine_after"), Fault.BAD_VALUE),
    ("#quarantine_window_s = 3600.0", "quarantine_window_s = 0", ("policy", "quarantine_window_s"), Fault.BAD_VALUE),
    ('preferred = ["b", "a"]', 'failback = "preferred"', (*Q, "preferred"), Fault.MISSING),
    ('preferred = ["b", "a"]', 'failback = "often"', (*Q, "failback"), Fault.WRONG_TYPE),
    ('preferred = ["b", "a"]', 'failback_window = "2-4"', (*Q, "failback_window"), Fault.BAD_VALUE),
    (f'id = "{ID}"', 'id = "x"', ("cluster", "id"), Fault.BAD_VALUE),
    ('name = "w"', 'name = "-w"', (*W, "name"), Fault.BAD_NAME),
    ('name = "w"', 'name = "A"', (*W, "name"), Fault.DUPLICATE),
    ('"127.0.60.2", "127.0.60.102"', '"127.0.60.1"', (*B, "addresses"), Fault.DUPLICATE),
    ('"127.0.60.2", "127.0.60.102"', '"127.0.60.2", "127.0.60.2"', (*B, "addresses"), Fault.DUPLICATE),
    ('"127.0.60.2", "127.0.60.102"', "", (*B, "addresses"), Fault.BAD_VALUE),
    ('"127.0.60.2", "127.0.60.102"', '"0.0.0.0"', (*B, "addresses"), Fault.BAD_VALUE),
    ('"127.0.60.2", "127.0.60.102"', '"127.0.60.2:7400"', (*B, "addresses"), Fault.BAD_VALUE),
    ('"127.0.60.2", "127.0.60.102"', '"b.example"', (*B, "addresses"), Fault.BAD_VALUE),
    ('"127.0.60.2", "127.0.60.102"', '"127.0.60.300"', (*B, "addresses"), Fault.BAD_VALUE),
    ('["127.0.60.2", "127.0.60.102"]', '"127.0.60.2"', (*B, "addresses"), Fault.WRONG_TYPE),
    ("heartbeat_port = 7500", "heartbeat_port = 0", (*W, "heartbeat_port"), Fault.BAD_VALUE),
    ("heartbeat_port = 7500", "heartbeat_port = true", (*W, "heartbeat_port"), Fault.WRONG_TYPE),
    ("heartbeat_port = 7500", "health_port = 7401", (*W, "health_port"), Fault.DUPLICATE),
    ("heartbeat_port = 7500", "heartbeatport = 7500", (*W, "heartbeatport"), Fault.UNKNOWN_KEY),
    ('role = "witness"', 'role = "judge"', (*W, "role"), Fault.WRONG_TYPE),
    ('profile = "fast"', 'profile = "fsat"', ("timing", "profile"), Fault.TIMING),
    ('profile = "fast"', "evict_after = 4", ("timing",), Fault.TIMING),
    ('profile = "fast"', "interval_ms = 0.5", ("timing", "interval_ms"), Fault.WRONG_TYPE),
    ('profile = "fast"', "interval = 100", ("timing", "interval"), Fault.UNKNOWN_KEY),
    ("[policy]", '[policy]\nlink_loss = "evcit"', ("policy", "link_loss"), Fault.WRONG_TYPE),
    ("[policy]", "[policy]\nhop_interval_ms = 1", ("policy", "hop_interval_ms"), Fault.BAD_VALUE),
    ("[policy]", "[policy]\nhop_found = 3", ("policy", "hop_found"), Fault.BAD_VALUE),
    ("heartbeat_port = 7500", 'hops = ["gateway"]', (*W, "hops"), Fault.BAD_VALUE),
    ("heartbeat_port = 7500", 'hops = ["10.0.0.9", "10.0.0.9"]', (*W, "hops"), Fault.DUPLICATE),
    ("heartbeat_port = 7500", "priority = 1_000_001", (*W, "priority"), Fault.BAD_VALUE),
    ("[store]", '[store]\nendpoints = ["10.0.0.9"]', ("store", "endpoints"), Fault.BAD_VALUE),
    ("[store]", '[store]\npassword_file = "/x"', ("store", "username"), Fault.MISSING),
    ("[store]", '[store]\ncert_file = "/x"', ("store", "key_file"), Fault.MISSING),
    ("[store]", '[store]\nkey_file = "/x"', ("store", "cert_file"), Fault.MISSING),
    ("[disk]", '[disk]\npath = "disk"', ("disk", "path"), Fault.BAD_VALUE),
    ("[disk]", '[disk]\ndevice = "/dev/sdb"', ("disk", "device"), Fault.UNKNOWN_KEY),
    ("heartbeat_port = 7500", 'disk = "sdb"', (*W, "disk"), Fault.BAD_VALUE),
    ('name = "bills"', 'name = "Orders"', (*R, "name"), Fault.DUPLICATE),
    ('kind = "nats"', "", (*Q, "kind"), Fault.MISSING),
    ("port = 1883", "port = 4222", (*R, "port"), Fault.DUPLICATE),
    ("port = 1883", "port = 7401", (*R, "port"), Fault.DUPLICATE),
    ("port = 1883", "port = 70000", (*R, "port"), Fault.BAD_VALUE),
    ("port = 1883", "port = 1883\nstart_timeout_s = nan", (*R, "start_timeout_s"), Fault.BAD_VALUE),
    ("port = 1883", "port = 1883\nrestart_limit = -1", (*R, "restart_limit"), Fault.BAD_VALUE),
    ("port = 1883", "port = 1883\nstop_timeout_s = 1979-05-27", (*R, "stop_timeout_s"), Fault.WRONG_TYPE),
    ('preferred = ["b", "a"]', 'preferred = ["b", "w"]', (*Q, "preferred"), Fault.NOT_A_DATA_MEMBER),
    ('preferred = ["b", "a"]', 'preferred = ["b", "b"]', (*Q, "preferred"), Fault.DUPLICATE),
    ("mount = true", "mounted = true", (*Q, "storage", "mounted"), Fault.UNKNOWN_KEY),
    ("mount = true", 'kind = "drdb"', (*Q, "storage", "kind"), Fault.BAD_VALUE),
    ('path = "/shared/bills"', 'path = "shared/bills"', (*R, "storage", "path"), Fault.BAD_VALUE),
    ('path = "/shared/bills"', 'path = "/shared/../bills"', (*R, "storage", "path"), Fault.BAD_VALUE),
    ('path = "/shared/bills"', 'path = "/"', (*R, "storage", "path"), Fault.BAD_VALUE),
    ('path = "/shared/bills"', 'path = "//shared/./or\\"dérs/"', (*R, "storage", "path"), Fault.DUPLICATE),
    ('path = "/shared/bills"', 'path = "/shared"', (*R, "storage", "path"), Fault.DUPLICATE),
    ('path = "/shared/bills"', "", (*R, "storage", "path"), Fault.MISSING),
]


@pytest.mark.parametrize(("before", "after", "place", "fault"), SLIPS)
def test_a_slip_is_told_at_its_place(before, after, place, fault):
    assert TEXT.count(f"\n{before}") + TEXT.count(f" = [{before}]") + TEXT.count(f" = {before}\n") >= 1
    bad = TEXT.replace(before, after, 1)
    (problem,) = read(bad.encode()).problems
    assert (problem.path, problem.fault) == (place, fault)


def test_a_problem_has_the_line_of_its_key_or_of_the_table_that_lacks_it():
    bad = TEXT.replace("heartbeat_port = 7500", "heartbeat_port = 0").replace('kind = "nats"\n', "")
    lines = {problem.path: problem.line for problem in read(bad.encode()).problems}
    assert lines == {
        (*W, "heartbeat_port"): _line_of(bad, "heartbeat_port = 0"),
        (*Q, "kind"): _line_of(bad, "[[queue_manager]]"),
    }


def test_many_slips_are_told_together():
    bad = TEXT
    for before, after in [
        ('name = "shop"', "name = 1"),
        ('name = "b"', 'name = "a"'),
        ("heartbeat_port = 7500", "heartbeat_prt = 7500"),
        ("port = 1883", "port = 4222"),
        ('profile = "fast"', "kill_ms = 5000"),
    ]:
        bad = bad.replace(before, after, 1)
    assert faults(bad) == {
        ("cluster", "name"): Fault.WRONG_TYPE,
        ("timing",): Fault.TIMING,
        (*B, "name"): Fault.DUPLICATE,
        (*W, "heartbeat_prt"): Fault.UNKNOWN_KEY,
        (*Q, "preferred"): Fault.NOT_A_DATA_MEMBER,  # b is gone
        (*R, "port"): Fault.DUPLICATE,
    }


# ---------------------------------------------------------------- who votes


def _cluster_of(*roles: Role) -> str:
    members = [MemberSpec(name=f"m{i}", role=role, addresses=(f"127.0.60.{i + 1}",)) for i, role in enumerate(roles)]
    return template("shop", ID, members)


D, V = Role.DATA, Role.WITNESS


@pytest.mark.parametrize(
    ("roles", "fault"),
    [
        ((), "member_count"),
        ((D,), "member_count"),
        ((D, D), "member_count"),
        ((D, D, D, V), "member_count"),
        ((V, V, V), "no_data_member"),
        ((D, D, V), None),
        ((D, D, D, V, V), None),
    ],
)
def test_the_voters_are_odd_in_number_and_one_of_them_holds_data(roles, fault):
    assert faults(_cluster_of(*roles)) == ({("member",): fault} if fault else {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (_cluster_of(D, V, V), Fault.ONE_DATA_MEMBER),
        (_cluster_of(*[D] * 9), Fault.MANY_MEMBERS),
        (
            TEXT.replace('name = "b"', 'name = "b"\ndisk = "none"').replace("\n[disk]", '\n[disk]\npath = "/d"'),
            Fault.LONELY_DISK,
        ),
    ],
)
def test_what_is_legal_but_unwise_is_a_warning(text, fault):
    reading = read(text.encode())
    assert reading.cluster is not None
    assert [w.fault for w in reading.warnings] == [fault]


@pytest.mark.parametrize("text", ["member = 1\n", "[member]\nname = 'a'\n", "member = [1, 2, 3]\n", "cluster = 3\n"])
def test_a_table_of_the_wrong_shape_is_told_and_never_raises(text):
    assert Fault.WRONG_TYPE in faults(text).values()


# ---------------------------------------------------------------- a cluster written as text


@given(
    st.sampled_from(
        [*PROFILES.values(), Timing(interval_ms=20, in_doubt_after=3, evict_after=9, graceful_ms=50, kill_ms=30)]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=9),
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=5),
        st.recursive(
            st.booleans() | st.integers(-9, 9) | st.text(max_size=5, alphabet='a"\\\n=#'), st.lists, max_leaves=3
        ),
        max_size=3,
    ),
)
def test_what_is_written_is_read_as_the_same_cluster(timing: Timing, kind: str, options: dict):
    spec = structs.replace(ORDERS, options={**options, "kind": kind}, halted=True, preferred=())
    cluster = structs.replace(CLUSTER, timing=timing, queue_managers=(spec, BILLS))
    reading = read(written(cluster).encode())
    assert (reading.problems, reading.cluster) == ((), cluster)


# ---------------------------------------------------------------- taken from a cluster that runs

FOUR = TEXT + '\n[[member]]\nname = "d"\nrole = "witness"\naddresses = ["127.0.60.4"]\n'


def test_an_even_number_of_members_founds_no_cluster_but_may_be_passed_through():
    assert faults(FOUR) == {("member",): Fault.MEMBER_COUNT}
    taken = read(FOUR.replace("[cluster]\n", "[cluster]\nedition = 3\n").encode()).cluster
    assert taken is not None
    assert (taken.edition, taken.majority) == (3, 3)


@pytest.mark.parametrize("edition", ["-1", '"3"'])
def test_an_edition_that_nobody_wrote_is_refused(edition):
    assert ("cluster", "edition") in faults(TEXT.replace("[cluster]\n", f"[cluster]\nedition = {edition}\n"))


def test_what_is_written_of_fencing_and_of_an_etcd_outside_is_read_as_the_same():
    fencing = FencingSpec(
        command=("/usr/sbin/fence_ipmilan", "-v"),
        when=FenceWhen.ALWAYS,
        options={"lanplus": 1, "username": "x"},
        members={"a": {"ip": "10.0.9.1"}, "b": {"ip": "10.0.9.2"}},
    )
    cluster = structs.replace(CLUSTER, fencing=fencing, store=StoreSpec(endpoints=("https://10.0.0.9:2379",)))
    assert read(written(cluster).encode()).cluster == cluster
