"""Loopback addresses that are not in the way of what another test process does at the same time.

Workers steal tests from each other, so that two of them may be in one module at once. Whoever binds a fixed port takes
its address from here.
"""

import os

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this test process."""


def own(net: int) -> str:
    """The first three bytes of a network of this test process, such as "127.0.30"; the same for each `net`."""
    return f"127.{WORKER}.{net}"
