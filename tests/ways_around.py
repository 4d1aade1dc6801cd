"""Ways around a machine: by its disks, its role, its password and what it stands in (tests/ways_in.py)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from stacks import naming
from tests.environment_parts import REGION
from tests.record_lab import ENVIRONMENT, RecordLab
from tests.sandbox_helpers import api
from tests.ways_in import Act, Clients, Planted, Way, both, described, nobody_else, only_owner

_EC2, _SSM = "ec2.amazonaws.com", "ssm.amazonaws.com"
_BALANCING = "elasticloadbalancing.amazonaws.com"
_NAMES = itertools.count(1)


def disk_ways() -> Iterator[Way]:
    """Yield them."""
    path = "disk-elsewhere"
    yield from nobody_else(path, "made a snapshot of its disk", "copy", _snapshot)
    yield from nobody_else(path, "made snapshots of its disks", "copy", _snapshots)
    yield from nobody_else(path, "attached a disk to it, or its disk elsewhere", "copy", _attach)
    yield from nobody_else(path, "took a disk off it", "copy", _detach)
    what = "replaced its root disk"
    yield Way(path, "operator", what, "refused", _replace_root)
    yield from only_owner(path, what, "copy", _named(_EC2, "CreateReplaceRootVolumeTask", "instanceId"))


def role_ways() -> Iterator[Way]:
    """Yield them."""
    path = "borrowed-role"
    yield from nobody_else(path, "gave it a role", "no entry", _give_role)
    yield from only_owner(path, "gave it another role", "no entry", _give_another_role)
    yield from nobody_else(path, "changed its metadata service", "no entry", _open_metadata)
    yield from both("console-output", "read its password", "looked at", _read_password)
    yield from only_owner("ssm-shell", "asked to enter", "no entry", _ask_to_enter)


def neighbour_ways() -> Iterator[Way]:
    """Yield them."""
    path = "other-port"
    yield from only_owner(path, "changed a rule of its security group", "no entry", _change_rule)
    yield from only_owner(path, "changed its network interface", "no entry", _change_interface)
    yield from nobody_else(path, "gave it other security groups", "no entry", _change_groups)
    classic = _named(_BALANCING, "RegisterInstancesWithLoadBalancer", "instances")
    yield from only_owner("load-balancer", "put it behind a load balancer", "no entry", classic)
    path, joined = "joined-network", "joined its network to another"
    for act in (_accept_peering, _attach_transit_gateway, _attach_vpn):
        yield from only_owner(path, joined, "no entry", act)
    path, what = "instance-connect-endpoint", "made an Instance Connect Endpoint beside it"
    yield from only_owner(path, what, "no entry", _plant_endpoint)


def window_ways() -> Iterator[Way]:
    """Yield them."""
    yield from both("automation", "put it into a maintenance window", "command", _register_task)
    what = "had State Manager run a document on it"
    for name in ("CreateAssociationBatch", "UpdateAssociation"):
        yield from only_owner("automation", what, "command", _named(_SSM, name, "instanceId"))


def _named(source: str, name: str, parameter: str) -> Act:
    return lambda lab, clients: Planted(source, name, {parameter: lab.machine})


def _disk(lab: RecordLab) -> str:
    return str(described(lab)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"])


def _snapshot(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").create_snapshot(VolumeId=_disk(lab))


def _snapshots(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").create_snapshots(InstanceSpecification={"InstanceId": lab.machine})


def _new_disk(lab: RecordLab) -> dict[str, Any]:
    zone, letter = described(lab)["Placement"]["AvailabilityZone"], "fghijklmnop"[next(_NAMES)]
    made = api(lab.cloud, "ec2").create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    return {"VolumeId": made, "InstanceId": lab.machine, "Device": f"/dev/sd{letter}"}


def _attach(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").attach_volume(**_new_disk(lab))


def _detach(lab: RecordLab, clients: Clients) -> object:
    disk = _new_disk(lab)
    api(lab.cloud, "ec2").attach_volume(**disk)
    return clients("ec2").detach_volume(**disk)


def _replace_root(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").create_replace_root_volume_task(InstanceId=lab.machine)


def _profile(lab: RecordLab) -> dict[str, str]:
    name = f"ways-{next(_NAMES)}"
    iam = api(lab.cloud, "iam")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(
        InstanceProfileName=name, RoleName=naming.environment_role(ENVIRONMENT, naming.ROLE_HEAD, REGION)
    )
    return {"Name": name}


def _give_role(lab: RecordLab, clients: Clients) -> object:
    ec2 = clients("ec2")
    return ec2.associate_iam_instance_profile(InstanceId=lab.machine, IamInstanceProfile=_profile(lab))


def _give_another_role(lab: RecordLab, clients: Clients) -> object:
    ec2, by = clients("ec2"), [{"Name": "instance-id", "Values": [lab.machine]}]
    (found,) = ec2.describe_iam_instance_profile_associations(Filters=by)["IamInstanceProfileAssociations"]
    return ec2.replace_iam_instance_profile_association(
        AssociationId=found["AssociationId"], IamInstanceProfile=_profile(lab)
    )


def _open_metadata(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").modify_instance_metadata_options(InstanceId=lab.machine, HttpTokens="optional")


def _read_password(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").get_password_data(InstanceId=lab.machine)


def _ask_to_enter(lab: RecordLab, clients: Clients) -> object:
    targets = [{"key": "InstanceIds", "values": [lab.machine]}]
    return Planted(_SSM, "StartAccessRequest", {"reason": "try", "targets": targets})


def _change_rule(lab: RecordLab, clients: Clients) -> object:
    ec2, group = clients("ec2"), described(lab)["SecurityGroups"][0]["GroupId"]
    by = [{"Name": "group-id", "Values": [group]}]
    rules = ec2.describe_security_group_rules(Filters=by)["SecurityGroupRules"]
    rule = next(each for each in rules if not each["IsEgress"])["SecurityGroupRuleId"]
    wanted = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIpv4": "0.0.0.0/0"}
    return ec2.modify_security_group_rules(
        GroupId=group, SecurityGroupRules=[{"SecurityGroupRuleId": rule, "SecurityGroupRule": wanted}]
    )


def _change_interface(lab: RecordLab, clients: Clients) -> object:
    interface = described(lab)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    return clients("ec2").modify_network_interface_attribute(
        NetworkInterfaceId=interface, SourceDestCheck={"Value": False}
    )


def _change_groups(lab: RecordLab, clients: Clients) -> object:
    groups = [each["GroupId"] for each in described(lab)["SecurityGroups"]]
    return clients("ec2").modify_instance_attribute(InstanceId=lab.machine, Groups=groups)


def _accept_peering(lab: RecordLab, clients: Clients) -> object:
    ec2 = clients("ec2")
    other = ec2.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
    asked = ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=described(lab)["VpcId"])
    peering = asked["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    return ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)


def _attach_transit_gateway(lab: RecordLab, clients: Clients) -> object:
    ec2, found = clients("ec2"), described(lab)
    gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    return ec2.create_transit_gateway_vpc_attachment(
        TransitGatewayId=gateway, VpcId=found["VpcId"], SubnetIds=[found["SubnetId"]]
    )


def _attach_vpn(lab: RecordLab, clients: Clients) -> object:
    ec2 = clients("ec2")
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    return ec2.attach_vpn_gateway(VpnGatewayId=gateway, VpcId=described(lab)["VpcId"])


def _plant_endpoint(lab: RecordLab, clients: Clients) -> object:
    return Planted(_EC2, "CreateInstanceConnectEndpoint", {"subnetId": described(lab)["SubnetId"]})


def _register_task(lab: RecordLab, clients: Clients) -> object:
    ssm = clients("ssm")
    window = ssm.create_maintenance_window(
        Name=f"task-{next(_NAMES)}",
        Schedule="rate(1 day)",
        Duration=1,
        Cutoff=0,
        AllowUnassociatedTargets=True,
    )["WindowId"]
    return ssm.register_task_with_maintenance_window(
        WindowId=window,
        Targets=[{"Key": "InstanceIds", "Values": [lab.machine]}],
        TaskArn="AWS-RunShellScript",
        TaskType="RUN_COMMAND",
    )
