"""Virtual IPs for real: clients on a machine of their own that know nothing but the address, IPv4 and IPv6."""

import asyncio
import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from standfast.disposable import bare_python
from standfast.drill.endpoint import Endpoint, given
from standfast.endpoints.vip_bearer import SOCKET
from standfast.lab.network import CLIENT
from standfast.lab.plan import CLUSTER_FILE, RUN
from standfast.member.control_protocol import Move
from standfast.model.cluster import Role
from standfast.model.events import EventKind
from standfast.model.timing import NS_PER_MS
from standfast.quorum.signals import Verdict
from tests.real.cuts.stage import NO_QUARANTINE, Stage, takeover_ms
from tests.real.running import QM, lasting, now_ns, planned, standfast, until, up

VIP, VIP6 = "10.77.0.100", "fd77::100"
ENDPOINTS = "".join(f'[[queue_manager.endpoints]]\nkind = "vip"\naddress = "{one}"\n' for one in (VIP, VIP6))
LOOK_S = 0.01
SYN_AGAIN_MS = 1100
"""A client's kernel repeats a request to connect that nobody answered after a second, and no sooner."""


class Places:
    """Looks in a thread of its own which machines have which address.

    `both`: those that two had at once; `ever_away`: those
    that none had at some look."""

    def __init__(self, stage: Stage, *names: str) -> None:
        self._inside = {name: stage.lab.inside(name) for name in names}
        self.at: dict[str, set[str]] = {}
        self.both: list[dict[str, set[str]]] = []
        self.ever_away: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self.at = {name: addresses(inside) for name, inside in self._inside.items()}
            seen = list(self.at.values())
            self.ever_away |= {VIP, VIP6} - set().union(*seen)
            if seen[0] & seen[1]:
                self.both.append(self.at)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def addresses(inside: tuple[str, ...], *wanted: str) -> set[str]:
    """Virtual IPs on a machine."""
    told = subprocess.run([*inside, "ip", "-json", "address"], capture_output=True, check=True).stdout
    found = {info.get("local") for link in json.loads(told) for info in link["addr_info"]}
    return found & {*(wanted or (VIP, VIP6))}


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def ip(inside: tuple[str, ...], *words: str) -> None:
    run(*inside, "ip", *words)


class VipStage(Stage):
    """Clients come by the virtual IP; `vip` says which."""

    vip = VIP

    def endpoint(self) -> contextlib.AbstractAsyncContextManager[Endpoint]:
        return given(self.vip, self.lab.cluster.queue_managers[0].port)

    def on(self, name: str) -> set[str]:
        return addresses(self.lab.inside(name))

    @contextlib.contextmanager
    def places(self) -> Iterator[Places]:
        places = Places(self, *self.data)
        try:
            yield places
        finally:
            places.end()

    async def until_contested(self, name: str, times: int) -> None:
        async with asyncio.timeout(10):
            while len(await self.notices(name, EventKind.ENDPOINT_CONTESTED)) < times:  # noqa: ASYNC110 - asked for
                await asyncio.sleep(LOOK_S)

    def bearer(self, name: str) -> int:
        return int((self.lab.directory / RUN / name / "bearer.lock").read_text() or 0)


async def staged(directory) -> VipStage:
    lab = planned(directory, NO_QUARANTINE, namespaces=True, profile="fast")
    with (directory / CLUSTER_FILE).open("a") as file:
        file.write(ENDPOINTS)
    lab = type(lab)(directory)
    assert lab.network is not None
    lab.network.up()
    for number, name in enumerate([*lab.nodes, CLIENT], 1):
        own = f"fd77::{number}/64"
        ip(lab.inside(name), "address", "add", own, "dev", "eth0", "nodad")
    return await up(lab, VipStage)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VipStage]:
    yield from lasting(staged(tmp_path_factory.mktemp("vip")))


@pytest.fixture
async def cluster(shared: VipStage) -> AsyncIterator[VipStage]:
    await shared.lab.until_whole()
    owner = await shared.owner()
    await until(lambda: shared.on(owner) == {VIP, VIP6})
    yield shared
    await shared.audit()


async def test_a_planned_move_takes_the_addresses_along(cluster: VipStage, keep) -> None:
    owner = await cluster.owner()
    with cluster.places() as places:
        async with cluster.scene(keep) as scene:
            scene.begin()
            assert await cluster.order(Move(QM, cluster.other(owner))) is Verdict.DONE
            await cluster.lab.until_running(QM, on=cluster.other(owner))
        assert places.both == []
    assert cluster.on(owner) == set()


