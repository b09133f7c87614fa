"""The JSON schema (draft 2020-12) of every event as a CloudEvent, made from the catalogue."""

from typing import Any

from standfast.alerts.cloudevents import SCHEMA, TYPE_PREFIX
from standfast.model.event_fields import CARRIED, FIELDS, FieldType
from standfast.model.events import CATALOGUE, EventKind, Severity

_TYPES = {
    FieldType.TEXT: "string",
    FieldType.WHOLE: "integer",
    FieldType.NUMBER: "number",
    FieldType.FLAG: "boolean",
}
_TEXT = {"type": "string"}


def schema() -> dict[str, Any]:
    """The schema; kinds that it does not know are of a newer release and are let through."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "An event of a Standfast cluster",
        "type": "object",
        "required": [
            *("specversion", "id", "source", "type", "subject", "time"),
            *("severity", "datacontenttype", "dataschema", "data"),
        ],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "description": "Equal ids of one source are the same event."},
            "source": {"type": "string", "pattern": "^/clusters/[^/]+/members/[^/]+$"},
            "type": {"type": "string", "pattern": "^standfast\\.[a-z_]+$"},
            "subject": {**_TEXT, "description": "The member, queue manager, sink or cluster that it is about."},
            "time": {"type": "string", "format": "date-time"},
            "severity": {"enum": [*Severity]},
            "sequence": {"type": "string", "pattern": "^[0-9]{16}\\.[0-9]{4}$"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"const": SCHEMA},
            "data": {
                "type": "object",
                "required": ["cluster", "member", "meaning", "action", "fields"],
                "properties": {
                    **dict.fromkeys(("cluster", "member", "meaning", "action"), _TEXT),
                    "fields": {"type": "object"},
                },
            },
        },
        "allOf": [_of(kind) for kind in EventKind],
    }


def _of(kind: EventKind) -> dict[str, Any]:
    """What holds of one kind."""
    carried = CARRIED[kind]
    fields = {name: _field(name, "") for name in carried.always} | {
        name: _field(name, "null") for name in carried.perhaps
    }
    said = {"type": "object", "required": [*carried.always], "properties": fields, "additionalProperties": False}
    return {
        "if": {"properties": {"type": {"const": f"{TYPE_PREFIX}{kind}"}}},
        "then": {
            "description": CATALOGUE[kind].meaning,
            "properties": {
                "severity": {"const": CATALOGUE[kind].severity},
                "data": {"properties": {"fields": said}},
            },
        },
    }


def _field(name: str, other: str) -> dict[str, Any]:
    held = _TYPES[FIELDS[name].type]
    return {"type": [held, other] if other else held, "description": FIELDS[name].meaning}
