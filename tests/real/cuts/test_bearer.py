"""The bearer of virtual IPs alone, on a wire with others: what it says there, and what outlives it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from standfast.disposable import bare_python
from standfast.endpoints.vip_bearer import SOCKET
from standfast.lab.network import CLIENT, Network
from standfast.model.timing import NS_PER_MS
from tests.real.running import now_ns, until

OWNER, BYSTANDER = "a", "b"
VERSIONS = {"IPv4": "10.77.0.150", "IPv6": "fd77::150"}
LONG_MS, SHORT_MS = 60_000, 1200
LOOK_S = 0.02
HEARD_S = 6.0
"""Longer than an answer to a rival takes with all its repetitions, shorter than the pause of EVERY_NS."""
LISTEN = """
import json, socket, struct
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
wire.bind(("eth0", 0))
print("{}", flush=True)
while True:
    p = wire.recv(2048)
    said = None
    if p[12:14] == b"\\x08\\x06":
        said = {"form": {1: "request", 2: "reply"}[p[21]], "to": p[:6].hex(":"), "mac": p[22:28].hex(":"),
                "address": socket.inet_ntoa(p[28:32]), "for": p[32:38].hex(":"), "target": socket.inet_ntoa(p[38:42])}
    elif p[12:14] == b"\\x86\\xdd" and p[20] == 58 and p[54] == 136:
        said = {"form": "advertisement", "to": socket.inet_ntop(socket.AF_INET6, p[38:54]), "hops": p[21],
                "flags": p[58] >> 5, "address": socket.inet_ntop(socket.AF_INET6, p[62:78]), "mac": p[80:86].hex(":")}
    if said:
        print(json.dumps(said), flush=True)
"""
"""What is said of addresses on the wire, read by other code than that which says it: RFC 826, RFC 4861 section 4.4."""
CLAIM = """
import socket, struct, sys
address = sys.argv[1]
if ":" in address:
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    mac = bytes.fromhex(sys.argv[2].replace(":", ""))
    told = struct.pack("!BBHI", 136, 0, 0, 1 << 29) + socket.inet_pton(socket.AF_INET6, address) + bytes((2, 1)) + mac
    s.sendto(told, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
else:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("eth0", 0))
    mac, ip = s.getsockname()[4], socket.inet_aton(address)
    head = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
    s.send(b"\\xff" * 6 + mac + head + mac + ip + bytes(6) + ip)
"""
"""A rival's gratuitous ARP or unsolicited advertisement."""


