"""What `standfast check` looks at on a machine. Every look has a deadline and changes nothing.

Ports are tried by binding them for an instant. Storage is looked at only by a child process that may be killed: a hung
mount must not hang the check.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from standfast.cli.words import Level
from standfast.endpoints.registry import endpoint_problems, endpoint_remarks
from standfast.errors import (
    ClusterFileError,
    KeyFileError,
    MachineError,
    StandfastError,
    StateError,
    StoreFatal,
    Unreachable,
)
from standfast.managers.programs import program_version
from standfast.managers.registry import driver
from standfast.member.control_client import ControlClient
from standfast.member.statedir import IDENTITY, StoredIdentity
from standfast.member.watchdog_device import traits
from standfast.model.cluster import Cluster, FencingSpec, MemberSpec, QueueManagerSpec, Role, StorageSpec, WatchdogMode
from standfast.model.watchdog import uncovered
from standfast.ports import Durability, Place, QueueManager, Remark
from standfast.stores.etcd_version import version_problem
from standfast.trust import CLUSTER_KEY, load_cluster_key, ssl_client_context

STORAGE_DEADLINE_S = 10.0
"""A mount that does not answer a look within this long hangs."""
KILLED_S = 1.0
"""Longest wait for the end of a child that was killed."""
CONNECT_S = 3.0
"""Longest wait for an etcd that exists already, and for a member that runs here."""
_PROBE = """
import os, sys
path, root = sys.argv[1], os.stat("/").st_dev
parent = os.path.dirname(path)
if not os.path.isdir(path):
    print("new" if os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK) else "missing")
elif not os.access(path, os.R_OK | os.W_OK | os.X_OK) or os.statvfs(path).f_flag & os.ST_RDONLY:
    print("unwritable")
else:
    print("mount" if os.path.ismount(os.path.realpath(path)) else "local" if os.stat(path).st_dev == root else "below")
