"""Plain machines: the package, the unit under a real systemd, and the way that docs/install.md shows."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.hosts.conftest import Cluster, told
from tests.deploy.hosts.host import run

UNIT = "standfast.service"
VIRTUAL = "10.86.0.100"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 1883), 5)"


def test_the_package_installs_in_a_clean_root_and_starts_nothing(installed: Path):
    def inside(*words: str) -> str:
        return run("chroot", installed, *words)

    assert "Usage: standfast" in inside("standfast", "--help")
    enabled = subprocess.run(
        ["chroot", installed, "systemctl", "is-enabled", UNIT], stdout=subprocess.PIPE, check=False
    )
    assert enabled.stdout.strip() == b"disabled"
    assert (installed / "usr/share/man/man1/standfast-run.1.gz").exists()
    assert "standfast" in inside("getent", "group", "standfast")
    assert inside("systemd-analyze", "verify", "--man=no", UNIT) == ""
    # What a daemon starts with its own interpreter finds what it needs: the API, sinks, calls of AWS.
    parts = "import standfast.api, standfast.member.courier, standfast.endpoints.errand_child, botocore, pysnmp, nats"
    inside("/usr/lib/standfast/python/bin/python3", "-c", parts)


def test_three_machines_are_brought_up_by_the_page_alone(cluster: Cluster):
    owner, epoch = cluster.settled()
    assert epoch >= 1
    assert cluster.broker(owner)
    for host in cluster.hosts.values():
        assert host.do("systemctl", "is-active", "standfast").stdout.strip() == "active"
        assert host.do("systemctl", "is-system-running").stdout.strip() == "running"
        assert host.sh("stat -c %a:%U /etc/standfast/trust").strip() == "700:root"
        # The API: a process of its own, with packages of its own.
        log = ("journalctl", "-u", UNIT, "-o", "cat", "--no-pager")
        cluster.until(lambda host=host, log=log: "listens on https://" in host.do(*log).stdout)


def kept(cluster: Cluster, *words: str) -> None:
    """That command on the owner gives it another daemon, and nothing else."""
    owner, epoch = cluster.settled()
    daemon, broker, incarnation = cluster.main_pid(owner), cluster.broker(owner), cluster.incarnation(owner)
    cluster.hosts[owner].do(*words)
    cluster.until(lambda: cluster.incarnation(owner) > incarnation)
    assert cluster.settled() == (owner, epoch), cluster.journal(owner)
    assert cluster.broker(owner) == broker, cluster.journal(owner)
    assert cluster.main_pid(owner) != daemon


@pytest.mark.parametrize(
    "words",
    [
        ("systemctl", "reload", UNIT),
        ("systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT),
        ("systemctl", "restart", UNIT),
    ],
    ids=" ".join,
)
def test_another_daemon_moves_nothing(cluster: Cluster, words: tuple[str, ...]):
    """The kill comes after the reload: systemd notices the end of a daemon that another daemon had started."""
    kept(cluster, *words)


def test_an_upgrade_of_the_package_moves_nothing(cluster: Cluster, newer: Path):
    owner, _ = cluster.settled()
    cluster.hosts[owner].put(newer, "/root/newer.deb")
    kept(cluster, "apt-get", "install", "-y", "-qq", "/root/newer.deb")
    version = cluster.hosts[owner].do("dpkg-query", "--show", "--showformat=${Version}", "standfast").stdout
    assert version in newer.name


def test_a_daemon_that_hangs_is_replaced_by_systemd(cluster: Cluster):
    """Its lease is longer than systemd's patience: so it may be the same member that starts the queue manager anew."""
    owner, epoch = cluster.settled()
    daemon = cluster.main_pid(owner)
    cluster.hosts[owner].do("kill", "-STOP", daemon)
    cluster.until(lambda: cluster.main_pid(owner) not in {daemon, "0"})
    cluster.settled(lambda placing: placing[1] > epoch)


