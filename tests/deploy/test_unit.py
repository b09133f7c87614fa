"""What systemd is told of a cluster: the drop-in of each member, judged by systemd itself."""

import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from standfast.clusterfile import load
from standfast.clusterfile.unit import drop_in, escaped
from standfast.errors import UsageError

ROOT = Path(__file__).parents[2]
PATHS = ("/shared/orders", "/srv/my-data/.hidden", "/.top", "/a//b/", "/naïve disk/50%", "/")


@pytest.fixture
def made(terminal, tmp_path: Path) -> Path:
    """A cluster as `init --for-hosts` writes it."""
    members = ("--data", "a=10.0.0.1", "--data", "b=10.0.0.2", "--witness", "w=10.0.0.3")
    qm = ("--queue-manager", "orders:nats:4222:/shared/my-data/orders")
    result = terminal("init", "--cluster", "shop", *members, *qm, "--for-hosts", "--out", str(tmp_path / "shop"))
    assert result.exit_code == 0, result.output
    return tmp_path / "shop"


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_escaped_as_systemd_does_it(path: str):
    said = subprocess.run(["systemd-escape", "--path", path], capture_output=True, text=True, check=True).stdout
    assert escaped(path) == said.strip()


@pytest.mark.parametrize("member", ["a", "w"])
def test_systemd_finds_nothing_wrong_with_the_unit_and_its_drop_in(made: Path, member: str, tmp_path: Path):
    cluster = load(made / "cluster.toml")
    unit = (ROOT / "deploy/systemd/standfast.service").read_text()
    # Its programs are not installed here; that they are there is for the tests of the package.
    for program in ("/usr/bin/standfast", "/usr/lib/standfast/on-stop", "/usr/lib/standfast/on-end"):
        unit = unit.replace(program, "/bin/true")
    (tmp_path / "standfast.service").write_text(unit)
    (tmp_path / "standfast.service.d").mkdir()
    (tmp_path / "standfast.service.d/50-cluster.conf").write_text(drop_in(cluster, cluster.member(member)))
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / "standfast.service")]
    said = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_a_data_member_waits_for_its_mounts_but_votes_without_them(made: Path):
    cluster = load(made / "cluster.toml")
    lines = drop_in(cluster, cluster.member("a")).splitlines()
    mounts = r"shared.mount shared-my\x2ddata.mount shared-my\x2ddata-orders.mount"
    assert f"Wants={mounts}" in lines
    assert f"After={mounts}" in lines
    assert not any(line.startswith(("Requires", "BindsTo")) for line in lines)


def test_a_witness_may_ping_if_it_has_somebody_to_ping(made: Path):
    cluster = load(made / "cluster.toml")
    witness = cluster.member("w")
    for hops, times in (((), 0), (("10.0.0.254",), 1)):
        assert drop_in(cluster, structs.replace(witness, hops=hops)).count("CAP_NET_RAW") == times


def test_each_archive_holds_what_its_machine_needs_and_no_other_keys(made: Path, tmp_path: Path):
    for member in ("a", "b", "w"):
        archive = made / f"hosts/{member}.tar"
        assert archive.stat().st_mode & 0o777 == 0o600
        shutil.unpack_archive(archive, root := tmp_path / member)
        assert [entry.name for entry in (root / "etc/standfast/trust").iterdir()] == [member]
        assert {key.stat().st_mode & 0o777 for key in (root / f"etc/standfast/trust/{member}").iterdir()} == {0o600}
        assert load(root / "etc/standfast/cluster.toml") == load(made / "cluster.toml")


def test_a_machine_knows_by_its_keys_which_member_it_is(made: Path, terminal, tmp_path: Path):
    shutil.unpack_archive(made / "hosts/b.tar", tmp_path / "b")
    file = tmp_path / "b/etc/standfast/cluster.toml"
    cluster = load(file)
    assert terminal("unit", "--file", str(file)).output == drop_in(cluster, cluster.member("b"))
    undecided = terminal("unit", "--file", str(made / "cluster.toml"))
    assert undecided.exit_code == UsageError.exit_code
