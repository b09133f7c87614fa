"""Which members' etcds serve, as one member can tell by asking all of them."""

import asyncio

from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed
from standfast.stores.etcd_http import Gateway

_STATUS = wire.decoder(wire.StatusAnswer)


async def silent(gateway: Gateway, within_s: float) -> dict[str, str]:
    """The endpoints that do not serve, and why: those that do not answer in time, or know no leader."""
    until = asyncio.get_running_loop().time() + within_s
    asked = gateway.endpoints
    told = await asyncio.gather(*(_trouble(gateway, endpoint, until) for endpoint in asked))
    return {endpoint: why for endpoint, why in zip(asked, told, strict=True) if why}


async def _trouble(gateway: Gateway, endpoint: str, until: float) -> str:
    try:
        await gateway.call(endpoint, wire.STATUS, {}, _STATUS, write=False, until=until)
    except Failed as failed:
        return failed.why
    return ""
