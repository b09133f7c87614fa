"""The user data of deploy/aws/*.yaml on machines with a real systemd, in an AWS that runs here; `make test-aws`.

Real: the templates, their user data, the image's recipe, the AWS command line, systemd, routes by address, Mosquitto
with a client, and Standfast. Stand-ins: moto for AWS's API, the metadata service, and mount.nfs4, which binds a
directory of this machine. The test does what AWS does with an instance: it ends and launches it, and lets go of its
interface.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.hosts import roots
from tests.deploy.hosts.host import network, run
from tests.deploy.hosts.region import MOUNT, Region, load, now_ns

Tell = Callable[[str, float], None]


@pytest.fixture(scope="module")
def image(package: Path, room: Path) -> Path:
    """As Packer makes it: provision.sh on a bare machine."""
    root = roots.unpacked(room / "image")
    (root / "tmp" / package.name).write_bytes(package.read_bytes())
    (root / "tmp/provision.sh").write_bytes((roots.ROOT / "deploy/aws/provision.sh").read_bytes())
    run("chroot", root, "env", "HOME=/root", "BROKERS=mosquitto", "sh", "/tmp/provision.sh")
    helper = root / "sbin/mount.nfs4"
    helper.unlink()
    helper.write_text(MOUNT)
    helper.chmod(0o755)
    return root


def regions(template: str, image: Path, room: Path) -> Iterator[Region]:
    (shared := room / f"efs-{template}").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", shared)
    with network(f"aws-{template.partition('.')[0]}") as net:
        region = Region(template, image, room / template, shared, net)
        try:
            yield region
        finally:
            region.close()
            run("umount", shared)


@pytest.fixture(scope="module")
def region(image: Path, room: Path) -> Iterator[Region]:
    """Of cluster.yaml."""
    yield from regions("cluster.yaml", image, room)


@pytest.fixture(scope="module")
def small(image: Path, room: Path) -> Iterator[Region]:
    """Of single.yaml."""
    yield from regions("single.yaml", image, room)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """For the table at the end: what was measured, in milliseconds, and how busy this machine was."""
    return lambda what, ms: record_property("measured", f"{ms:9.0f} ms  load {load():>5}  {what}")


def began(region: Region, *members: str) -> float:
    """All of them at once, until CloudFormation was told; how long it took, in milliseconds."""
    for member in members:
        region.launch(member)
    since_ns = now_ns()
    with ThreadPoolExecutor() as pool:
        list(pool.map(region.begin, members))
    region.cluster.settled()
    return (now_ns() - since_ns) / 1e6


@pytest.fixture
def serving(region: Region) -> Iterator[tuple[str, int]]:
    """Owner and epoch of a cluster that is whole, with a client at work."""
    placing = region.cluster.settled()
    addresses = {m["name"]: m["address"] for m in region.cluster.status()["members"]}
    with region.client(addresses["a"], addresses["b"]):
        yield placing


def test_instances_become_a_cluster_by_their_user_data_alone(region: Region, tell: Tell):
    tell("user data begin until three members serve", began(region, "w", "a", "b"))
    owner, epoch = region.cluster.settled()
    assert (owner in "ab", epoch) == (True, 1)
    assert sorted(region.ask("told")["signals"]) == [f"Group{member} SUCCESS" for member in "ABW"]
    host = region.hosts[owner]
    assert "hard,timeo=600,retrans=2,noresvport" in host.sh("cat /var/log/mount.nfs4")
    assert host.sh("stat -c %a /etc/standfast/clients.password").strip() == "600"


def test_a_killed_queue_manager_is_started_in_place(region: Region, serving: tuple[str, int], tell: Tell):
    owner, epoch = serving
    since_ns = now_ns()
    region.hosts[owner].do("pkill", "-9", "mosquitto")
    tell("queue manager killed: outage", region.served_since(since_ns))
    assert region.cluster.settled() == (owner, epoch)


def test_a_power_cut_moves_it_and_the_next_instance_waits_for_its_address_and_joins(
    region: Region, serving: tuple[str, int], tell: Tell
):
    owner, epoch = serving
    incarnation = region.cluster.incarnation(owner)
    since_ns = now_ns()
    region.hosts[owner].kill()
    tell("power cut: outage (no NFS lock to wait for)", region.served_since(since_ns))
    region.hosts[owner].remove()
    region.ask("terminate", owner)
    since_ns = now_ns()
    region.launch(owner)
    with ThreadPoolExecutor() as pool:
        joining = pool.submit(region.begin, owner)
        waits = "journalctl -u standfast-aws | grep -q 'attach: not yet'"
        region.cluster.until(lambda: region.hosts[owner].do("sh", "-c", waits, check=False).returncode == 0)
        region.ask("let_go", owner)
        joining.result()
    later, grown = region.cluster.settled(lambda placing: placing[1] > epoch)
    tell("next instance, an empty disk: boot until it is online", (now_ns() - since_ns) / 1e6)
    assert (later != owner, grown) == (True, epoch + 1)
    assert region.cluster.incarnation(owner) > incarnation


def test_a_terminated_instance_hands_over_and_the_next_one_joins(region: Region, serving: tuple[str, int], tell: Tell):
    owner, epoch = serving
    since_ns = now_ns()
    region.hosts[owner].power_off()
    tell("terminated, as AWS does it (shut down first): outage", region.served_since(since_ns))
    region.replace(owner)
    later, grown = region.cluster.settled(lambda placing: placing[1] > epoch)
    assert (later != owner, grown) == (True, epoch + 1)


def test_an_instance_that_reports_itself_unhealthy_is_replaced(region: Region, serving: tuple[str, int], tell: Tell):
    owner, epoch = serving
    host = region.hosts[owner]
    gateway = region.hosts[owner].address.rpartition(".")[0] + ".1"
    host.do("env", f"AWS_ENDPOINT_URL=http://{gateway}:5000", "standfast", "instance", "unhealthy")
    assert region.ask("health", owner)["health"] == "Unhealthy"
    since_ns = now_ns()
    host.power_off()
    tell("unhealthy, ended by its group: outage", region.served_since(since_ns))
    region.replace(owner)
    assert region.cluster.settled(lambda placing: placing[1] > epoch)[0] != owner


def test_a_reboot_needs_no_api_and_nothing_moves_back(region: Region):
    owner, epoch = region.cluster.settled()
    host = region.hosts[owner]
    (host.root / "usr/bin/aws").rename(host.root / "usr/bin/aws.away")
    host.power_off()
    host.boot()
    later, grown = region.cluster.settled(lambda placing: placing[1] > epoch)
    assert (later != owner, grown) == (True, epoch + 1)
    (host.root / "usr/bin/aws.away").rename(host.root / "usr/bin/aws")


def test_the_one_data_node_of_the_small_template_comes_back_on_another_instance(small: Region, tell: Tell):
    tell("single.yaml: user data begin until three members serve", began(small, "w", "u", "d"))
    (address,) = (m["address"] for m in small.cluster.status()["members"] if m["name"] == "d")
    _, epoch = small.cluster.settled()
    with small.client(address):
        since_ns = now_ns()
        small.hosts["d"].kill()
        small.replace("d")
        tell("single.yaml: instance lost, the next one at once: outage", small.served_since(since_ns))
    assert small.cluster.settled(lambda placing: placing[1] > epoch)[0] == "d"
