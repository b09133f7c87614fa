"""An AWS for machines of their own: moto as its API, a stand-in for the metadata service, and cables.

A program: it runs in the network namespace that joins the machines, reads commands as lines of JSON on its standard
input and answers each with one. What moto leaves out is added here: NLBs and signals by CloudFormation, secrets by
CloudFormation (made beforehand, under the names that user data then tell), that an interface which an ending instance
has can not be attached elsewhere, the cable of one that the API attached, and the way to an address outside of the VPC
that the API routes to an instance.

Usage: python -m tests.standins.cloud NAMESPACE TEMPLATE
"""

import base64
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

REGION = "eu-central-1"
os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}

import boto3  # noqa: E402 - reads its environment
from moto.cloudformation.responses import CloudFormationResponse  # noqa: E402
from moto.ec2.exceptions import EC2ClientError  # noqa: E402
from moto.ec2.models import EC2Backend  # noqa: E402
from moto.elbv2.models import ELBv2Backend  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

from tests.standins.metadata import MetadataStandIn  # noqa: E402

API_PORT = 5000
METADATA = "169.254.169.254"
SECRETS = ("TrustSecret", "ClientSecret")
LOOK_EVERY_S = 0.2
CREDENTIALS = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "AccessKeyId": "testing",
    "SecretAccessKey": "testing",
    "Token": "testing",
    "Expiration": "2099-01-01T00:00:00Z",
}


