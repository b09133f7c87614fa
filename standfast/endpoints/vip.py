"""The kind `vip`: an address that moves with the queue manager. What its options mean, and what a machine needs for it.

The work is done by a process of its own, see `vip_bearer`.
"""

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

from msgspec import Struct

from standfast.endpoints.options import option_problems, read_options
from standfast.endpoints.vip_client import Wish
from standfast.endpoints.vip_netlink import interface_for, refuse_lasting
from standfast.model.cluster import VIP, EndpointSpec
from standfast.ports import Remark

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}
_MOST_OF_A_NAME = 15


class VipOptions(Struct, frozen=True, kw_only=True):
    """See docs/endpoints.md."""

    address: str
    interface: str = ""


class Vip:
    """See kind.Endpoint."""

    kind = VIP
    option_names = frozenset(VipOptions.__struct_fields__)

    def problems(self, options: dict[str, Any]) -> list[str]:
        """See kind.Endpoint."""
        if found := option_problems(options, VipOptions):
            return found
        read = read_options(options, VipOptions)
        if len(read.interface) > _MOST_OF_A_NAME or "/" in read.interface:
            found.append(f"interface = {read.interface!r} is no name of an interface: see `ip link`.")
        try:
            address = ipaddress.ip_address(read.address)
        except ValueError:
            return [*found, f"address = {read.address!r} is no IP address: give it in figures, without a netmask."]
        if address.is_unspecified or address.is_multicast or address.is_loopback or address.is_link_local:
            found.append(f"address = {read.address} can not be one of clients' network: take a free one in that net.")
        return found

    async def examine(self, options: dict[str, Any]) -> list[Remark]:
        """See kind.Endpoint."""
        return await asyncio.to_thread(_obstacles, read_options(options, VipOptions))  # the kernel may let it wait


def _obstacles(read: VipOptions) -> list[Remark]:
    address, found = ipaddress.ip_address(read.address), []
    try:
        interface_for(address, read.interface)
        refuse_lasting(address)
    except (LookupError, OSError) as error:
        found.append(
            f"the virtual IP {address} can not be had: {error}. Correct `address` or `interface`, or `ip addr`."
        )
    if missing := _missing_capabilities():
        found.append(
            f"the virtual IP {address} needs {' and '.join(missing)}: run Standfast as root, or add to its unit "
            f"AmbientCapabilities={' '.join(missing)}."
        )
    return [Remark(sentence) for sentence in found]


def wish_of(endpoint: EndpointSpec) -> Wish | None:
    """What the bearer is to be told of it; None when its options can not be used."""
    if Vip().problems(endpoint.options):
        return None
    read = read_options(endpoint.options, VipOptions)
    return Wish(str(ipaddress.ip_address(read.address)), read.interface)


def _missing_capabilities() -> list[str]:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    return [*_CAPABILITIES]
