"""Whether members run, seen from outside: by their health ports.

Guarantees: STOPPED is said only when the member's machine itself answered that nobody listens there. A daemon that is
frozen still counts as running: its kernel takes the connection.
Does not guarantee: anything about a machine that does not answer, nor that nobody starts a member a moment later.
"""

import asyncio
from enum import StrEnum

from standfast.model.cluster import Cluster, MemberSpec

LOOK_S = 2.0
"""Longest wait for the answer of one machine."""


class Presence(StrEnum):
    """What is known of a member's daemon."""

    RUNNING = "running"  # something listens on its health port
    STOPPED = "stopped"  # its machine refuses the connection
    SILENT = "silent"  # no answer: off, cut off, or behind a packet filter


async def presences(cluster: Cluster) -> dict[str, Presence]:
    """Of every member of the cluster file, by name."""
    found = await asyncio.gather(*map(_presence, cluster.members))
    return {member.name: presence for member, presence in zip(cluster.members, found, strict=True)}


async def _presence(member: MemberSpec) -> Presence:
    try:
        async with asyncio.timeout(LOOK_S):
            _, writer = await asyncio.open_connection(member.addresses[0], member.health_port)
    except ConnectionRefusedError:
        return Presence.STOPPED
    except (OSError, TimeoutError):
        return Presence.SILENT
    writer.close()
    return Presence.RUNNING