"""
"""Prints one word about a directory; the empty answer is a crash."""


class Finding(Struct, frozen=True):
    """One line of the table.

    Attributes:
        level: ok, warning or problem.
        subject: what was looked at.
        found: what was found.
        action: what to do next; empty when there is nothing.
        raises: the error that it would be for the daemon.
    """

    level: Level
    subject: str
    found: str
    action: str = ""
    raises: type[StandfastError] | None = None


def _ok(subject: str, found: str) -> Finding:
    return Finding(Level.OK, subject, found)


def _problem(subject: str, error: StandfastError) -> Finding:
    """From an error that another room raised: its message says already what to do."""
    return Finding(Level.PROBLEM, subject, str(error), "", type(error))


async def machine_findings(
    cluster: Cluster, member: MemberSpec, *, trust: Path, state_dir: Path, run_dir: Path
) -> list[Finding]:
    """Everything that can be judged of this machine as that member."""
    found = [_keys(trust), _state(state_dir, cluster, member)]
    running = await _running(run_dir / f"{member.name}.sock", member)
    found.append(running or _ok("member", f"{member.name} does not run here yet"))
    found += _addresses(member)
    if running is None:
        found += _ports(cluster, member)
    found += [finding async for finding in _store(cluster)]
    if member.role is Role.DATA:
        if member.watchdog is not WatchdogMode.OFF:
            found.append(_watchdog(cluster, member, ours=running is not None))
        if cluster.fencing.command:
            found.append(_fencing(cluster.fencing))
        for spec in cluster.queue_managers:
            found += [finding async for finding in _queue_manager(cluster, member, spec, run_dir)]
    return found


def _keys(trust: Path) -> Finding:
    """Cluster key, certificate and private key: there, private, and fitting together."""
    try:
        load_cluster_key(trust / CLUSTER_KEY)
        ssl_client_context(trust)
    except KeyFileError as error:
        return _problem("keys", error)
    return _ok("keys", f"{trust}: cluster key and certificates are sound and private")


def _fencing(spec: FencingSpec) -> Finding:
    program = spec.command[0]
    if shutil.which(program) is None:
        action = "install it, or mend [fencing] in the cluster file"
        return Finding(Level.PROBLEM, "fencing", f"{program} is no program that can be run here", action, MachineError)
    return _ok("fencing", f"{program}; try it: standfast fence try FILE {next(iter(spec.members))}")


def _watchdog(cluster: Cluster, member: MemberSpec, *, ours: bool) -> Finding:
    """The device, as far as it can be seen without opening it: that would start it."""
    level = Level.PROBLEM if member.watchdog is WatchdogMode.REQUIRED else Level.WARNING
    device, reason = member.watchdog_device, uncovered(cluster.timing)
    try:
        seen = traits(device)
    except MachineError as error:
        return Finding(level, "watchdog", str(error), "", MachineError)
    if reason:
        return Finding(level, "watchdog", reason, "", ClusterFileError)
    if not os.access(device, os.W_OK):
        return Finding(level, "watchdog", f"{device} can not be opened", "run Standfast as root", MachineError)
    if seen is None:
        return _ok("watchdog", f"{device} is there; the kernel shows nothing of it until it is opened")
    if seen.no_way_out:
        action = "load its driver with nowayout=0"
        text = f"{device} ({seen.identity}) can not be stopped once started (nowayout)"
        return Finding(level, "watchdog", text, action, MachineError)
    if seen.active and not ours:
        action = "end that (systemd's RuntimeWatchdogSec=, a watchdog daemon), or name another device"
        return Finding(level, "watchdog", f"{device} ({seen.identity}) is in use by another", action, MachineError)
    return _ok("watchdog", f"{device} ({seen.identity})")


def _state(state_dir: Path, cluster: Cluster, member: MemberSpec) -> Finding:
    """The state directory is usable, and of this member or of none."""
    try:
        identity = msgspec.json.decode((state_dir / IDENTITY).read_bytes(), type=StoredIdentity)
    except FileNotFoundError:
        place = state_dir
        while not place.exists():
            place = place.parent
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return _ok("state", f"{state_dir} can be used; it is new: if {member.name} has run before, it joins anew")
        text, action = f"{state_dir} can not be written by this user", "create it for the user that runs Standfast"
        return Finding(Level.PROBLEM, "state", text, action, StateError)
    except (OSError, msgspec.MsgspecError) as error:
        action = "if the file is damaged, move the directory away: the member then joins as a new machine"
        return Finding(Level.PROBLEM, "state", f"{state_dir / IDENTITY} can not be read: {error}", action, StateError)
    if (identity.cluster_id, identity.member) != (cluster.id, member.name):
        text = f"{state_dir} belongs to member {identity.member} of cluster id {identity.cluster_id}"
        return Finding(Level.PROBLEM, "state", text, "name another --state-dir, or move that one away", StateError)
    return _ok("state", f"{state_dir} is this member's")


async def _running(path: Path, member: MemberSpec) -> Finding | None:
    """Whether the member answers here now; its ports are then its own."""
    try:
        async with ControlClient(path, CONNECT_S) as client:
            return _ok("member", f"{client.welcome.member} runs here now; its ports were not tried")
    except Unreachable:
        return None
    except StandfastError as error:
        return Finding(Level.WARNING, "member", f"{member.name} runs here but refused: {error}")


def _addresses(member: MemberSpec) -> Iterator[Finding]:
    """The member's addresses are this machine's."""
    for address in dict.fromkeys((*member.addresses, member.clients)):
        error = _bind_error(address, 0, socket.SOCK_DGRAM)
        if error is None:
            yield _ok(f"address {address}", "is this machine's")
        else:
            action = "check --member, the cluster file and `ip address`"
            yield Finding(
                Level.PROBLEM, f"address {address}", f"can not be used here: {error.strerror}", action, MachineError
            )


def _ports(cluster: Cluster, member: MemberSpec) -> Iterator[Finding]:
    """Nobody else holds a port that the member needs."""
    first = member.addresses[0]
    wanted = [(address, member.heartbeat_port, socket.SOCK_DGRAM, "heartbeats") for address in member.addresses]
    wanted.append((first, member.health_port, socket.SOCK_STREAM, "health"))
    if member.api_port:
        wanted.append((first, member.api_port, socket.SOCK_STREAM, "the API"))
    if not cluster.store.endpoints:
        wanted.append((first, member.store_client_port, socket.SOCK_STREAM, "etcd"))
        wanted.append((first, member.store_peer_port, socket.SOCK_STREAM, "etcd peers"))
    if member.role is Role.DATA:
        wanted += [(member.clients, spec.port, socket.SOCK_STREAM, spec.name) for spec in cluster.queue_managers]
    for address, port, kind, use in wanted:
        error = _bind_error(address, port, kind)
        subject = f"port {port}/{'udp' if kind == socket.SOCK_DGRAM else 'tcp'}"
        if error is None:
            yield _ok(subject, f"free, for {use}")
        else:
            action = f"see who holds it with `ss -lnp`, or choose another port for {use}"
            yield Finding(Level.PROBLEM, subject, f"{address}: {error.strerror}, for {use}", action, MachineError)


def _bind_error(address: str, port: int, kind: socket.SocketKind) -> OSError | None:
    """Why a socket can not be bound there; None when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as tried:
        if kind == socket.SOCK_STREAM:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError as error:
            return error
    return None


