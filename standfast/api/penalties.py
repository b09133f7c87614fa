"""Failed logins, by address: after a few of them an address has to wait. Pure: the time is given.

Who waits is not looked at, so that nothing is learnt by trying on. The table is bounded: when it is full, whoever
failed longest ago is forgotten.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

BURST = 5
"""Failures that cost nothing."""
REFILL_S = 10.0
"""After each of these one failure is forgiven."""
TELL_EVERY_S = 60.0
"""How often at most an address is told of."""
MOST = 4096
_IPV6_SITE = 64


@dataclass
class _Account:
    debt: float
    at_s: float
    untold: int = 0
    told_s: float | None = None


class Penalties:
    """Of one server."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address has to wait until it is looked at again; 0 when it need not."""
        account = self._accounts.get(site(address))
        return 0.0 if account is None else max(0.0, (_debt(account, now_s) - BURST + 1) * REFILL_S)

    def failed(self, address: str, now_s: float) -> int:
        """Note a failure. How many there were that nobody was told of, when it is time to tell; else 0."""
        key = site(address)
        account = self._accounts.setdefault(key, _Account(0.0, now_s))
        account.debt, account.at_s = _debt(account, now_s) + 1, now_s
        account.untold += 1
        self._accounts.move_to_end(key)
        if len(self._accounts) > MOST:
            self._accounts.popitem(last=False)
        if account.told_s is not None and now_s - account.told_s < TELL_EVERY_S:
            return 0
        count, account.untold, account.told_s = account.untold, 0, now_s
        return count


def site(address: str) -> str:
    """What counts as one address: of IPv6 the network, of which everybody has 2^64 addresses."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((parsed, _IPV6_SITE), strict=False))


def _debt(account: _Account, now_s: float) -> float:
    return max(0.0, account.debt - (now_s - account.at_s) / REFILL_S)
