"""Taking etcds off etcd's own list whose member the cluster no longer has: it was removed, or moved to another address.

Guarantees: an entry is removed only when a linearizable read of the settings *after* the listing does not have its peer
address. A member's etcd adds itself only after the settings have the member; so what is listed and not in a later read
belongs to nobody, and its id never comes back. etcd itself refuses a removal after which those who are left would be
no majority of started and connected members. One change at a time; asking again is harmless.
Does not guarantee: that it happens soon, or while etcd has no leader. Until then the entry counts in etcd's majority.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed, store_error
from standfast.stores.etcd_http import Gateway

_MEMBERS, _CHANGED = wire.decoder(wire.MembersAnswer), wire.decoder(wire.ChangedAnswer)


async def dismiss(
    gateway: Gateway,
    expected: Collection[str],
    in_force: Callable[[], Awaitable[Collection[str]]],
    within_s: float,
) -> tuple[str, ...]:
    """Remove what the gateway's first endpoint lists and the cluster no longer has; the names of what was removed.

    Args:
        gateway: to the own etcd.
        expected: peer addresses that the cluster has, as far as is known: nothing is read while no other is listed.
        in_force: a linearizable read of them; empty when it does not say, and then nothing is removed.
        within_s: for each request.

    Raises StoreError's kinds.
    """
    endpoint, loop = gateway.endpoints[0], asyncio.get_running_loop()
    try:
        listed = await gateway.call(endpoint, wire.MEMBERS, {}, _MEMBERS, write=False, until=loop.time() + within_s)
        strangers = [member for member in listed.members if not {*member.peer_urls} & {*expected}]
        if not strangers:
            return ()
        known = {*await in_force()}
        gone = [member for member in strangers if known and not {*member.peer_urls} & known]
        for member in gone:
            request = {"ID": str(member.id)}
            await gateway.call(endpoint, wire.REMOVE, request, _CHANGED, write=True, until=loop.time() + within_s)
    except Failed as failed:
        raise store_error("taking a removed member's etcd off the list", [failed]) from failed
    return tuple(member.name or f"{member.id:x}" for member in gone)
