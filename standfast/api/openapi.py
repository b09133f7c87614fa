"""The description of the API (OpenAPI 3.1), made from the table of routes and the types of what goes in and out."""

import functools
import inspect
import re
from typing import Any

import msgspec

from standfast import __version__
from standfast.api.answers import Failure
from standfast.api.routes import BASE, ROUTES, Route

_NAMED = re.compile(r"{(\w+)}")
_WORDS = {
    400: "What was sent is not what is described here.",
    401: "No token, or not a good one.",
    403: "The token is good, but not for this.",
    404: "There is nothing of that name.",
    409: "It was refused as things stand.",
    413: "More was sent than is taken.",
    415: "Bodies are JSON.",
    429: "Too many failed logins from this address, or busy; see Retry-After.",
    500: "An error that nobody foresaw.",
    503: "The member, or its store, does not answer.",
}
_REF = "#/components/schemas/{name}"


def codes(route: Route) -> list[int]:
    """Every status code that a route may end with, beside success."""
    found = {*route.errors, 400, 500, 503}
    if route.right is not None:
        found |= {401, 403, 429}
    if route.body is not None:
        found |= {413, 415}
    return sorted(found)


@functools.cache
def description() -> dict[str, Any]:
    """The whole of it."""
    types = [kind for route in ROUTES for kind in (route.answer, route.body) if kind and not isinstance(kind, str)]
    schemas, components = msgspec.json.schema_components([*types, Failure], ref_template=_REF)
    of = {repr(kind): schema for kind, schema in zip([*types, Failure], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(BASE + route.path, {})[route.method.lower()] = _operation(route, of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Standfast",
            "version": __version__,
            "description": "What a member of a Standfast cluster tells, and takes as orders. See docs/api.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {name: components[name] for name in sorted(components)},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`standfast token create`"},
                "certificate": {"type": "mutualTLS", "description": "`standfast token certificate`"},
            },
        },
    }


def text() -> str:
    """The same, as the file docs/openapi.json holds it."""
    return msgspec.json.format(msgspec.json.encode(description()), indent=1).decode() + "\n"


def _operation(route: Route, of: dict[str, Any]) -> dict[str, Any]:
    failure = {"application/json": {"schema": of[repr(Failure)]}}
    found: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.handler.__name__}",
        "summary": route.summary,
        "description": (inspect.getdoc(route.handler) or "") + (f" Needs: {route.right}." if route.right else ""),
        "parameters": _parameters(route),
        "responses": {
            **_success(route, of),
            **{str(code): {"description": _WORDS[code], "content": failure} for code in codes(route)},
        },
        "security": [{"token": []}, {"certificate": []}] if route.right else [{}],
    }
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": of[repr(route.body)]}}}
    return found


def _success(route: Route, of: dict[str, Any]) -> dict[str, Any]:
    if route.answer is None:
        return {"204": {"description": "Done."}}
    if isinstance(route.answer, str):
        return {"200": {"description": route.answer, "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    return {"200": {"description": "The answer.", "content": {"application/json": {"schema": of[repr(route.answer)]}}}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 63}}
        for name in _NAMED.findall(route.path)
    ]
    return named + [
        {
            "name": number.name,
            "in": "query",
            "description": number.meaning,
            "schema": {
                "type": "integer",
                "minimum": number.least,
                "maximum": number.most,
                "default": number.default,
            },
        }
        for number in route.query
    ]
