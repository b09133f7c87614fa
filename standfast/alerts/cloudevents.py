"""An event as a CloudEvent 1.0 in its JSON format (cloudevents/spec, formats/json-format.md).

``id`` with ``source`` is unique: who gets an event twice drops the second by them. ``sequence`` (an extension of the
same specification) orders the events of the store's log; those that one member alone could tell have none. ``data``
holds the fields of the catalogue under ``fields``, and what the catalogue says of the kind, so that whoever gets an
event at night needs no other document.
"""

from typing import Any, Final, cast

import msgspec

from standfast.model.events import CATALOGUE, EventKind
from standfast.model.told import StoredEvent

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
TYPE_PREFIX: Final = "standfast."
SCHEMA: Final = "urn:standfast:event:1"

_encode = msgspec.json.Encoder().encode


def cloud_event(event: StoredEvent, cluster: str) -> dict[str, Any]:
    """The event of that cluster as the specification's attributes; one of an unknown kind explains itself less."""
    entry = CATALOGUE.get(cast("EventKind", event.kind))
    said: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/clusters/{cluster}/members/{event.member}",
        "type": f"{TYPE_PREFIX}{event.kind}",
        "subject": event.subject,
        "time": event.time,
        "severity": event.severity,
        "datacontenttype": "application/json",
        "dataschema": SCHEMA,
        "data": {
            "cluster": cluster,
            "member": event.member,
            "meaning": entry.meaning if entry else "",
            "action": entry.action if entry else "",
            "fields": event.fields,
        },
    }
    if event.revision:
        said["sequence"] = sequence(event)
    return said


def sequence(event: StoredEvent) -> str:
    """Its place in the log; texts in the order of the events."""
    return f"{event.revision:016d}.{event.order:04d}"


def encoded(event: StoredEvent, cluster: str) -> bytes:
    """The JSON of it, UTF-8, on one line."""
    return _encode(cloud_event(event, cluster))
