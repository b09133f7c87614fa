"""A cluster as the text of its file: what `read` makes of it is that same cluster again.

Only what differs from the defaults is written, in the order of the file's layout; timers as a profile where they are
one, else all of them.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from standfast.model.cluster import Cluster, EndpointSpec, FencingSpec, QueueManagerSpec
from standfast.model.sinks import SinkSpec
from standfast.model.timing import PROFILES, Timing

TABLES = "endpoints"
"""Of a queue manager: a list of tables, written after the keys."""


def written(cluster: Cluster) -> str:
    """The text; it ends with a newline."""
    tables = [
        ["[cluster]", f"name = {toml(cluster.name)}", f"id = {toml(cluster.id)}"],
        ["[timing]", *_timing(cluster.timing)],
        *(
            [f"[{name}]", *keys]
            for name in ("policy", "store", "disk", "aws")
            if (keys := [*_keys(getattr(cluster, name))])
        ),
        *_fencing(cluster.fencing),
        *(["[[member]]", *_keys(member)] for member in cluster.members),
        *([*_queue_manager(qm)] for qm in cluster.queue_managers),
        *([*_sink(sink)] for sink in cluster.sinks),
    ]
    return "\n".join("\n".join(table) + "\n" for table in tables)


def _timing(timing: Timing) -> Iterator[str]:
    for name, profile in PROFILES.items():
        if profile == timing:
            yield f"profile = {toml(name)}"
            return
    yield from (f"{key} = {value}" for key, value in msgspec.structs.asdict(timing).items())


def _fencing(spec: FencingSpec) -> Iterator[list[str]]:
    if spec.command:
        yield ["[fencing]", *_keys(spec)]
        if spec.options:
            yield ["[fencing.options]", *(f"{_key(key)} = {toml(value)}" for key, value in spec.options.items())]
        for name, options in spec.members.items():
            yield [f"[fencing.members.{name}]", *(f"{_key(key)} = {toml(value)}" for key, value in options.items())]


def _queue_manager(qm: QueueManagerSpec) -> Iterator[str]:
    yield "[[queue_manager]]"
    yield from _keys(qm)
    yield "[queue_manager.storage]"
    yield from _keys(qm.storage)
    if qm.options:
        yield "[queue_manager.options]"
        yield from (f"{_key(key)} = {toml(value)}" for key, value in qm.options.items())
    for endpoint in qm.endpoints:
        yield from endpoint_table(endpoint)


def endpoint_table(endpoint: EndpointSpec) -> Iterator[str]:
    """The lines of one endpoint of a queue manager."""
    yield "[[queue_manager.endpoints]]"
    yield f"kind = {toml(endpoint.kind)}"
    yield from (f"{_key(key)} = {toml(value)}" for key, value in endpoint.options.items())


def _sink(sink: SinkSpec) -> Iterator[str]:
    yield "[[sink]]"
    yield from _keys(sink)
    if sink.options:
        yield "[sink.options]"
        yield from (f"{_key(key)} = {toml(value)}" for key, value in sink.options.items())


def _keys(spec: Struct) -> Iterator[str]:
    for field in msgspec.structs.fields(spec):
        value = getattr(spec, field.name)
        if isinstance(value, Struct | dict) or (isinstance(spec, QueueManagerSpec) and field.name == TABLES):
            continue
        if field.required or value != field.default:
            yield f"{field.name} = {toml(value)}"


def toml(value: Any) -> str:
    """A text, number, boolean, or list or table of them in TOML, which but for tables is JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else toml(name)
