"""What `check` finds of the sinks of events on this machine: clients installed, secrets readable, names known."""

import asyncio
import importlib
import socket

from standfast.alerts.registry import MODULES
from standfast.alerts.sink import Door, door, secret, tls
from standfast.cli.machine import Finding
from standfast.cli.words import Level
from standfast.errors import KeyFileError, MachineError, StandfastError
from standfast.model.cluster import Cluster
from standfast.model.sinks import SinkSpec

LOOKUP_S = 3.0
_FILES = ("password_file", "privacy_password_file", "secret_file", "token_file")


async def sink_findings(cluster: Cluster, me: str) -> list[Finding]:
    """One line for each sink; nothing is sent."""
    return [await _finding(sink, me) for sink in cluster.sinks]


async def _finding(sink: SinkSpec, me: str) -> Finding:
    subject = f"sink {sink.name}"
    try:
        importlib.import_module(f"standfast.alerts.{MODULES[sink.kind][0]}")
        for file in filter(None, (sink.password_file, *(sink.options.get(key) for key in _FILES))):
            secret(file, "a secret")
        here = {sink.queue_manager: ("", 0)} if sink.queue_manager else {}
        where = door(sink, here, me)
        tls(sink, where)
    except ImportError as error:
        action = "pip install 'standfast[alerts]'"
        return Finding(Level.PROBLEM, subject, f"the Python package of {error.name} is missing", action, MachineError)
    except StandfastError as error:
        return Finding(Level.PROBLEM, subject, str(error), "mend it on this machine", KeyFileError)
    if where.host and not await _known(where):
        action = "mend the name or the name service; an address in figures needs neither"
        return Finding(Level.WARNING, subject, f"{where.host} is not known here within {LOOKUP_S:g} s", action)
    return Finding(Level.OK, subject, f"{sink.kind}, ready; `standfast alert test {sink.name}` sends something")


async def _known(where: Door) -> bool:
    try:
        async with asyncio.timeout(LOOKUP_S):
            await asyncio.get_running_loop().getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return False
    return True