async def _store(cluster: Cluster) -> AsyncIterator[Finding]:
    """The etcd program, or the etcd that exists already."""
    for endpoint in cluster.store.endpoints:
        parts = urlsplit(endpoint)
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except (OSError, TimeoutError) as error:
            yield Finding(
                Level.WARNING, "store", f"{endpoint} does not answer: {error}", "start it, or correct the endpoint"
            )
        else:
            writer.close()
            yield _ok("store", f"{endpoint} answers")
    if cluster.store.endpoints:
        return
    program = shutil.which("etcd")
    if program is None:
        action = "install it: `apt-get install etcd-server`, or etcd 3.6 from its authors"
        yield Finding(Level.PROBLEM, "etcd", "the program etcd is not on PATH", action, MachineError)
        return
    try:
        version = await program_version(Path(program), "--version", pattern=r"etcd Version: (\S+)")
        warning = version_problem(version)
    except (MachineError, StoreFatal) as error:
        yield _problem("etcd", error)
        return
    yield Finding(Level.WARNING, "etcd", warning) if warning else _ok("etcd", f"{program} {version}")


async def _queue_manager(
    cluster: Cluster, member: MemberSpec, spec: QueueManagerSpec, run_dir: Path
) -> AsyncIterator[Finding]:
    """The driver, its options, its program, what its acknowledgement is worth, and the storage."""
    try:
        how = driver(spec.kind)
    except ClusterFileError as error:
        yield _problem(spec.name, error)
        return
    place = Place.of(spec, run_dir / spec.name, member.clients)
    for sentence in (problems := how.problems(place)):
        yield Finding(Level.PROBLEM, spec.name, sentence, "", ClusterFileError)
    try:
        if not problems:
            yield _ok(spec.name, f"{spec.kind} {await how.version(place)}")
    except MachineError as error:
        yield _problem(spec.name, error)
    for sentence in (wrong := [sentence for one in spec.endpoints for sentence in endpoint_problems(one)]):
        yield Finding(Level.PROBLEM, spec.name, sentence, "", ClusterFileError)
    obstacles = [] if wrong else await endpoint_remarks(spec.endpoints)
    for remark in await _remarks(how, place) + obstacles:
        level = Level.PROBLEM if remark.severe else Level.WARNING
        yield Finding(level, spec.name, remark.text, "", MachineError if remark.severe else None)
    level = Level.OK if how.durability is Durability.SYNCED else Level.WARNING
    yield Finding(level, spec.name, how.durability_note)
    several = sum(m.role is Role.DATA for m in cluster.members) > 1
    yield await _storage(spec.name, spec.storage, shared=several)


async def _remarks(how: QueueManager, place: Place) -> list[Remark]:
    """What its driver finds on this machine, once its options make sense."""
    if how.problems(place):
        return []
    try:
        how.launch(place)
        return await how.examine(place)
    except StandfastError as error:
        return [Remark(str(error))]


async def _storage(qm: str, storage: StorageSpec, *, shared: bool) -> Finding:
    """The directory, seen by a child with a deadline."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _PROBE, storage.path,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        printed, _ = await asyncio.wait_for(child.communicate(), STORAGE_DEADLINE_S)
        word = printed.decode().strip()
    except TimeoutError:
        child.kill()
        word = "hangs"
        with contextlib.suppress(TimeoutError):  # in an uninterruptible wait it dies when the mount answers, or never
            await asyncio.wait_for(child.wait(), KILLED_S)
    return _storage_finding(qm, storage, word, shared=shared)


def _storage_finding(qm: str, storage: StorageSpec, word: str, *, shared: bool) -> Finding:
    """What the probe's word means for this storage."""
    path = storage.path
    problems = {
        "missing": (f"{path} does not exist, nor can it be made", "create or mount it on this machine"),
        "unwritable": (f"{path} can not be written", "check mount options, owner and mode"),
        "hangs": (f"{path} did not answer within {STORAGE_DEADLINE_S:g} s", "the mount hangs: look at its server"),
        "": (f"{path} can not be looked at", "look at it by hand, as the user that runs Standfast"),
    }
    if storage.mount and word in {"new", "local", "below"}:
        return Finding(Level.PROBLEM, qm, f"nothing is mounted on {path}", "mount it on this machine", MachineError)
    if word in problems:
        return Finding(Level.PROBLEM, qm, *problems[word], MachineError)
    if shared and word in {"new", "local"}:
        action = "let all data members share it, and set mount = true where it is a mount point"
        return Finding(
            Level.WARNING, qm, f"{path} is on this machine's own disk: another member would not see it", action
        )
    return _ok(qm, f"{path} can be written")