class Metadata(MetadataStandIn):
    """One for all instances, which it knows apart by the address of their first interface: `items` of each are `of`."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, str]] = {}
        super().__init__({}, (METADATA, 80))

    def items_for(self, address: str) -> dict[str, str]:
        """And the list of its interfaces, which changes."""
        found = self.of.get(address, {})
        macs = (name.split("/")[4] for name in found if name.endswith("/interface-id"))
        return {**found, "meta-data/network/interfaces/macs/": "".join(f"{mac}/\n" for mac in macs)}


class Cloud:
    """One account with one stack, and who is where in it."""

    def __init__(self, net: str, template: Path) -> None:
        self._net = net
        self.signals: list[str] = []
        self._plugged: set[tuple[str, str]] = set()
        self._in_use: set[str] = set()
        self._complete_moto()
        ThreadedMotoServer(ip_address="0.0.0.0", port=API_PORT, verbose=False).start()
        self._url = f"http://127.0.0.1:{API_PORT}"
        self._ec2, self._scaling = self._client("ec2"), self._client("autoscaling")
        for name in SECRETS:
            self._client("secretsmanager").create_secret(Name=f"shop-{name}", SecretString=secrets.token_hex(32))
        self._client("cloudformation").create_stack(
            StackName="shop",
            TemplateBody=template.read_text(),
            Parameters=[
                {"ParameterKey": "Image", "ParameterValue": self._ec2.describe_images()["Images"][0]["ImageId"]},
                {"ParameterKey": "QueueManagerKind", "ParameterValue": "mosquitto"},
                {"ParameterKey": "QueueManagerPort", "ParameterValue": "1883"},
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
        self._metadata = Metadata()
        for work in (self._metadata.server.serve_forever, self._plug):
            threading.Thread(target=work, daemon=True).start()

    def _client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self._url)  # type: ignore[call-overload]

    def _complete_moto(self) -> None:
        create, told = ELBv2Backend.create_load_balancer, self.signals

        def create_network(backend: ELBv2Backend, *args: Any, **more: Any) -> Any:
            return create(backend, *args, **{**more, "loadbalancer_type": "network"})

        def signal_resource(request: CloudFormationResponse) -> tuple[int, dict[str, str], str]:
            told.append(f"{request.querystring['LogicalResourceId'][0]} {request.querystring['Status'][0]}")
            return 200, {}, "<SignalResourceResponse/>"

        attach, in_use = EC2Backend.attach_network_interface, self._in_use

        def attach_free(backend: EC2Backend, eni_id: str, instance_id: str, device_index: int) -> Any:
            if eni_id in in_use:
                raise EC2ClientError("InvalidNetworkInterface.InUse", f"Interface: [{eni_id}] in use.")
            return attach(backend, eni_id, instance_id, device_index)

        EC2Backend.attach_network_interface = attach_free  # type: ignore[method-assign]
        ELBv2Backend.create_load_balancer = create_network  # type: ignore[method-assign]
        CloudFormationResponse.signal_resource = signal_resource  # type: ignore[attr-defined]

    # ------------------------------------------------------------ commands

    def instance(self, member: str) -> dict[str, str]:
        """The one in the member's group now: its address, and its user data as CloudFormation renders them."""
        entry = self._in_group(member)
        (reservation,) = self._ec2.describe_instances(InstanceIds=[entry["InstanceId"]])["Reservations"]
        (found,) = reservation["Instances"]
        launch = entry["LaunchTemplate"]["LaunchTemplateId"]
        (version,) = self._ec2.describe_launch_template_versions(LaunchTemplateId=launch)["LaunchTemplateVersions"]
        text = base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()
        for name in SECRETS:
            text = text.replace(f"${{{name}}}", f"shop-{name}")
        first = found["NetworkInterfaces"][0]
        self._metadata.of[found["PrivateIpAddress"]] = {
            "meta-data/instance-id": found["InstanceId"],
            "meta-data/mac": first["MacAddress"],
            "meta-data/placement/region": REGION,
            "meta-data/iam/security-credentials/": "member",
            "meta-data/iam/security-credentials/member": json.dumps(CREDENTIALS),
            **_interface(first, self._block(first)),
        }
        return {"address": found["PrivateIpAddress"], "mac": first["MacAddress"], "user_data": text}

    def terminate(self, member: str) -> dict[str, str]:
        """The instance; the group launches the next one. The member's interface is in use until `let_go`."""
        self._in_use |= {one["NetworkInterfaceId"] for one in self._interfaces_of(member)}
        self._ec2.terminate_instances(InstanceIds=[self._in_group(member)["InstanceId"]])
        return {}

    def let_go(self, member: str) -> dict[str, str]:
        """What EC2 does when a terminated instance is really gone."""
        for one in self._interfaces_of(member):
            if one.get("Attachment"):
                self._ec2.detach_network_interface(AttachmentId=one["Attachment"]["AttachmentId"], Force=True)
            self._in_use.discard(one["NetworkInterfaceId"])
        return {}

    def health(self, member: str) -> dict[str, str]:
        """What the group has been told of its instance."""
        return {"health": self._in_group(member)["HealthStatus"]}

    def password(self) -> dict[str, str]:
        """Of clients, as an operator reads it."""
        found = self._client("secretsmanager").get_secret_value(SecretId="shop-ClientSecret")
        return {"password": found["SecretString"]}

    def told(self) -> dict[str, list[str]]:
        """Signals so far."""
        return {"signals": self.signals}

    def _in_group(self, member: str) -> Any:
        groups = self._scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[f"shop-{member}"])
        (group,) = groups["AutoScalingGroups"]
        (entry,) = group["Instances"]
        return entry

    # ------------------------------------------------------------ cables

    def _members_interfaces(self) -> list[dict[str, Any]]:
        found = self._ec2.describe_network_interfaces()["NetworkInterfaces"]
        return [one for one in found if one.get("Description", "").startswith("Member ")]

    def _interfaces_of(self, member: str) -> list[dict[str, Any]]:
        return [one for one in self._members_interfaces() if one["Description"] == f"Member {member} of shop"]

    def _block(self, interface: dict[str, Any]) -> str:
        (subnet,) = self._ec2.describe_subnets(SubnetIds=[interface["SubnetId"]])["Subnets"]
        return str(subnet["CidrBlock"])

    def _plug(self) -> None:
        while True:
            for one in self._members_interfaces():
                self._plug_in(one)
            for table in self._ec2.describe_route_tables()["RouteTables"]:
                for route in table["Routes"]:
                    self._lead(route)
            time.sleep(LOOK_EVERY_S)

    def _plug_in(self, one: dict[str, Any]) -> None:
        """Whatever the API attaches becomes eth1 of that machine, with its hardware address."""
        instance = one.get("Attachment", {}).get("InstanceId", "")
        known = dict(self._metadata.of)
        address = next((a for a, items in known.items() if items["meta-data/instance-id"] == instance), "")
        if not address or (instance, one["MacAddress"]) in self._plugged:
            return
        member = one["Description"].split()[1]
        link = f"e1{member}{len(self._plugged)}"
        end = f"eth1 address {one['MacAddress']} netns {self._net}-{member}"
        _ip(f"link add {link} type veth peer name {end}")
        _ip(f"link set {link} master br0 up")
        self._metadata.of[address] |= _interface(one, self._block(one))
        self._plugged.add((instance, one["MacAddress"]))

    def _lead(self, route: dict[str, Any]) -> None:
        """A route to one address leads to the instance whose first interface it names."""
        block, interface = route.get("DestinationCidrBlock", ""), route.get("NetworkInterfaceId", "")
        for address, items in dict(self._metadata.of).items():
            if block.endswith("/32") and interface and interface in items.values():
                _ip(f"route replace {block} via {address}")


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def _interface(one: dict[str, Any], block: str) -> dict[str, str]:
    place = f"meta-data/network/interfaces/macs/{one['MacAddress']}"
    return {
        f"{place}/interface-id": one["NetworkInterfaceId"],
        f"{place}/local-ipv4s": one["PrivateIpAddress"],
        f"{place}/subnet-ipv4-cidr-block": block,
    }


def main() -> None:
    """Until the input ends."""
    logging.disable(logging.CRITICAL)
    cloud = Cloud(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        command, *words = json.loads(line)
        sys.stdout.write(json.dumps(getattr(cloud, command)(*words)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
