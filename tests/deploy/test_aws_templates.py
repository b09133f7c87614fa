"""The CloudFormation templates: correct for cfn-lint, and created and deleted for real in moto's AWS."""

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import RouteTable
from moto.elbv2.models import ELBv2Backend, FakeTargetGroup, elbv2_backends

from standfast.clusterfile import read

AWS = Path(__file__).parents[2] / "deploy/aws"
TEMPLATES = ("cluster.yaml", "single.yaml")
REGION = "eu-central-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    create = ELBv2Backend.create_load_balancer

    def create_network(self: ELBv2Backend, *args: Any, **more: Any) -> Any:
        """What moto's CloudFormation leaves out: it makes every load balancer one for HTTP."""
        return create(self, *args, **{**more, "loadbalancer_type": "network"})

    monkeypatch.setattr(ELBv2Backend, "create_load_balancer", create_network)
    for kind, delete in LEFT.items():
        monkeypatch.setattr(kind, "delete", delete, raising=False)
    with mock_aws():
        yield boto3.client


def delete_routes(self: RouteTable, *_: str) -> None:
    for association in list(self.associations):
        self.ec2_backend.disassociate_route_table(association["RouteTableAssociationId"])
    self.ec2_backend.delete_route_table(self.id)


def delete_gateway(self: InternetGateway, *_: str) -> None:
    self.ec2_backend.detach_internet_gateway(self.id, self.vpc.id)
    self.ec2_backend.delete_internet_gateway(self.id)


def delete_interface(self: NetworkInterface, *_: str) -> None:
    self.ec2_backend.delete_network_interface(self.id)


def delete_targets(self: FakeTargetGroup, account: str, region: str) -> None:
    elbv2_backends[account][region].delete_target_group(self.arn)


LEFT = {
    RouteTable: delete_routes,
    InternetGateway: delete_gateway,
    NetworkInterface: delete_interface,
    FakeTargetGroup: delete_targets,
}
"""What moto's CloudFormation leaves behind of a deleted stack; route tables keep it from deleting their VPC, too."""


