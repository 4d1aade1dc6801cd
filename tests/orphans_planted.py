"""Orphans planted by hand in the embedded cloud: of a dead environment, in a living one, and other tools'.

Most have lost their tags, or never had any: what says whose they are is their name, their content, or what
they hang on. Each is known by a label, by which texts can be compared whose ids differ from run to run.
"""

from __future__ import annotations

import datetime
import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import AccountSession
from stacks import naming
from stacks.account import AccountSpec
from tests.sandbox_helpers import IMAGE, REGION, api

ORGANIZATION, DEAD, LIVING, TEAM = "orphan-tests", "gone", "alive", "lab"
THEIRS = "others"
KARPENTER = {"karpenter.sh/nodepool": "gpus", "kubernetes.io/cluster/web": "owned"}
CLOUDFORMATION = {"aws:cloudformation:stack-name": "web", "aws:cloudformation:logical-id": "Nodes"}


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def ours(environment: str = DEAD, stack: str = "fleet") -> dict[str, str]:
    """Return the tags of a thing of the environment."""
    return {
        naming.TAG_ENVIRONMENT: environment,
        naming.TAG_TEAM: TEAM,
        naming.TAG_STACK: f"{environment}-{stack}",
    }


def account_session(cloud: Cloud, home: Path, root: Path, organization: str = ORGANIZATION) -> AccountSession:
    """Return the session of an account with a ledger and without files of environments; `root` is empty."""
    (root / "environments").mkdir()
    (root / "environments" / "account.toml").write_text(
        f'organization = "{organization}"\nregion = "{REGION}"\n'
    )
    account = AccountSpec(organization=organization, region=REGION)
    made = AccountSession(Project(root=root, home=home), cloud, account)
    ledger = naming.ledger_bucket(organization, REGION)
    made.ledger.objects.s3.create_bucket(Bucket=ledger, ObjectLockEnabledForBucket=True)
    return made


@dataclass
class Garden:
    """Where things are planted."""

    cloud: Cloud
    undo: ExitStack
    labels: dict[str, str] = field(default_factory=dict)
    """What is planted: its id -> its label."""
    beds: dict[str, set[str]] = field(default_factory=lambda: {DEAD: set(), LIVING: set(), THEIRS: set()})
    """The ids of what is planted, by what it belongs to."""
    bed: str = DEAD
    """Where the next is planted."""

    def api(self, service: str) -> Any:
        """Return a client."""
        return api(self.cloud, service)

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """Make a call and return its answer."""
        return getattr(self.api(service), operation)(**arguments)

    def plant(
        self, label: str, identity: str, service: str = "", operation: str = "", **arguments: Any
    ) -> str:
        """Note a thing that was made, and the call that takes it away again; return its id."""
        assert label not in self.labels.values(), label
        self.labels[identity] = label
        self.beds[self.bed].add(identity)
        if operation:
            self.undo.callback(self._end, service, operation, arguments)
        return identity

    def _end(self, service: str, operation: str, arguments: dict[str, Any]) -> None:
        with suppress(ClientError):  # it is gone: that is what most of these tests are about
            self.call(service, operation, **arguments)

    def tag(self, identity: str, tags: dict[str, str]) -> None:
        """Tag something of EC2's."""
        self.call("ec2", "create_tags", Resources=[identity], Tags=pairs(tags))

    def shown(self, text: str) -> str:
        """Return a text with labels in place of ids."""
        for identity in sorted(self.labels, key=len, reverse=True):
            text = text.replace(identity, f"<{self.labels[identity]}>")
        return text