def test_a_stop_of_the_unit_hands_over_and_leaves_nothing_behind(cluster: Cluster):
    owner, epoch = cluster.settled()
    host = cluster.hosts[owner]
    host.do("systemctl", "stop", UNIT)
    assert not cluster.broker(owner)
    assert host.do("systemctl", "show", "--value", "--property=Result", UNIT).stdout.strip() == "success"
    assert host.sh("find /sys/fs/cgroup/system.slice/standfast.service -name cgroup.procs 2>/dev/null || true") == ""
    host.do("systemctl", "start", UNIT)
    now, later = cluster.settled(lambda placing: placing[1] > epoch)
    assert (now != owner, later) == (True, epoch + 1)


def test_a_machine_that_is_powered_off_hands_over_before_its_storage_goes(cluster: Cluster):
    owner, epoch = cluster.settled()
    cluster.hosts[owner].power_off()
    away = next(m for m in cluster.status()["members"] if m["name"] == owner)
    assert away["state"] == "left"
    cluster.hosts[owner].boot()
    assert cluster.settled(lambda placing: placing[1] > epoch)[1] == epoch + 1


def test_what_a_person_must_mend_is_not_tried_again_without_a_pause(cluster: Cluster):
    owner, _ = cluster.settled()
    other = next(name for name in "ab" if name != owner)
    host = cluster.hosts[other]
    host.sh("systemctl stop standfast; chmod 644 /etc/standfast/trust/*/cluster.key; systemctl start standfast || true")
    restarts = int(host.do("systemctl", "show", "--value", "--property=NRestarts", UNIT).stdout)
    assert restarts <= 2
    host.sh("chmod 600 /etc/standfast/trust/*/cluster.key")
    cluster.settled()


def test_members_run_as_a_user_of_their_own_with_a_virtual_ip(cluster: Cluster):
    """By the page's commands. The daemon, the broker and the bearer are that user's; the address follows a move."""
    (script,) = told("Not as root")
    for name in "ab":
        cluster.hosts[name].do("systemctl", "stop", UNIT)
    for name, host in cluster.hosts.items():
        storage = "/shared/orders " if name == "a" else ""
        host.sh(script.replace("chown -R standfast: ", f"chown -R standfast: {storage}"))
    cluster.settled()
    vip = f'[[queue_manager.endpoints]]\nkind = "vip"\naddress = "{VIRTUAL}"\n'
    told_now = "standfast config show --toml >/root/now"
    cluster.hosts["w"].sh(f"{told_now}\ncat >>/root/now <<'END'\n{vip}END\nstandfast config apply --yes /root/now")
    first, _ = cluster.settled()
    second = next(name for name in "ab" if name != first)
    for target in (second, first):
        cluster.hosts["w"].do("standfast", "move", "orders", target)
        cluster.settled(lambda placing, target=target: placing[0] == target)
        host = cluster.hosts[target]
        cluster.until(lambda host=host: VIRTUAL in host.sh("ip -4 address show eth0"))
        assert cluster.broker(target)
        users = host.sh("ps -o user:20= -p $(pgrep -d, 'mosquitto|python3')").split()
        assert set(users) == {"standfast"}, host.sh("ps axo user:20,args")
        client = ("python3", "-c", CONNECT, VIRTUAL)
        cluster.until(lambda client=client: cluster.hosts["w"].do(*client, check=False).returncode == 0)


def test_a_removed_package_hands_over_and_a_purged_one_leaves_no_keys(cluster: Cluster):
    owner, epoch = cluster.settled()
    host = cluster.hosts[owner]
    host.do("apt-get", "purge", "-y", "-qq", "standfast")
    assert not cluster.broker(owner)
    cluster.until(lambda: cluster.status()["queue_managers"][0]["epoch"] == epoch + 1)
    for path in ("/usr/lib/standfast", "/etc/standfast", f"/var/lib/standfast/{owner}", "/usr/bin/standfast"):
        assert host.do("test", "-e", path, check=False).returncode == 1, path
    assert host.sh("ls -A /shared/orders") != ""