def stack(aws: Any, template: str, **parameters: str) -> dict[str, str]:
    """Create one; the physical name of each resource by its logical one."""
    image = aws("ec2").describe_images()["Images"][0]["ImageId"]
    given = {"Image": image, **parameters}
    formation = aws("cloudformation")
    formation.create_stack(
        StackName="shop",
        TemplateBody=(AWS / template).read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    assert formation.describe_stacks(StackName="shop")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    found = formation.list_stack_resources(StackName="shop")["StackResourceSummaries"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}


def network(aws: Any) -> dict[str, str]:
    """Parameters that name the VPC and the three subnets that every account of moto has."""
    subnets = aws("ec2").describe_subnets()["Subnets"]
    named = {f"Subnet{which}": one["SubnetId"] for which, one in zip("ABW", subnets, strict=True)}
    return {"VpcId": subnets[0]["VpcId"], **named}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_no_fault_that_cfn_lint_knows(template: str):
    program = shutil.which("cfn-lint", path=str(Path(sys.executable).parent))
    assert program, "cfn-lint is missing: scripts/setup.sh test"
    said = subprocess.run([program, AWS / template], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_no_password_and_makes_its_secrets(template: str):
    text = (AWS / template).read_text()
    parameters = text[text.index("\nParameters:") : text.index("\nConditions:")]
    assert not re.search(r"(?i)password|secret", parameters)
    assert text.count("GenerateSecretString") == 2


def test_the_cluster_is_three_groups_of_one_with_addresses_that_stay(aws):
    made = stack(aws, "cluster.yaml")
    groups = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {g["AutoScalingGroupName"]: (g["MinSize"], g["MaxSize"], len(g["Instances"])) for g in groups} == {
        f"shop-{member}": (1, 1, 1) for member in "abw"
    }
    assert len({g["VPCZoneIdentifier"] for g in groups}) == 3
    assert {g["HealthCheckType"] for g in groups} == {"EC2"}

    text = aws("ssm").get_parameter(Name=made["ClusterFile"])["Parameter"]["Value"]
    reading = read(text.encode())
    assert reading.problems == ()
    assert (reading.cluster.aws.report_unhealthy, reading.cluster.aws.follow_notices) == (True, True)
    interfaces = aws("ec2").describe_network_interfaces()["NetworkInterfaces"]
    addresses = {one["NetworkInterfaceId"]: one["PrivateIpAddress"] for one in interfaces}
    assert {m.name: m.addresses for m in reading.cluster.members} == {
        name: (addresses[made[f"Interface{name.upper()}"]],) for name in "abw"
    }


def there(aws: Any) -> dict[str, int]:
    """How much there is of everything that a stack makes here, but for what holds messages."""
    ec2, balancing, scaling, iam = aws("ec2"), aws("elbv2"), aws("autoscaling"), aws("iam")
    live = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    return {
        "groups": len(scaling.describe_auto_scaling_groups()["AutoScalingGroups"]),
        "instances": len(ec2.describe_instances(Filters=live)["Reservations"]),
        "interfaces": len(member_interfaces(ec2)),
        "internet gateways": len(ec2.describe_internet_gateways()["InternetGateways"]),
        "launch templates": len(ec2.describe_launch_templates()["LaunchTemplates"]),
        "load balancers": len(balancing.describe_load_balancers()["LoadBalancers"]),
        "mount targets": sum(one["NumberOfMountTargets"] for one in aws("efs").describe_file_systems()["FileSystems"]),
        "parameters": len(aws("ssm").describe_parameters()["Parameters"]),
        "profiles": len(iam.list_instance_profiles()["InstanceProfiles"]),
        "roles": len(iam.list_roles()["Roles"]),
        "route tables": len(ec2.describe_route_tables()["RouteTables"]),
        "security groups": len(ec2.describe_security_groups()["SecurityGroups"]),
        "subnets": len(ec2.describe_subnets()["Subnets"]),
        "target groups": len(balancing.describe_target_groups()["TargetGroups"]),
        "topics": len(aws("sns").list_topics()["Topics"]),
        "VPCs": len(ec2.describe_vpcs()["Vpcs"]),
    }


def member_interfaces(ec2: Any) -> list[dict[str, Any]]:
    found = ec2.describe_network_interfaces()["NetworkInterfaces"]
    return [one for one in found if one["Description"].startswith("Member ")]


@pytest.mark.parametrize("own_network", [True, False], ids=["a network of its own", "a network that exists"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_what_was_made_is_gone_with_the_stack_but_for_the_messages(aws, template: str, own_network: bool):
    before = there(aws)
    stack(aws, template, **({} if own_network else network(aws)))
    made = {kind: number - before[kind] for kind, number in there(aws).items()}
    none = set() if own_network else {"internet gateways", "route tables", "subnets", "VPCs"}
    none |= {"load balancers", "target groups"} if template == "single.yaml" else set()
    assert {kind for kind, number in made.items() if not number} == none
    aws("cloudformation").delete_stack(StackName="shop")
    assert there(aws) == before
    assert len(aws("efs").describe_file_systems()["FileSystems"]) == 1


def test_an_existing_network_and_file_system_are_used_and_no_others_made(aws):
    there = aws("efs").create_file_system(CreationToken="there")["FileSystemId"]
    where = network(aws)
    made = stack(aws, "cluster.yaml", FileSystemId=there, **where)
    assert not {"Vpc", "NewSubnetA", "FileSystem", "MountTargetA"} & made.keys()
    groups = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert [g["VPCZoneIdentifier"] for g in sorted(groups, key=lambda g: g["AutoScalingGroupName"])] == [
        where[f"Subnet{which}"] for which in "ABW"
    ]
    assert f"FILE_SYSTEM={there}\n" in user_data(aws, made["LaunchA"])


def user_data(aws: Any, launch: str) -> str:
    """What cloud-init would run."""
    versions = aws("ec2").describe_launch_template_versions(LaunchTemplateId=launch)["LaunchTemplateVersions"]
    return base64.b64decode(versions[0]["LaunchTemplateData"]["UserData"]).decode()


def test_the_small_cluster_is_one_data_node_in_either_of_two_zones(aws):
    made = stack(aws, "single.yaml")
    groups = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    zones = {g["AutoScalingGroupName"]: g["VPCZoneIdentifier"].count("subnet-") for g in groups}
    assert zones == {"shop-d": 2, "shop-u": 1, "shop-w": 1}
    text = aws("ssm").get_parameter(Name=made["ClusterFile"])["Parameter"]["Value"]
    reading = read(text.encode())
    assert reading.problems == ()
    assert (reading.cluster.aws.report_unhealthy, reading.cluster.aws.follow_notices) == (True, True)
    assert reading.cluster.member("d").addresses == ("10.255.255.1",)
    assert "OVERLAY=10.255.255.1\n" in user_data(aws, made["LaunchD"])


@pytest.mark.parametrize("template", TEMPLATES)
def test_nobody_may_do_more_than_his_member_needs(template: str):
    """Every right is one for certain things; what can not be named is tied to a tag of this member."""
    text = (AWS / template).read_text()
    assert not re.search(r"Resource: \"?\*", text)
    assert not re.search(r"Action: .*\*", text)
    wide = re.findall(r"Resource: .*(?:instance|network-interface)/\*\"\n(.*)\n", text)
    assert wide
    assert all("Condition" in following for following in wide)


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_the_templates_tell_an_instance_is_what_it_reads(template: str):
    """Names in aws.conf, against those that the programs on the instance use."""
    given = set(re.findall(r"^ +([A-Z_]+)=", (AWS / template).read_text(), re.MULTILINE))
    programs = (AWS / "join").read_text() + (AWS / "signal").read_text()
    assert all(re.search(rf"\$\{{?{name}\b", programs) for name in given)