@pytest.mark.parametrize("vip", [VIP, VIP6], ids=["IPv4", "IPv6"])
async def test_every_process_of_the_owner_is_killed(cluster: VipStage, keep, vip: str) -> None:
    """Its kernel lives, and drops the addresses by their life-time; until then the next owner does not take them."""
    owner, epoch = await cluster.placing()
    cluster.vip = vip
    with cluster.places() as places:
        async with cluster.scene(keep) as scene:
            scene.begin()
            cluster.lab.nodes[owner].kill()
            await cluster.lab.until_running(QM, epoch=epoch + 1)
            await until(lambda: cluster.on(cluster.other(owner)) == {VIP, VIP6})
            cluster.lab.up([owner])
        assert places.both == []
    cluster.vip = VIP


async def test_a_hung_daemon_has_its_addresses_taken_with_its_lease(cluster: VipStage, keep) -> None:
    owner, epoch = await cluster.placing()
    pid = cluster.lab.nodes[owner].pid
    assert pid is not None
    with cluster.places() as places:
        async with cluster.scene(keep) as scene:
            scene.begin()
            with cluster.stopped(pid):
                await until(lambda: not places.at.get(owner))
                await cluster.lab.until_running(QM, epoch=epoch + 1)
        assert places.both == []
    assert scene.measured.outage_ms <= takeover_ms(cluster) + SYN_AGAIN_MS


async def test_daemon_and_bearer_hang_and_the_kernel_ends_the_addresses(cluster: VipStage, keep) -> None:
    """The warden ends the queue manager, and the backstop sees that it can; nobody is left to remove an address."""
    owner, epoch = await cluster.placing()
    pid = cluster.lab.nodes[owner].pid
    assert pid is not None
    with cluster.places() as places:
        async with cluster.scene(keep) as scene:
            scene.begin()
            with cluster.stopped(pid, cluster.bearer(owner)):
                await until(lambda: not places.at.get(owner))
                await cluster.lab.until_running(QM, epoch=epoch + 1)
        assert places.both == []


async def test_a_bearer_alone_gives_up_before_the_kernel_would_and_takes_nothing_after_it(
    cluster: VipStage, tmp_path
) -> None:
    """Its daemon is gone; the kernel, which counts whole seconds, would keep the address for two of them."""
    inside, own = cluster.lab.inside(CLIENT), "10.77.0.201"
    command = (*inside, *bare_python("standfast.endpoints.vip_bearer", str(tmp_path)))
    bearer = await asyncio.create_subprocess_exec(*command)
    try:
        for late in (False, True):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as daemon:
                await until(lambda daemon=daemon: not daemon.connect_ex(str(tmp_path / SOCKET)))
                stop_ns = now_ns() + (0 if late else 1200 * NS_PER_MS)
                for order in (
                    {"do": "lease", "stop_ns": stop_ns, "end_ns": stop_ns + 300 * NS_PER_MS},
                    {"do": "want", "addresses": [[own, ""]], "ours": [own]},
                ):
                    daemon.send(json.dumps(order).encode())
                if late:
                    await asyncio.sleep(0.3)
                    assert addresses(inside, own) == set()
                else:
                    await until(lambda: addresses(inside, own) == {own})
            await until(lambda: not addresses(inside, own))
            assert late or abs(now_ns() - stop_ns) <= 400 * NS_PER_MS
    finally:
        bearer.kill()
        await bearer.wait()


async def test_a_dead_bearer_is_replaced_and_what_it_bore_stays(cluster: VipStage) -> None:
    owner = await cluster.owner()
    dead = cluster.bearer(owner)
    async with cluster.nothing_moves():
        cluster.lab.nodes[owner].kill_process(dead)
        await until(lambda: cluster.bearer(owner) != dead and cluster.on(owner) == {VIP, VIP6})


async def test_a_hung_bearer_loses_its_addresses_to_the_kernel_and_is_replaced(cluster: VipStage) -> None:
    owner = await cluster.owner()
    hung = cluster.bearer(owner)
    with cluster.stopped(hung):
        assert await cluster.order(Move(QM, cluster.other(owner))) is Verdict.DONE
        await until(lambda: cluster.on(owner) == set() and cluster.on(cluster.other(owner)) == {VIP, VIP6})


