"""Ways into a machine by its network, by keys and by consoles (tests/ways_in.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from stacks import naming
from tests.iam_helpers import ACCOUNT
from tests.record_lab import ENVIRONMENT, RecordLab
from tests.sandbox_helpers import api
from tests.ways_in import ELSEWHERE, Act, Clients, Planted, Way, described, nobody_else, only_owner

_CONNECT, _EC2 = "ec2-instance-connect.amazonaws.com", "ec2.amazonaws.com"
_KEY = "ssh-ed25519 " + "A" * 256


def network_ways() -> Iterator[Way]:
    """Yield them."""
    opened = "opened a port of its security group"
    for path, port in (
        ("ssh", 22),
        ("rdp", 3389),
        ("other-port", 8888),
        ("file-system", 2049),
        ("file-system", 988),
    ):
        yield from only_owner(path, opened, "no entry", _open(port))
    for path, port, name in (("ssh", 22, "SSH"), ("rdp", 3389, "remote desktop")):
        what = f"connected to its port {port} ({name}) from {ELSEWHERE}"
        yield from only_owner(path, what, "not recorded", _connect(port), "flow")
    yield from nobody_else("public-address", "gave it a public address", "no entry", _address)
    yield from only_owner("load-balancer", "put it behind a load balancer", "no entry", _balance)
    yield from only_owner("joined-network", "joined its network to another", "no entry", _join)


def key_ways() -> Iterator[Way]:
    """Yield them."""
    what = "put a key for SSH on it for a minute"
    yield from nobody_else("instance-connect", what, "tunnel only", _send_key)
    path = "instance-connect-endpoint"
    yield Way(path, "operator", "made an Instance Connect Endpoint beside it", "refused", _make_endpoint)
    what = "opened a tunnel by an Instance Connect Endpoint"
    yield from only_owner(path, what, "tunnel only", _open_tunnel)
    what = "entered by the serial console"
    yield Way("serial-console", "operator", what, "refused", _send_console_key)
    yield from only_owner("serial-console", what, "not recorded", _enter_console)
    what = "switched the serial console on everywhere"
    yield from nobody_else("serial-console", what, "no entry", _switch_on)


def connect(lab: RecordLab, port: int, source: str = ELSEWHERE, action: str = "ACCEPT") -> None:
    """Write what the VPC's flow log does of a connection that was made, or not let in."""
    logs, group = api(lab.cloud, "logs"), naming.log_group(ENVIRONMENT, naming.FLOW_LOGS)
    found, now = described(lab), int(lab.now().timestamp())
    interface = found["NetworkInterfaces"][0]["NetworkInterfaceId"]
    stream = f"{interface}-all"
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    fields = (2, ACCOUNT, interface, source, found["PrivateIpAddress"], 51515, port, 6, 20, 4249)
    line = " ".join(map(str, (*fields, now - 1, now, action, "OK")))
    events = [{"timestamp": now * 1000, "message": line}]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def _open(port: int) -> Act:
    def act(lab: RecordLab, clients: Clients) -> object:
        group = described(lab)["SecurityGroups"][0]["GroupId"]
        return clients("ec2").authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp=f"{ELSEWHERE}/32"
        )

    return act


def _connect(port: int) -> Act:
    def act(lab: RecordLab, clients: Clients) -> object:
        connect(lab, port)
        return lab.forward(2)  # a key that is sent within the same second would explain it

    return act


def _address(lab: RecordLab, clients: Clients) -> object:
    made = api(lab.cloud, "ec2").allocate_address(Domain="vpc")["AllocationId"]
    return clients("ec2").associate_address(InstanceId=lab.machine, AllocationId=made)


def _balance(lab: RecordLab, clients: Clients) -> object:
    balancing, vpc = clients("elbv2"), described(lab)["VpcId"]
    made = balancing.create_target_group(Name="ways-in", Protocol="TCP", Port=22, VpcId=vpc)
    group = made["TargetGroups"][0]["TargetGroupArn"]
    return balancing.register_targets(TargetGroupArn=group, Targets=[{"Id": lab.machine}])


def _join(lab: RecordLab, clients: Clients) -> object:
    ec2 = clients("ec2")
    other = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    return ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=described(lab)["VpcId"])


def _send_key(lab: RecordLab, clients: Clients) -> object:
    connect_service = clients("ec2-instance-connect")
    return connect_service.send_ssh_public_key(
        InstanceId=lab.machine, InstanceOSUser="ubuntu", SSHPublicKey=_KEY
    )


def _make_endpoint(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").create_instance_connect_endpoint(SubnetId=described(lab)["SubnetId"])


def _open_tunnel(lab: RecordLab, clients: Clients) -> object:
    asked = {"privateIpAddress": described(lab)["PrivateIpAddress"], "remotePort": "22"}
    return Planted(_CONNECT, "OpenTunnel", asked)


def _send_console_key(lab: RecordLab, clients: Clients) -> object:
    connect_service = clients("ec2-instance-connect")
    return connect_service.send_serial_console_ssh_public_key(InstanceId=lab.machine, SSHPublicKey=_KEY)


def _enter_console(lab: RecordLab, clients: Clients) -> object:
    asked = {"instanceId": lab.machine, "serialPort": 0}
    return Planted(_CONNECT, "SendSerialConsoleSSHPublicKey", asked)


def _switch_on(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").enable_serial_console_access()