SPEAK = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
socket.socket(family, socket.SOCK_DGRAM).sendto(b"", (sys.argv[1], 9))
"""


@pytest.fixture(scope="module")
def wire() -> Iterator[Network]:
    network = Network(f"bearer{os.getpid()}", {OWNER: "10.77.0.1", BYSTANDER: "10.77.0.2"})
    network.up()
    for number, name in enumerate((OWNER, BYSTANDER, CLIENT), 1):
        on(network, name, "ip", "address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
    yield network
    network.remove()


def on(wire: Network, name: str, *command: str) -> str:
    return subprocess.run([*wire.inside(name), *command], check=True, stdout=subprocess.PIPE, text=True).stdout


def mac_of(wire: Network, name: str) -> str:
    return str(json.loads(on(wire, name, "ip", "-json", "link", "show", "eth0"))[0]["address"])


def held(wire: Network, address: str) -> bool:
    found = json.loads(on(wire, OWNER, "ip", "-json", "address", "show", "dev", "eth0"))
    return any(info.get("local") == address for info in found[0]["addr_info"])


def cached(wire: Network, address: str) -> str:
    """The hardware address to which the bystander would send for it."""
    known = json.loads(on(wire, BYSTANDER, "ip", "-json", "neigh", "show", address))
    return str(known[0].get("lladdr", "")) if known else ""


@contextlib.asynccontextmanager
async def bearing(wire: Network, directory: Path, address: str, lease_ms: int) -> AsyncIterator[Process]:
    """A bearer that has just been told to have it, and is told nothing more."""
    command = (*wire.inside(OWNER), *bare_python("standfast.endpoints.vip_bearer", str(directory)))
    bearer = await asyncio.create_subprocess_exec(*command)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as daemon:
            await until(lambda: not daemon.connect_ex(str(directory / SOCKET)))
            stop_ns = now_ns() + lease_ms * NS_PER_MS
            daemon.send(json.dumps({"do": "lease", "stop_ns": stop_ns, "end_ns": stop_ns + 300 * NS_PER_MS}).encode())
            daemon.send(json.dumps({"do": "want", "addresses": [[address, ""]], "ours": [address]}).encode())
            await until(lambda: held(wire, address))
            yield bearer
    finally:
        with contextlib.suppress(ProcessLookupError):
            bearer.kill()
        await bearer.wait()
        on(wire, OWNER, "ip", "address", "flush", "dev", "eth0", "to", address)


def to_all(said: dict[str, Any]) -> bool:
    """An announcement; what a kernel answers goes to who has asked."""
    return said["to"] in {"ff:ff:ff:ff:ff:ff", "ff02::1"}


Said = Callable[[Callable[[dict[str, Any]], bool], int], Any]


@contextlib.asynccontextmanager
async def listening(wire: Network, address: str) -> AsyncIterator[Said]:
    """What is said of the address from now on: `await said(which, number)` gives the next so many of that kind."""
    listener = await asyncio.create_subprocess_exec(
        *(*wire.inside(BYSTANDER), "python3", "-c", LISTEN), stdout=asyncio.subprocess.PIPE
    )
    assert listener.stdout is not None
    await listener.stdout.readline()

    async def said(which: Callable[[dict[str, Any]], bool], number: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(HEARD_S):
            while len(found) < number:
                one = json.loads(await listener.stdout.readline())  # type: ignore[union-attr]
                if one["address"] == address and which(one):
                    found.append(one)
        return found

    try:
        yield said
    finally:
        listener.kill()
        await listener.wait()


@pytest.mark.parametrize("address", VERSIONS.values(), ids=VERSIONS)
async def test_an_address_is_announced_in_every_form_that_hosts_heed(
    wire: Network, tmp_path: Path, address: str
) -> None:
    async with listening(wire, address) as said, bearing(wire, tmp_path, address, LONG_MS):
        heard = await said(to_all, 4)
    common = {"mac": mac_of(wire, OWNER), "address": address}
    if ":" in address:
        override = 0b001  # and neither "router" nor "solicited"
        told = {"form": "advertisement", "to": "ff02::1", "hops": 255, "flags": override, **common}
        assert heard == [told] * 4
    else:
        everybody = {"to": "ff:ff:ff:ff:ff:ff", "target": address, **common}
        request, reply = {"form": "request", "for": "00:00:00:00:00:00"}, {"form": "reply", "for": common["mac"]}
        assert heard == [everybody | request, everybody | reply] * 2


@pytest.mark.parametrize("address", VERSIONS.values(), ids=VERSIONS)
async def test_a_rivals_claim_is_answered_twice_and_hosts_that_heeded_it_come_back(
    wire: Network, tmp_path: Path, address: str
) -> None:
    """After the burst of its taking; the next announcement that nothing provokes would be ten seconds later."""
    mac, rivals = mac_of(wire, OWNER), mac_of(wire, CLIENT)
    async with listening(wire, address) as said, bearing(wire, tmp_path, address, LONG_MS):
        on(wire, BYSTANDER, "python3", "-c", SPEAK, address)
        await said(to_all, 6 * (1 if ":" in address else 2))
        await until(lambda: cached(wire, address) == mac)
        on(wire, CLIENT, "python3", "-c", CLAIM, address, rivals)
        await said(lambda one: one["mac"] == rivals, 1)
        await said(lambda one: to_all(one) and one["mac"] == mac, 2 * (1 if ":" in address else 2))
        await until(lambda: cached(wire, address) == mac)
        assert held(wire, address)


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
@pytest.mark.parametrize("address", VERSIONS.values(), ids=VERSIONS)
async def test_the_kernel_ends_what_nobody_ends_any_more(wire: Network, tmp_path: Path, address: str, end: int) -> None:
    """Nobody is left who would: the bearer runs no more, and there is no daemon and no warden."""
    async with bearing(wire, tmp_path, address, SHORT_MS) as bearer:
        bearer.send_signal(end)
        await until(lambda: not held(wire, address))