async def test_a_restart_of_the_daemon_keeps_the_addresses(cluster: VipStage) -> None:
    owner = await cluster.owner()
    before = await cluster.placing(), cluster.process(owner), cluster.bearer(owner)
    node = cluster.lab.nodes[owner]
    pid = node.pid
    assert pid is not None
    with cluster.places() as places:
        assert standfast("restart", "--socket", node.socket).returncode == 0
        node.succeeded(pid)
        await cluster.lab.until_whole()
        assert (await cluster.placing(), cluster.process(owner), cluster.bearer(owner)) == before
        assert places.at[owner] == {VIP, VIP6}
    assert places.ever_away == set()


async def test_an_address_that_a_stranger_has_is_not_taken_before_it_is_free(cluster: VipStage) -> None:
    owner, epoch = await cluster.placing()
    other = cluster.other(owner)
    stranger = cluster.lab.inside(CLIENT)
    for one, prefix in ((VIP, "32"), (VIP6, "128")):
        ip(stranger, "address", "add", f"{one}/{prefix}", "dev", "eth0", "nodad")
    try:
        assert await cluster.order(Move(QM, other)) is Verdict.DONE
        await cluster.lab.until_running(QM, epoch=epoch + 1)
        await until(lambda: cluster.on(owner) == set())
        await cluster.until_contested(other, 2)
        assert cluster.on(other) == set()
    finally:
        ip(stranger, "address", "flush", "dev", "eth0", "to", f"{VIP}/32")
        ip(stranger, "-6", "address", "flush", "dev", "eth0", "to", f"{VIP6}/128")
    await until(lambda: cluster.on(other) == {VIP, VIP6})


async def test_a_rival_that_comes_later_is_answered_and_told_of(cluster: VipStage) -> None:
    """The client's cache follows the rival for a moment only."""
    owner = await cluster.owner()
    before = len(await cluster.notices(owner, EventKind.ENDPOINT_CONTESTED))
    witness = cluster.lab.inside(cluster.witness)
    ip(witness, "address", "add", f"{VIP}/32", "dev", "eth0")
    try:
        claim = "import socket, struct; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0));"
        claim += "mac = s.getsockname()[4]; ip = socket.inet_aton('" + VIP + "');"
        claim += (
            "s.send(b'\\xff' * 6 + mac + struct.pack('!HHHBBH', 0x0806, 1, 0x0800, 6, 4, 1) + mac + ip + bytes(6) + ip)"
        )
        run(*witness, "python3", "-c", claim)
        await cluster.until_contested(owner, before + 1)
    finally:
        ip(witness, "address", "flush", "dev", "eth0", "to", f"{VIP}/32")
    assert cluster.on(owner) == {VIP, VIP6}
    assert cluster.lab.cluster.member(owner).role is Role.DATA


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ('address = "10.99.0.1"', 4),
        ('address = "10.77.0.9"\ninterface = "eth7"', 4),
        ('address = "10.77.0.1/24"', 3),
        ('address = "10.77.0.9"\nnetmask = 24', 3),
        ('address = "10.77.0.9"', 0),
    ],
    ids=["in no net of this machine", "no such interface", "with a netmask", "an unknown option", "as it should be"],
)
async def test_check_says_what_is_in_the_way(cluster: VipStage, tmp_path, endpoint: str, code: int) -> None:
    text = (cluster.lab.directory / CLUSTER_FILE).read_text().replace(ENDPOINTS, "")
    file = tmp_path / "cluster.toml"
    file.write_text(f'{text}[[queue_manager.endpoints]]\nkind = "vip"\n{endpoint}\n')
    assert check(cluster, file) == code


async def test_check_says_which_right_is_missing(cluster: VipStage) -> None:
    barred = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--ambient-caps", "-all")
    assert check(cluster, cluster.lab.directory / CLUSTER_FILE, *barred) == 4


def check(cluster: VipStage, file, *before: str) -> int:
    lab = cluster.lab
    command = [
        *(*lab.inside("a"), *before, "python", "-m", "standfast", "check", str(file), "--member", "a"),
        *("--trust", str(lab.directory / "trust" / "a"), "--state-dir", str(lab.directory / "state" / "a")),
        *("--run-dir", str(lab.directory / RUN)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode
