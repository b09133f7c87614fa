"""Where etcd's raft leadership sits, and moving it.

Kept on a witness, so that losing a data node costs no election of the store. A matter of speed, never of safety.
"""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed, store_error
from standfast.stores.etcd_http import Gateway

_STATUS, _MEMBERS, _MOVE = (
    wire.decoder(wire.StatusAnswer),
    wire.decoder(wire.MembersAnswer),
    wire.decoder(wire.MoveAnswer),
)


class Leadership(StrEnum):
    """What became of the wish to have the leadership elsewhere."""

    NOT_OURS = "not_ours"  # the member asked is not the leader: only the leader can hand over
    WELL_PLACED = "well_placed"  # it sits where it shall
    MOVED = "moved"
    NO_SUCH_MEMBER = "no_such_member"  # etcd lists no member of that name


class Seat(NamedTuple):
    """What one endpoint knows.

    Attributes:
        leader: the leader's name; empty: none.
        full: whether etcd refuses writes for want of room.
        listed: by peer address, the names of all that count in etcd's majority; its id for one that never ran.
    """

    leader: str
    full: bool
    listed: Mapping[str, str]


async def seat(gateway: Gateway, within_s: float) -> Seat:
    """As the gateway's first endpoint knows it; raises StoreUnavailable or StoreFatal."""
    endpoint = gateway.endpoints[0]
    until = asyncio.get_running_loop().time() + within_s
    try:
        status = await gateway.call(endpoint, wire.STATUS, {}, _STATUS, write=False, until=until)
        listed = await gateway.call(endpoint, wire.MEMBERS, {}, _MEMBERS, write=False, until=until)
    except Failed as failed:
        raise store_error("asking who leads the store", [failed]) from failed
    leader = next((member.name for member in listed.members if member.id == status.leader), "")
    names = {url: member.name or f"{member.id:x}" for member in listed.members for url in member.peer_urls}
    return Seat(leader, any(wire.NOSPACE in error for error in status.errors), names)


async def move_leadership(gateway: Gateway, to: str, within_s: float) -> Leadership:
    """Hand the raft leadership from the gateway's first endpoint to member `to`, if that endpoint is the leader.

    etcd answers when the new leader is elected. Raises StoreUnavailable or StoreFatal; asking again is harmless.
    """
    endpoint = gateway.endpoints[0]
    until = asyncio.get_running_loop().time() + within_s
    try:
        status = await gateway.call(endpoint, wire.STATUS, {}, _STATUS, write=False, until=until)
        if status.header.member_id != status.leader:
            return Leadership.NOT_OURS
        listed = await gateway.call(endpoint, wire.MEMBERS, {}, _MEMBERS, write=False, until=until)
        ids = {member.name: member.id for member in listed.members}
        if to not in ids:
            return Leadership.NO_SUCH_MEMBER
        if ids[to] == status.leader:
            return Leadership.WELL_PLACED
        await gateway.call(endpoint, wire.MOVE, {"targetID": str(ids[to])}, _MOVE, write=False, until=until)
    except Failed as failed:
        raise store_error(f"moving the store's leadership to {to}", [failed]) from failed
    return Leadership.MOVED