def plant_network(garden: Garden) -> str:
    """Plant a VPC with our tag, and in it everything without a tag; return one of its subnets."""
    call, plant = garden.call, garden.plant
    vpc = call("ec2", "create_vpc", CidrBlock="10.61.0.0/16")["Vpc"]["VpcId"]
    plant("vpc", vpc, "ec2", "delete_vpc", VpcId=vpc)
    garden.tag(vpc, ours(stack="base"))
    subnets = []
    for number, zone in enumerate("ab"):
        block = {"CidrBlock": f"10.61.{number}.0/24", "AvailabilityZone": f"{REGION}{zone}"}
        subnet = call("ec2", "create_subnet", VpcId=vpc, **block)["Subnet"]["SubnetId"]
        subnets.append(plant(f"subnet-{zone}", subnet, "ec2", "delete_subnet", SubnetId=subnet))
    table = call("ec2", "create_route_table", VpcId=vpc)["RouteTable"]["RouteTableId"]
    plant("route-table", table, "ec2", "delete_route_table", RouteTableId=table)
    acl = call("ec2", "create_network_acl", VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    plant("acl", acl, "ec2", "delete_network_acl", NetworkAclId=acl)
    internet = call("ec2", "create_internet_gateway")["InternetGateway"]["InternetGatewayId"]
    plant("internet-gateway", internet, "ec2", "delete_internet_gateway", InternetGatewayId=internet)
    garden.undo.callback(
        garden._end, "ec2", "detach_internet_gateway", {"InternetGatewayId": internet, "VpcId": vpc}
    )
    call("ec2", "attach_internet_gateway", InternetGatewayId=internet, VpcId=vpc)
    made = call("ec2", "allocate_address", Domain="vpc")
    address = made["AllocationId"]
    garden.labels[made["PublicIp"]] = "its ip"
    plant("address", address, "ec2", "release_address", AllocationId=address)
    garden.tag(address, ours())
    nat = call("ec2", "create_nat_gateway", SubnetId=subnets[0], AllocationId=address)["NatGateway"]
    plant("nat", nat["NatGatewayId"], "ec2", "delete_nat_gateway", NatGatewayId=nat["NatGatewayId"])
    groups = []
    for label in ("group-one", "group-two"):
        group = call("ec2", "create_security_group", GroupName=label, Description="x", VpcId=vpc)["GroupId"]
        groups.append(plant(label, group, "ec2", "delete_security_group", GroupId=group))
    for one, other in (groups, groups[::-1]):  # each names the other
        rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": other}]}
        call("ec2", "authorize_security_group_ingress", GroupId=one, IpPermissions=[rule])
    interface = call("ec2", "create_network_interface", SubnetId=subnets[0])["NetworkInterface"]
    interface = interface["NetworkInterfaceId"]
    plant("interface", interface, "ec2", "delete_network_interface", NetworkInterfaceId=interface)
    endpoint = call(
        "ec2", "create_vpc_endpoint", VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.ssm",
        VpcEndpointType="Interface", SubnetIds=subnets,
    )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
    plant("endpoint", endpoint, "ec2", "delete_vpc_endpoints", VpcEndpointIds=[endpoint])
    made = call(
        "ec2", "create_flow_logs", ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL",
        LogDestinationType="cloud-watch-logs", LogGroupName=naming.log_group(DEAD, naming.FLOW_LOGS),
        DeliverLogsPermissionArn="arn:aws:iam::123456789012:role/x",
    )["FlowLogIds"][0]  # fmt: skip
    plant("flow-log", made, "ec2", "delete_flow_logs", FlowLogIds=[made])
    balancer = call("elbv2", "create_load_balancer", Name="stray", Subnets=subnets)["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    plant("balancer", arn, "elbv2", "delete_load_balancer", LoadBalancerArn=arn)
    arn = call("elbv2", "create_target_group", Name="stray", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = arn["TargetGroups"][0]["TargetGroupArn"]
    plant("target-group", arn, "elbv2", "delete_target_group", TargetGroupArn=arn)
    return str(subnets[0])


def plant_machines(garden: Garden, subnet: str) -> None:
    """Plant machines, and what they are made from and leave behind."""
    call, plant = garden.call, garden.plant
    template = call(
        "ec2", "create_launch_template", LaunchTemplateName="stray-template",
        LaunchTemplateData={
            "ImageId": IMAGE, "InstanceType": "g5.xlarge",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": pairs(ours())}],
        },
    )["LaunchTemplate"]["LaunchTemplateId"]  # fmt: skip
    plant("template", template, "ec2", "delete_launch_template", LaunchTemplateId=template)
    (started,) = call(
        "ec2", "run_instances", ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge",
        SubnetId=subnet,
    )["Instances"]  # fmt: skip
    machine = started["InstanceId"]
    plant("machine", machine, "ec2", "terminate_instances", InstanceIds=[machine])
    (asked,) = call(
        "ec2", "request_spot_instances", InstanceCount=1, Type="one-time",
        LaunchSpecification={"ImageId": IMAGE, "InstanceType": "g5.xlarge", "SubnetId": subnet},
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": pairs(ours())}],
    )["SpotInstanceRequests"]  # fmt: skip
    spot = asked["SpotInstanceRequestId"]
    plant("spot", asked["InstanceId"], "ec2", "terminate_instances", InstanceIds=[asked["InstanceId"]])
    plant("spot-request", spot, "ec2", "cancel_spot_instance_requests", SpotInstanceRequestIds=[spot])
    volume = call("ec2", "create_volume", Size=100, AvailabilityZone=f"{REGION}a", VolumeType="gp3")[
        "VolumeId"
    ]
    plant("volume", volume, "ec2", "delete_volume", VolumeId=volume)
    call("ec2", "attach_volume", VolumeId=volume, InstanceId=machine, Device="/dev/sdf")
    snapshot = call("ec2", "create_snapshot", VolumeId=volume)["SnapshotId"]
    plant("snapshot", snapshot, "ec2", "delete_snapshot", SnapshotId=snapshot)
    image = call("ec2", "create_image", InstanceId=machine, Name="stray")["ImageId"]
    plant("image", image, "ec2", "deregister_image", ImageId=image)
    call("ec2", "create_placement_group", GroupName="gone-gpu", Strategy="cluster",
         TagSpecifications=[{"ResourceType": "placement-group", "Tags": pairs(ours())}])  # fmt: skip
    plant("placement-group", "gone-gpu", "ec2", "delete_placement_group", GroupName="gone-gpu")
    call(
        "autoscaling", "create_auto_scaling_group", AutoScalingGroupName="stray-group", MinSize=0, MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"}, VPCZoneIdentifier=subnet,
    )  # fmt: skip
    group = {"AutoScalingGroupName": "stray-group", "ForceDelete": True}
    plant("scaling-group", "stray-group", "autoscaling", "delete_auto_scaling_group", **group)
    pair_tags = [{"ResourceType": "key-pair", "Tags": pairs(ours())}]
    made = call("ec2", "create_key_pair", KeyName="stray-pair", TagSpecifications=pair_tags)
    pair = made["KeyPairId"]
    plant("key-pair", pair, "ec2", "delete_key_pair", KeyName="stray-pair")
    reserved = call(
        "ec2", "create_capacity_reservation", InstanceType="g5.xlarge", InstancePlatform="Linux/UNIX",
        InstanceCount=2, TagSpecifications=[{"ResourceType": "capacity-reservation", "Tags": pairs(ours())}],
    )["CapacityReservation"]["CapacityReservationId"]  # fmt: skip
    plant("reservation", reserved, "ec2", "cancel_capacity_reservation", CapacityReservationId=reserved)
    fleet = call(
        "ec2", "create_fleet", Type="maintain",
        LaunchTemplateConfigs=[
            {"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"}}
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"},
    )["FleetId"]  # fmt: skip
    plant("fleet", fleet, "ec2", "delete_fleets", FleetIds=[fleet], TerminateInstances=True)


def plant_stores(garden: Garden, subnet: str) -> None:
    """Plant what holds data; none has a tag."""
    call, plant = garden.call, garden.plant
    bucket = naming.artifact_bucket(ORGANIZATION, DEAD, REGION)
    call("s3", "create_bucket", Bucket=bucket)
    plant("bucket", bucket, "s3", "delete_bucket", Bucket=bucket)
    call("s3", "put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        call("s3", "put_object", Bucket=bucket, Key="runs/x", Body=body)
    call("s3", "delete_object", Bucket=bucket, Key="runs/x")
    call("s3", "create_multipart_upload", Bucket=bucket, Key="half")
    system = call("efs", "create_file_system", CreationToken="stray")["FileSystemId"]
    plant("efs", system, "efs", "delete_file_system", FileSystemId=system)
    target = call("efs", "create_mount_target", FileSystemId=system, SubnetId=subnet)["MountTargetId"]
    plant("mount-target", target, "efs", "delete_mount_target", MountTargetId=target)
    access = call("efs", "create_access_point", ClientToken="stray", FileSystemId=system)["AccessPointId"]
    plant("access-point", access, "efs", "delete_access_point", AccessPointId=access)
    lustre = call(
        "fsx", "create_file_system", FileSystemType="LUSTRE", StorageCapacity=1200, SubnetIds=[subnet],
        LustreConfiguration={"DeploymentType": "SCRATCH_2"},
    )["FileSystem"]["FileSystemId"]  # fmt: skip
    plant("fsx", lustre, "fsx", "delete_file_system", FileSystemId=lustre)
    backup = call("fsx", "create_backup", FileSystemId=lustre, Tags=pairs(ours()))["Backup"]["BackupId"]
    plant("backup", backup, "fsx", "delete_backup", BackupId=backup)


def plant_ours(garden: Garden) -> str:
    """Plant what is ours, left over and alive; return the subnet that it lies in."""
    subnet = plant_network(garden)
    plant_machines(garden, subnet)
    plant_stores(garden, subnet)
    plant_services(garden)
    plant_living(garden)
    return subnet


def plant_services(garden: Garden) -> None:
    """Plant identities, keys, documents and the like; only the policy and the queue have a tag."""
    call, plant = garden.call, garden.plant
    account = call("sts", "get_caller_identity")["Account"]
    role = naming.environment_role(DEAD, naming.ROLE_HEAD, REGION)
    boundary = naming.account_policy_arn(ORGANIZATION, naming.BOUNDARY, "aws", account)
    call("iam", "create_role", RoleName=role, AssumeRolePolicyDocument="{}", PermissionsBoundary=boundary)
    plant("role", role, "iam", "delete_role", RoleName=role)
    profile = "stray-profile"
    call("iam", "create_instance_profile", InstanceProfileName=profile)
    plant("profile", profile, "iam", "delete_instance_profile", InstanceProfileName=profile)
    call("iam", "add_role_to_instance_profile", InstanceProfileName=profile, RoleName=role)
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    )
    call("iam", "put_role_policy", RoleName=role, PolicyName="own", PolicyDocument=document)
    policy = call("iam", "create_policy", PolicyName="stray", PolicyDocument=document, Tags=pairs(ours()))
    plant("policy", policy["Policy"]["Arn"], "iam", "delete_policy", PolicyArn=policy["Policy"]["Arn"])
    logs = f"arn:aws:logs:{REGION}:{account}:log-group:{naming.log_group(DEAD, '*')}"
    every = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    lets_in = [
        {**every, "Principal": {"AWS": f"arn:aws:iam::{account}:root"}},
        {
            **every,
            "Principal": {"Service": f"logs.{REGION}.amazonaws.com"},
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
        },
    ]
    key = call("kms", "create_key", Policy=json.dumps({"Version": "2012-10-17", "Statement": lets_in}))
    plant("key", key["KeyMetadata"]["KeyId"])
    call("kms", "create_alias", AliasName="alias/stray", TargetKeyId=key["KeyMetadata"]["KeyId"])
    plant("alias", "alias/stray", "kms", "delete_alias", AliasName="alias/stray")
    name = naming.run_document(DEAD)
    runs = {"schemaVersion": "2.2", "mainSteps": [{"run": "/opt/fleetform/bin/fleetform-node submit"}]}
    call("ssm", "create_document", Name=name, Content=json.dumps(runs), DocumentType="Command")
    plant("document", name, "ssm", "delete_document", Name=name)
    parameter = naming.outputs_parameter(DEAD)
    call("ssm", "put_parameter", Name=parameter, Value="x", Type="String", Tags=pairs(ours()))
    plant("parameter", parameter, "ssm", "delete_parameter", Name=parameter)
    secret = call("secretsmanager", "create_secret", Name=naming.munge_secret(DEAD), SecretString="x")["ARN"]
    plant(
        "secret", secret, "secretsmanager", "delete_secret", SecretId=secret, ForceDeleteWithoutRecovery=True
    )
    group = naming.log_group(DEAD, naming.FLOW_LOGS)
    call("logs", "create_log_group", logGroupName=group)
    plant("log-group", group, "logs", "delete_log_group", logGroupName=group)
    plant_lease(garden, DEAD, datetime.datetime(2035, 1, 1, tzinfo=datetime.UTC))
    plant_budget(garden, DEAD)
    queue = call("sqs", "create_queue", QueueName="stray", tags=ours())["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{account}:stray"
    plant("queue", arn, "sqs", "delete_queue", QueueUrl=queue)


def plant_lease(garden: Garden, environment: str, ends: datetime.datetime) -> None:
    """Plant the schedule of an environment's lease with its group and its topic, as the base stack does."""
    call, plant = garden.call, garden.plant
    name = naming.lease_name(environment, REGION)
    call("scheduler", "create_schedule_group", Name=name)
    plant(f"lease of {environment}", name, "scheduler", "delete_schedule_group", Name=name)
    call(
        "scheduler", "create_schedule", GroupName=name, Name=name, FlexibleTimeWindow={"Mode": "OFF"},
        ScheduleExpression=f"at({ends:%Y-%m-%dT%H:%M:%S})",
        Target={
            "Arn": f"arn:aws:lambda:{REGION}:123456789012:function:none",
            "RoleArn": "arn:aws:iam::123456789012:role/x",
            "Input": json.dumps({"environment": environment, "region": REGION}),
        },
    )  # fmt: skip
    garden.undo.callback(garden._end, "scheduler", "delete_schedule", {"GroupName": name, "Name": name})
    topic = call("sns", "create_topic", Name=name)["TopicArn"]
    plant(f"topic of {environment}", topic, "sns", "delete_topic", TopicArn=topic)


def plant_budget(garden: Garden, environment: str) -> None:
    """Plant the budget of an environment without a tag, and the action that hangs on it."""
    call, plant = garden.call, garden.plant
    about = {"AccountId": "123456789012", "BudgetName": naming.budget_name(environment, REGION)}
    call(
        "budgets", "create_budget", AccountId=about["AccountId"],
        Budget={
            "BudgetName": about["BudgetName"], "BudgetLimit": {"Amount": "9", "Unit": "USD"},
            "TimeUnit": "MONTHLY", "BudgetType": "COST",
        },
    )  # fmt: skip
    action = call(
        "budgets", "create_budget_action", **about, NotificationType="ACTUAL", ApprovalModel="MANUAL",
        ActionType="APPLY_IAM_POLICY",
        ActionThreshold={"ActionThresholdValue": 100, "ActionThresholdType": "PERCENTAGE"},
        Definition={"IamActionDefinition": {"PolicyArn": "arn:aws:iam::aws:policy/x", "Roles": ["x"]}},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/x",
        Subscribers=[{"SubscriptionType": "EMAIL", "Address": "a@example.com"}],
    )["ActionId"]  # fmt: skip
    plant(f"budget of {environment}", about["BudgetName"], "budgets", "delete_budget", **about)
    plant(f"action of {environment}", action, "budgets", "delete_budget_action", **about, ActionId=action)


def plant_living(garden: Garden) -> None:
    """Plant an environment that stands, and in its network an interface that nobody needs."""
    call, plant = garden.call, garden.plant
    garden.bed = LIVING
    plant_lease(garden, LIVING, datetime.datetime(2035, 1, 1, tzinfo=datetime.UTC))
    role = naming.environment_role(LIVING, naming.ROLE_NODE, REGION)
    call("iam", "create_role", RoleName=role, AssumeRolePolicyDocument="{}", Tags=pairs(ours(LIVING, "base")))
    plant("living role", role, "iam", "delete_role", RoleName=role)
    parameter = naming.outputs_parameter(LIVING)
    call("ssm", "put_parameter", Name=parameter, Value="x", Type="String")
    plant("living outputs", parameter, "ssm", "delete_parameter", Name=parameter)
    vpc = call("ec2", "create_vpc", CidrBlock="10.62.0.0/16")["Vpc"]["VpcId"]
    plant("living vpc", vpc, "ec2", "delete_vpc", VpcId=vpc)
    garden.tag(vpc, ours(LIVING, "base"))
    subnet = call("ec2", "create_subnet", VpcId=vpc, CidrBlock="10.62.0.0/24")["Subnet"]["SubnetId"]
    plant("living subnet", subnet, "ec2", "delete_subnet", SubnetId=subnet)
    garden.tag(subnet, ours(LIVING, "base"))
    stray = call("ec2", "create_network_interface", SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    plant("living stray", stray, "ec2", "delete_network_interface", NetworkInterfaceId=stray)


def plant_others(garden: Garden, subnet: str) -> None:
    """Plant what looks like ours and is another tool's, or nobody knows whose."""
    call, plant = garden.call, garden.plant
    garden.bed = THEIRS
    vpc = call("ec2", "create_vpc", CidrBlock="10.63.0.0/16")["Vpc"]["VpcId"]
    plant("their vpc", vpc, "ec2", "delete_vpc", VpcId=vpc)
    theirs = naming.security_group(DEAD, naming.SECURITY_GROUP_NODES)
    group = call("ec2", "create_security_group", GroupName=theirs, Description="x", VpcId=vpc)["GroupId"]
    plant("cloudformation's group", group, "ec2", "delete_security_group", GroupId=group)
    garden.tag(group, CLOUDFORMATION)
    disk = {"AvailabilityZone": f"{REGION}a", "VolumeType": "gp3"}
    for label, tags in (
        ("cloudformation's volume", {**ours(), **CLOUDFORMATION}),
        ("karpenter's volume", {**KARPENTER, "Name": naming.state_volume(DEAD)}),
        ("parallelcluster's volume", {**ours(), "parallelcluster:cluster-name": DEAD}),
        ("somebody's volume", {**ours(), naming.TAG_NOT_OURS: "the imaging group"}),
        ("nobody's volume", {"Name": naming.state_volume(DEAD)}),
    ):
        volume = call("ec2", "create_volume", Size=1, **disk)["VolumeId"]
        plant(label, volume, "ec2", "delete_volume", VolumeId=volume)
        garden.tag(volume, tags)
    about = {"SubnetId": subnet, "Description": "Amazon EKS web"}
    interface = call("ec2", "create_network_interface", **about)["NetworkInterface"]["NetworkInterfaceId"]
    plant("eks's interface", interface, "ec2", "delete_network_interface", NetworkInterfaceId=interface)
    for label, role, tags in (
        ("cloudformation's role", naming.environment_role(DEAD, naming.ROLE_RUN, REGION), CLOUDFORMATION),
        ("nobody's role", naming.environment_role(DEAD, naming.ROLE_NODE, REGION), {"a": "b"}),
        ("a role named alike", f"{DEAD}-head", {"a": "b"}),
    ):
        call("iam", "create_role", RoleName=role, AssumeRolePolicyDocument="{}", Tags=pairs(tags))
        plant(label, role, "iam", "delete_role", RoleName=role)
    for label, bucket in (
        ("another company's bucket", naming.artifact_bucket("other-company", DEAD, REGION)),
        ("a bucket named alike", f"{ORGANIZATION}-{DEAD}-papers"),
    ):
        call("s3", "create_bucket", Bucket=bucket)
        plant(label, bucket, "s3", "delete_bucket", Bucket=bucket)
    call("logs", "create_log_group", logGroupName=f"/aws/{DEAD}")
    plant("aws's log group", f"/aws/{DEAD}", "logs", "delete_log_group", logGroupName=f"/aws/{DEAD}")
