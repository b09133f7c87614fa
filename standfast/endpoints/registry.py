"""All kinds of endpoints. A new one is one file next to this one and one line in `_ALL`."""

import difflib
from collections.abc import Iterable

from standfast.endpoints.elastic_ip import ElasticIp
from standfast.endpoints.kind import Endpoint
from standfast.endpoints.route53 import Route53
from standfast.endpoints.vip import Vip
from standfast.model.cluster import EndpointSpec
from standfast.ports import Remark

_ALL: tuple[Endpoint, ...] = (ElasticIp(), Route53(), Vip())
ENDPOINTS: dict[str, Endpoint] = {one.kind: one for one in _ALL}


def endpoint_problems(spec: EndpointSpec) -> list[str]:
    """What is wrong with an endpoint of the cluster file, a sentence each."""
    kind = ENDPOINTS.get(spec.kind)
    if kind is None:
        near = difflib.get_close_matches(spec.kind, ENDPOINTS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(ENDPOINTS))}."
        return [f"endpoint of kind {spec.kind!r} is unknown: {hint}"]
    return [f"endpoint {spec.kind}: {sentence}" for sentence in kind.problems(spec.options)]


async def endpoint_remarks(specs: Iterable[EndpointSpec]) -> list[Remark]:
    """What is wrong with endpoints, or in their way on this machine."""
    found = []
    for spec in specs:
        problems = [Remark(sentence) for sentence in endpoint_problems(spec)]
        found += problems or await ENDPOINTS[spec.kind].examine(spec.options)
    return found


async def endpoint_obstacles(specs: Iterable[EndpointSpec]) -> str:
    """Why this machine can not have one of them, in words; empty when it can."""
    return " ".join(remark.text for remark in await endpoint_remarks(specs) if remark.severe)
