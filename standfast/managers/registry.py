"""All drivers. A new kind of queue manager is one file next to this one and one line in `_ALL`.

An explicit tuple rather than discovery: the type checker sees that each driver fulfils `ports.QueueManager`, and a
reader sees at a glance what there is. `tests/managers/test_driver_suite.py` takes its drivers from here.
"""

import difflib

from standfast.errors import ClusterFileError
from standfast.managers.activemq import ActiveMq
from standfast.managers.command import Command
from standfast.managers.ibmmq import IbmMq
from standfast.managers.mosquitto import Mosquitto
from standfast.managers.nats import Nats
from standfast.managers.ocf import Ocf
from standfast.managers.rabbitmq import RabbitMq
from standfast.managers.systemd import Systemd
from standfast.ports import QueueManager

_ALL: tuple[QueueManager, ...] = (ActiveMq(), Command(), IbmMq(), Mosquitto(), Nats(), Ocf(), RabbitMq(), Systemd())
DRIVERS: dict[str, QueueManager] = {one.kind: one for one in _ALL}


def driver(kind: str) -> QueueManager:
    """The driver for a kind of queue manager; raises ClusterFileError, naming the nearest, when there is none."""
    found = DRIVERS.get(kind)
    if found is not None:
        return found
    near = difflib.get_close_matches(kind, DRIVERS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Choose one of those."
    raise ClusterFileError(
        f"Queue manager kind {kind!r} is unknown: this version drives {', '.join(sorted(DRIVERS))}. {hint}"
    )
