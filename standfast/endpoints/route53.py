"""The kind `route53`: a name in a hosted zone of Amazon Route 53 that leads to the owner.

Guaranteed: an owner under a smaller epoch never takes the name from one under a larger epoch. Beside the name stands a
TXT record `_standfast.NAME` with the claim. Name and claim are changed in one batch, which deletes the very claim that
was found; Route 53 carries out a batch whole or not at all, and refuses to delete a record that is not there with these
very values. So a call that was delayed fails when another owner has changed the claim meanwhile.

Not guaranteed: when clients follow. Route 53 answers with the new address within a minute, resolvers keep the old one
for the record's time to live, and some clients (JVMs) for longer.
"""

import ipaddress
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from standfast.endpoints.aws import client, judged, obstacles
from standfast.endpoints.kind import Claim, Outcome, Standing, State
from standfast.endpoints.options import option_problems, read_options
from standfast.ports import Remark

_TTL_MOST_S = 86_400
_CLAIM_TTL_S = 10


class Route53Options(Struct, frozen=True, kw_only=True):
    """See docs/aws-endpoints.md."""

    zone_id: str
    name: str
    ttl_s: int = 10
    region: str = ""


class Route53:
    """See kind.Directory."""

    kind = "route53"
    option_names = frozenset(Route53Options.__struct_fields__)

    def problems(self, options: dict[str, Any]) -> list[str]:
        """See kind.Endpoint."""
        found = option_problems(options, Route53Options)
        if not found:
            read = read_options(options, Route53Options)
            if not 0 <= read.ttl_s <= _TTL_MOST_S:
                found.append(f"ttl_s = {read.ttl_s} must be 0 to {_TTL_MOST_S} seconds.")
            if "." not in read.name.strip(".") or " " in read.name:
                found.append(f'name = {read.name!r} must be a whole name, such as "orders.example.com".')
        return found

    async def examine(self, options: dict[str, Any]) -> list[Remark]:  # noqa: ARG002 - asking would be a call
        """See kind.Endpoint."""
        return obstacles()

    @judged
    def lead(self, options: dict[str, Any], claim: Claim, leased: Callable[[], bool]) -> Outcome:
        """See kind.Directory."""
        read = read_options(options, Route53Options)
        name = read.name.strip(".") + "."
        dns = client("route53", read.region or "us-east-1")  # a global service
        kind = "A" if ipaddress.ip_address(claim.address).version == 4 else "AAAA"  # noqa: PLR2004
        old = _look(dns, read.zone_id, f"_standfast.{name}", "TXT")
        mark = old["ResourceRecords"][0]["Value"].strip('"') if old else ""
        standing = claim.against(mark)
        if mark and standing is Standing.NEWER:
            return Outcome(State.NEWER, "a later owner has it")
        if mark and standing is Standing.FOREIGN:
            return Outcome(State.REFUSED, f"the record _standfast.{name} names another cluster or queue manager")
        leads = _record(name, kind, read.ttl_s, claim.address)
        if standing is Standing.OURS and _look(dns, read.zone_id, name, kind) == leads:
            return Outcome(State.LEADS)
        if not leased():
            return Outcome(State.AGAIN, "the lease has ended")
        changes = [{"Action": "DELETE", "ResourceRecordSet": old}] if old else []
        changes.append(_change("CREATE", _record(f"_standfast.{name}", "TXT", _CLAIM_TTL_S, f'"{claim.mark}"')))
        changes.append(_change("UPSERT", leads))
        batch = {"Comment": f"standfast: {claim.mark}", "Changes": changes}
        dns.change_resource_record_sets(HostedZoneId=read.zone_id, ChangeBatch=batch)
        return Outcome(State.LEADS, claim.address)


def _record(name: str, kind: str, ttl_s: int, value: str) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "TTL": ttl_s, "ResourceRecords": [{"Value": value}]}


def _change(action: str, record: dict[str, Any]) -> dict[str, Any]:
    return {"Action": action, "ResourceRecordSet": record}


def _look(dns: Any, zone: str, name: str, kind: str) -> dict[str, Any] | None:
    found = dns.list_resource_record_sets(HostedZoneId=zone, StartRecordName=name, StartRecordType=kind, MaxItems="1")
    for record in found["ResourceRecordSets"]:
        if (record["Name"], record["Type"]) == (name, kind):
            return dict(record)
    return None
