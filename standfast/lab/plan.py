"""What a lab consists of: a cluster file, keys and directories below one directory."""

import random
import secrets
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import structs

from standfast.clusterfile import load, template
from standfast.errors import MachineError
from standfast.lab import network
from standfast.managers.registry import driver
from standfast.model.cluster import API_PORT, Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.ports import Place
from standfast.trust import write_trust

CLUSTER_FILE = "cluster.toml"
TRUST = "trust"
STATE = "state"
RUN = "run"
SHARED = "shared"
NAMESPACES = "namespaces"
"""File with the prefix of the lab's network namespaces; a lab on loopback addresses has none."""
USER, PASSWORD = "lab", "password"
"""Who may log in, and the file with the password, where the kind of queue manager lets nobody in without."""
_TRIES = 100


def _login(directory: Path) -> dict[str, Any]:
    """Options for kinds that let nobody in over the network without."""
    file = directory / PASSWORD
    file.touch(mode=0o600)
    file.write_text(secrets.token_urlsafe() + "\n", encoding="ascii")
    return {"user": USER, "password_file": str(file)}


def free_net(members: int, *ports: int) -> str:
    """The first three numbers of loopback addresses on which nothing listens (on these TCP ports either).

    Raises MachineError.
    """
    for _ in range(_TRIES):
        net = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}"  # noqa: S311 - to stay out of the way
        if all(_free(f"{net}.{number}", *ports) for number in range(1, members + 1)):
            return net
    raise MachineError("No free loopback addresses were found. Stop the labs that still run: standfast lab down.")


def _free(address: str, *more: int) -> bool:
    used = MemberSpec(name="", role=Role.DATA, addresses=(address,))
    tcp = (used.store_client_port, used.store_peer_port, used.health_port, API_PORT, *more)
    for kind, port in ((socket.SOCK_DGRAM, used.heartbeat_port), *((socket.SOCK_STREAM, port) for port in tcp)):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def plan(
    directory: Path,
    *,
    name: str = "lab",
    data: Iterable[str] = ("a", "b"),
    witnesses: Iterable[str] = ("w",),
    kind: str = "nats",
    queue_manager: str = "orders",
    port: int = 4222,
    profile: str = "fast",
    restart_window_s: float = 60.0,
    namespaces: bool = False,
    api: bool = False,
    options: dict[str, Any] | None = None,
) -> Cluster:
    """Write cluster file, keys and directories of a new lab, on loopback addresses or in network namespaces.

    Raises MachineError when the directory holds a lab, or when this user can make no namespaces here.
    """
    directory = directory.absolute()  # as the cluster file must name the storage
    if (directory / CLUSTER_FILE).exists():
        raise MachineError(f"{directory} holds a lab already. Take it down first: standfast lab down {directory}")
    roles = [(name, Role.DATA) for name in data] + [(name, Role.WITNESS) for name in witnesses]
    if namespaces:
        network.require()
    net = network.NET if namespaces else free_net(len(roles), port)
    members = tuple(
        MemberSpec(name=member, role=role, addresses=(f"{net}.{number}",), api_port=API_PORT if api else 0)
        for number, (member, role) in enumerate(roles, 1)
    )
    for part in (STATE, RUN, SHARED):
        (directory / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    spec = QueueManagerSpec(
        name=queue_manager,
        kind=kind,
        port=port,
        storage=StorageSpec(path=str(directory / SHARED / queue_manager)),
        restart_window_s=restart_window_s,
        options=options or {},
    )
    manager = driver(kind)
    if "password_file" in manager.option_names and manager.problems(Place.of(spec, directory, members[0].addresses[0])):
        spec = structs.replace(spec, options=_login(directory) | spec.options)
    cluster_id = uuid.uuid4().hex
    text = template(name, cluster_id, members, (spec,), profile=profile)
    if namespaces:
        (directory / NAMESPACES).write_text(f"standfast-{cluster_id[:8]}\n", encoding="ascii")
    (directory / CLUSTER_FILE).write_text(text, encoding="utf-8")
    written = load(directory / CLUSTER_FILE)
    write_trust(directory / TRUST, written)
    return written
