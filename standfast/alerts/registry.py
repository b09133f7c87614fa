"""Kinds of sinks and the files that speak to them, imported when there is one: most machines need few of them."""

import importlib
from typing import Final

from standfast.alerts.sink import Door, Sink
from standfast.errors import MachineError
from standfast.model.sinks import SinkKind, SinkSpec

MODULES: Final = {
    SinkKind.AMQP: ("amqp", "Amqp"),
    SinkKind.AMQP091: ("amqp091", "Amqp091"),
    SinkKind.MQTT: ("mqtt", "Mqtt"),
    SinkKind.NATS: ("nats", "Nats"),
    SinkKind.SNMP: ("snmp", "Snmp"),
    SinkKind.WEBHOOK: ("webhook", "Webhook"),
    SinkKind.SYSLOG: ("syslog", "Syslog"),
    SinkKind.COMMAND: ("command", "Command"),
}


def connect(spec: SinkSpec, where: Door) -> Sink:
    """A sink of that kind, not connected yet; raises MachineError when its client is not installed."""
    module, name = MODULES[spec.kind]
    try:
        kind = getattr(importlib.import_module(f"standfast.alerts.{module}"), name)
    except ImportError as error:
        raise MachineError(
            f"sinks of kind {spec.kind} need the Python package of {error.name}: pip install 'standfast[alerts]'"
        ) from error
    sink: Sink = kind(spec, where)
    return sink
