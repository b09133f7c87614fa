"""The kind `elastic_ip`: a public address of AWS that is associated with the owner's network interface.

Guaranteed: an owner under a smaller epoch never takes the address from one under a larger epoch. Three things see to
it: its claim is compared with the tag `standfast` on the address, before and after it writes its own; what it found
associated it ends by the id of that very association, which no other one ever has; and it associates with
AllowReassociation = False, which fails while any association stands. Every epoch makes an association of its own, also
on the machine that had the address before: else an owner in between could end, late, the one that both know. So a call
that was delayed, by however much, fails when another owner has taken the address meanwhile. At worst it sets back the
tag, which the owner finds and mends.

Not guaranteed: that the address leads somewhere all the time. Between the end of one association and the next it leads
nowhere, for about a second.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from standfast.endpoints.aws import client, judged, obstacles
from standfast.endpoints.imds import Metadata
from standfast.endpoints.kind import Claim, Outcome, Standing, State
from standfast.endpoints.options import option_problems, read_options
from standfast.ports import Remark

TAG = "standfast"


class ElasticIpOptions(Struct, frozen=True, kw_only=True):
    """See docs/aws-endpoints.md."""

    allocation_id: str
    region: str = ""


class ElasticIp:
    """See kind.Directory."""

    kind = "elastic_ip"
    option_names = frozenset(ElasticIpOptions.__struct_fields__)

    def problems(self, options: dict[str, Any]) -> list[str]:
        """See kind.Endpoint."""
        found = option_problems(options, ElasticIpOptions)
        if not found and not options["allocation_id"].startswith("eipalloc-"):
            found.append(f"allocation_id = {options['allocation_id']!r} must be that of an Elastic IP: eipalloc-...")
        return found

    async def examine(self, options: dict[str, Any]) -> list[Remark]:  # noqa: ARG002 - asking would be a call
        """See kind.Endpoint."""
        return obstacles()

    @judged
    def lead(self, options: dict[str, Any], claim: Claim, leased: Callable[[], bool]) -> Outcome:
        """See kind.Directory."""
        read = read_options(options, ElasticIpOptions)
        ec2, interface = client("ec2", read.region), Metadata().interface()
        found = _look(ec2, read.allocation_id)
        standing = claim.against(_mark(found))
        if _mark(found) and standing in _BARRED:
            return _BARRED[standing]
        if standing is Standing.OURS and found.get("NetworkInterfaceId") == interface:
            return Outcome(State.LEADS)
        if not leased():
            return _TOO_LATE
        ec2.create_tags(Resources=[read.allocation_id], Tags=[{"Key": TAG, "Value": claim.mark}])
        if _mark(_look(ec2, read.allocation_id)) != claim.mark:
            return Outcome(State.AGAIN, "another claim was written at the same time")
        if "AssociationId" in found:
            if not leased():
                return _TOO_LATE
            ec2.disassociate_address(AssociationId=found["AssociationId"])
        if not leased():
            return _TOO_LATE
        ec2.associate_address(AllocationId=read.allocation_id, NetworkInterfaceId=interface, AllowReassociation=False)
        after = _look(ec2, read.allocation_id)
        if (after.get("NetworkInterfaceId"), _mark(after)) != (interface, claim.mark):
            return Outcome(State.AGAIN, "it was changed at the same time")
        return Outcome(State.LEADS, after.get("PublicIp", ""))


_BARRED = {
    Standing.NEWER: Outcome(State.NEWER, "a later owner has it"),
    Standing.FOREIGN: Outcome(State.REFUSED, f"its tag {TAG} names another cluster or queue manager"),
}
_TOO_LATE = Outcome(State.AGAIN, "the lease has ended")


def _look(ec2: Any, allocation: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]
    return found


def _mark(address: dict[str, Any]) -> str:
    return next((tag["Value"] for tag in address.get("Tags", ()) if tag["Key"] == TAG), "")
