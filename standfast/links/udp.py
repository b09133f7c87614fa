"""Heartbeats over UDP: one socket for each own address, every message to a member over every link to it.

Acknowledgements too go out over all links, and not only over the one on which the heartbeat came: of two links, the
first may be broken one way and the second the other way, and still the pair hears each other. What arrives more than
once is the same word twice, and the messages are made for that.

Guaranteed: `send` neither blocks nor raises; a flood of datagrams leaves the event loop room to breathe (at most
DRAIN of them are read per turn). Not guaranteed: that anything arrives. Every failure shows in the counters.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from standfast.errors import MachineError
from standfast.links.frame import Endpoint, Reply, Seal, encode
from standfast.model.cluster import Cluster, MemberSpec
from standfast.model.messages import Message
from standfast.ports import LinkCounters, boottime_ns

DRAIN: Final = 64
"""Datagrams read from one socket in one turn of the event loop."""
HELLO_GAP_NS: Final = 10_000_000
"""Least time between two hellos on one path: enough to meet within a heartbeat, too little to burden anyone."""

_LARGEST_DATAGRAM: Final = 65_535


class Path:
    """One way to a member: an own socket and one of the member's addresses.

    Attributes:
        peer: the other end.
        local: own address.
        remote: the peer's address.
        heard_ns: when a message last arrived on it (CLOCK_BOOTTIME); 0 never.
    """

    __slots__ = ("_hello_ns", "_place", "_port", "_seal", "_socket", "heard_ns", "local", "peer", "remote")

    def __init__(self, peer: Endpoint, local: str, remote: str, port: int) -> None:
        self.peer = peer
        self.local = local
        self.remote = remote
        self.heard_ns = 0
        self._port = port
        self._place: tuple[Any, ...] = ()
        self._hello_ns = 0
        self._seal: Seal | None = None
        self._socket: socket.socket | None = None

    @property
    def way(self) -> tuple[Endpoint, str, str, int]:
        """Which way it is: two paths with the same can stand in for each other."""
        return self.peer, self.local, self.remote, self._port

    def bind(self, seal: Seal, sock: socket.socket) -> None:
        """Use this socket from now on; raises OSError when the remote address is none."""
        _, self._place = _resolved(self.remote, self._port)
        self._seal, self._socket = seal, sock

    def send(self, body: bytes) -> bool:
        """Seal and send; False when the kernel refused or the path is not open."""
        if self._seal is None:
            return False
        return self._put(self._seal.seal(self.peer, body))

    def answer(self, hello: bytes, now_ns: int) -> None:
        """Send a hello unless one just went."""
        if now_ns - self._hello_ns >= HELLO_GAP_NS:
            self._hello_ns = now_ns
            self._put(hello)

    def _put(self, frame: bytes) -> bool:
        assert self._socket is not None
        try:
            self._socket.sendto(frame, self._place)
        except OSError:
            return False
        return True


class UdpLinks:
    """All links of one member; implements ports.Link.

    Links pair by position: the first address speaks to the first of the other member, the second to the second. A
    member with fewer addresses is reached on its last one by the rest.

    Args:
        cluster: all members with their addresses and ports.
        me: name of this member; raises KeyError when the cluster has none of that name.
        key: the cluster key, 32 bytes.
    """

    def __init__(self, cluster: Cluster, me: str, key: bytes) -> None:
        self.counters = LinkCounters()
        self._cluster_id = cluster.id
        self._key = key
        self._me = cluster.member(me)
        self._others = _ways(self._me, cluster)
        self._sockets: list[socket.socket] = []
        self._ends: list[_End] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every way to every member, for the status."""
        return tuple(path for paths in self._others.values() for _, path in paths)

    async def open(self, receive: Callable[[Message], None]) -> None:
        """Bind and hand every authentic, fresh message to `receive`; raises MachineError when a port is taken."""
        self._loop = asyncio.get_running_loop()
        for link, address in enumerate(self._me.addresses):
            try:
                self._open(link, address, receive)
            except OSError as error:
                self.close()
                raise MachineError(
                    f"The heartbeat link on {address}:{self._me.heartbeat_port} (UDP) cannot be opened: "
                    f"{error.strerror}. See that all addresses in the cluster file are numeric, that this one is of "
                    f"this machine, and that no other program, such as a second daemon, holds the port."
                ) from error

    def send(self, to: str, message: Message) -> None:
        """Send to a member by name over every link; raises KeyError for a name that is no other member's."""
        body = encode(message)
        for _, path in self._others[to]:
            if path.send(body):
                self.counters.sent += 1
            else:
                self.counters.send_errors += 1

    def follow(self, cluster: Cluster) -> None:
        """Speak to these members from now on, at these addresses; whoever stays where he was notices nothing.

        This member's own addresses stay those at which it was opened. An address that is none is counted as a failure
        of every send to it: the settings in force are not refused here.
        """
        known = {path.way: path for path in self.paths}
        self._others = {
            name: [(at, known.get(path.way, path)) for at, path in ways]
            for name, ways in _ways(self._me, cluster).items()
        }
        for end in self._ends:
            end.paths.clear()
            end.paths.update(self._paths_of(end.link))
            end.seal.follow(end.paths)
            for path in end.paths.values():
                if path.way not in known:
                    with contextlib.suppress(OSError):
                        path.bind(end.seal, end.sock)

    def close(self) -> None:
        """Release the sockets; a second call does nothing."""
        for sock in self._sockets:
            assert self._loop is not None
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        self._ends.clear()

    def _paths_of(self, link: int) -> dict[Endpoint, Path]:
        return {path.peer: path for ways in self._others.values() for at, path in ways if at == link}

    def _open(self, link: int, address: str, receive: Callable[[Message], None]) -> None:
        assert self._loop is not None
        sock = _bound(address, self._me.heartbeat_port)
        self._sockets.append(sock)
        paths = self._paths_of(link)
        seal = Seal(
            cluster_id=self._cluster_id,
            key=self._key,
            me=Endpoint(self._me.name, link),
            peers=paths,
            counters=self.counters,
        )
        for path in paths.values():
            path.bind(seal, sock)
        self._ends.append(_End(link, sock, seal, paths))
        self._loop.add_reader(sock, functools.partial(self._drain, sock, seal, paths, receive))

    def _drain(
        self, sock: socket.socket, seal: Seal, paths: dict[Endpoint, Path], receive: Callable[[Message], None]
    ) -> None:
        for _ in range(DRAIN):
            if sock.fileno() < 0:
                return  # `receive` closed the links
            try:
                frame = sock.recv(_LARGEST_DATAGRAM)
            except OSError:
                return  # drained, or the kernel reports the fate of an earlier datagram: the next turn reads on
            opened = seal.open(frame)
            if opened is None:
                continue
            if isinstance(opened, Reply):
                paths[opened.to].answer(opened.frame, boottime_ns())
                continue
            paths[opened.sender].heard_ns = boottime_ns()
            receive(opened.message)


class _End(NamedTuple):
    """One open link on this side; `paths` is what its reader looks in, too."""

    link: int
    sock: socket.socket
    seal: Seal
    paths: dict[Endpoint, Path]


def _ways(me: MemberSpec, cluster: Cluster) -> dict[str, list[tuple[int, Path]]]:
    return {spec.name: _paths(me, spec) for spec in cluster.members if spec.name != me.name}


def _paths(me: MemberSpec, other: MemberSpec) -> list[tuple[int, Path]]:
    """The ways from one member to another, each with the index of the own address."""
    mine, theirs = len(me.addresses) - 1, len(other.addresses) - 1
    return [
        (here, Path(Endpoint(other.name, there), me.addresses[here], other.addresses[there], other.heartbeat_port))
        for here, there in ((min(link, mine), min(link, theirs)) for link in range(max(mine, theirs) + 1))
    ]


def _resolved(address: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """Family and socket address of a numeric address, so that no send ever asks a name server; raises OSError."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    return found[0][0], found[0][4]


def _bound(address: str, port: int) -> socket.socket:
    """A UDP socket on exactly this address; raises OSError."""
    family, place = _resolved(address, port)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock
