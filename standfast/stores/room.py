"""Making room in a full store: compact, defragment one member after the other, and take the alarm back.

Guarantees: nothing that Standfast keeps is deleted (only what was overwritten or deleted before is forgotten), except
the oldest events when that is asked for; at most one member is out of action at a time, and the leader is the last;
the alarm is taken back only when every member that answers has room again, so that the next write does not raise it.
Does not guarantee room: a store whose living data fill the quota needs a larger one.

While a member is defragmented its etcd answers nothing, for about a second per hundred megabytes. Queue managers do
not depend on it; a change of owner that falls into that time waits or goes to another endpoint.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from standfast.errors import StoreFatal, StoreFull
from standfast.stores import etcd_wire as wire
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_errors import Failed, store_error
from standfast.stores.etcd_http import Gateway
from standfast.stores.health import ASK_S, NEARLY_FULL, EndpointHealth, ask_each

DEFRAGMENT_S = 120.0
"""For one member; etcd rewrites its whole file, at most the quota."""
COMPACT_S = 30.0
_ANSWER = wire.decoder(wire.AlarmAnswer)
"""The answers to the other requests are empty, and so are read by it as well."""
_COMPACTED = "has been compacted"
"""etcd's own word (ErrCompacted of its mvcc) for a revision that is forgotten already."""


class Made(Struct, frozen=True, kw_only=True):
    """What became of one endpoint: its file in bytes before and after, or why it was left as it was."""

    endpoint: str
    before_bytes: int = 0
    after_bytes: int = 0
    skipped: str = ""


class Room(Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        revision: up to which history was forgotten.
        endpoints: each, in the order in which they were defragmented.
        disarmed: whether an alarm was taken back.
    """

    revision: int
    endpoints: tuple[Made, ...]
    disarmed: bool


async def make_room(gateway: Gateway, store: Etcd, quota_bytes: int, progress: Callable[[str], None]) -> Room:
    """Do all of it; `progress` hears each endpoint before it is defragmented.

    `quota_bytes` counts where an endpoint does not tell its own. Raises StoreFull when a member is still without room
    at the end, StoreError's other kinds when the store can not be asked; asking again is harmless.
    """
    revision = (await store.read(0)).revision
    await _compact(gateway, revision)
    before = {one.endpoint: one for one in await ask_each(gateway)}
    made: list[Made] = []
    for one in sorted(before.values(), key=lambda one: one.leads):
        if one.silent:
            made.append(Made(endpoint=one.endpoint, skipped=one.silent))
        else:
            progress(one.member or one.endpoint)
            try:
                await _one(gateway, one.endpoint, wire.DEFRAGMENT, {}, DEFRAGMENT_S)
            except Failed as failed:
                raise store_error("defragmenting", [failed]) from failed
    after = await ask_each(gateway)
    made += [
        Made(endpoint=one.endpoint, before_bytes=before[one.endpoint].db_bytes, after_bytes=one.db_bytes)
        for one in after
        if not before[one.endpoint].silent
    ]
    _require_room(after, quota_bytes)
    return Room(revision=revision, endpoints=tuple(made), disarmed=await _disarm(gateway))


async def _compact(gateway: Gateway, revision: int) -> None:
    """Forget what was before `revision`; that it is forgotten already is as good."""
    try:
        await _any(gateway, "compacting", wire.COMPACT, {"revision": str(revision), "physical": True}, COMPACT_S)
    except StoreFatal as error:
        if _COMPACTED not in str(error):
            raise


def _require_room(endpoints: tuple[EndpointHealth, ...], quota_bytes: int) -> None:
    for one in endpoints:
        quota = one.quota_bytes or quota_bytes
        if not one.silent and quota and one.db_bytes >= NEARLY_FULL * quota:
            raise StoreFull(
                f"{one.member or one.endpoint} still uses {one.db_bytes} of the {quota} bytes of its quota: what is "
                f"kept fills the store. Keep fewer events (--keep-events), or give etcd a larger quota "
                f"(--quota-backend-bytes) and start it again; then run `standfast store make-room` once more."
            )


async def _disarm(gateway: Gateway) -> bool:
    """Take back each NOSPACE alarm; whether there was one."""
    answer = await _any(gateway, "asking for alarms", wire.ALARM, {"action": "GET"}, ASK_S)
    full = [one for one in answer.alarms if one.alarm == wire.NOSPACE]
    for one in full:
        request = {"action": "DEACTIVATE", "memberID": str(one.member_id), "alarm": wire.NOSPACE}
        await _any(gateway, "taking the alarm back", wire.ALARM, request, ASK_S)
    return bool(full)


async def _any(gateway: Gateway, doing: str, path: str, request: dict[str, Any], within_s: float) -> wire.AlarmAnswer:
    """Ask one endpoint after the other, for each of these may be done twice; raises StoreError's kinds."""
    failures: list[Failed] = []
    for endpoint in gateway.order():
        try:
            return await _one(gateway, endpoint, path, request, within_s)
        except Failed as failed:
            failures.append(failed)
    raise store_error(doing, failures)


async def _one(
    gateway: Gateway, endpoint: str, path: str, request: dict[str, Any], within_s: float
) -> wire.AlarmAnswer:
    until = asyncio.get_running_loop().time() + within_s
    return await gateway.call(endpoint, path, request, _ANSWER, write=False, until=until)


__all__ = ["Made", "Room", "make_room"]
