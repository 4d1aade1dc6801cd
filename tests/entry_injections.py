"""What would let somebody into a machine unseen, each injected into the synthesized JSON of three stacks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

Stacks = dict[str, Any]
"""`account`, `base` and `fleet` as synthesized."""


def resources(stacks: Stacks, stack: str, kind: str) -> dict[str, Any]:
    """Return the resources of a kind by their names."""
    found: dict[str, Any] = stacks[stack]["resource"].setdefault(kind, {})
    return found


def template(stacks: Stacks) -> dict[str, Any]:
    """Return the launch template of a GPU fleet."""
    found: dict[str, Any] = resources(stacks, "fleet", "aws_launch_template")["gpu"]
    return found


def interface(stacks: Stacks) -> dict[str, Any]:
    """Return its network interface."""
    found: dict[str, Any] = template(stacks)["network_interfaces"][0]
    return found


def rule(stacks: Stacks, group: str, **arguments: Any) -> None:
    """Let something into a security group."""
    made = {"security_group_id": f"${{aws_security_group.{group}.id}}", "ip_protocol": "tcp", **arguments}
    resources(stacks, "base", "aws_vpc_security_group_ingress_rule")["injected"] = made


def session(stacks: Stacks, **inputs: Any) -> None:
    """Change inputs of the Session document."""
    document = resources(stacks, "account", "aws_ssm_document")["session"]
    content = json.loads(document["content"])
    content["inputs"] |= inputs
    document["content"] = json.dumps(content)


def user_data(stacks: Stacks, script: str) -> None:
    """Give the fleet another first script."""
    template(stacks)["user_data"] = base64.b64encode(script.encode()).decode()


def role(stacks: Stacks, statement: dict[str, Any], *, deny_list: bool = True) -> None:
    """Add a role of people with this one statement."""
    resources(stacks, "account", "aws_iam_role")["member"] = {"name": "member"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = {"role": "${aws_iam_role.member.id}", "policy": policy}
    resources(stacks, "account", "aws_iam_role_policy")["member"] = made
    if deny_list:
        attach(stacks, "${aws_iam_policy.deny_entry.arn}")


def attach(stacks: Stacks, policy: str) -> None:
    """Attach a policy to the role of people."""
    made = {"role": "${aws_iam_role.member.name}", "policy_arn": policy}
    resources(stacks, "account", "aws_iam_role_policy_attachment")["member"] = made


CHECKED = {
    "Effect": "Allow",
    "Action": ["ssm:StartSession"],
    "Resource": "*",
    "Condition": {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}},
}
UNCHECKED = {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}


def drop_denied(stacks: Stacks, name: str) -> None:
    """Take a statement out of the deny list."""
    policy = resources(stacks, "account", "aws_iam_policy")["deny_entry"]
    document = json.loads(policy["policy"])
    kept = [each for each in document["Statement"] if each["Sid"] != name]
    assert len(kept) == len(document["Statement"]) - 1
    policy["policy"] = json.dumps({**document, "Statement": kept})


def open_serial_console(stacks: Stacks) -> None:
    """Switch the console on, and deny nobody its use."""
    resources(stacks, "account", "aws_ec2_serial_console_access")["account"]["enabled"] = True
    drop_denied(stacks, "NoKeysNoConsole")


def open_file_system(stacks: Stacks) -> None:
    """Add a file system that a whole network reaches."""
    resources(stacks, "base", "aws_security_group")["files"] = {"name": "files"}
    rule(stacks, "files", from_port=2049, to_port=2049, cidr_ipv4="10.0.0.0/8")
    made = {"security_group_ids": ["${aws_security_group.files.id}"]}
    resources(stacks, "fleet", "aws_fsx_lustre_file_system")["mine"] = made


INJECTED: dict[str, tuple[str, str, Callable[[Stacks], None]]] = {
    "SSH from anywhere": (
        "ssh",
        "gpu",
        lambda s: rule(s, "nodes", from_port=22, to_port=22, cidr_ipv4="0.0.0.0/0"),
    ),
    "SSH from a company's network": (
        "ssh",
        "head",
        lambda s: rule(s, "nodes", from_port=1, to_port=1024, cidr_ipv4="10.0.0.0/8"),
    ),
    "everything from a prefix list": (
        "rdp",
        "gpu",
        lambda s: rule(s, "nodes", ip_protocol="-1", prefix_list_id="pl-1"),
    ),
    "everything over IPv6": ("ssh", "gpu", lambda s: rule(s, "nodes", ip_protocol="-1", cidr_ipv6="::/0")),
    "a port from somebody else's group": (
        "other-port",
        "gpu",
        lambda s: rule(s, "nodes", from_port=80, to_port=80, referenced_security_group_id="sg-0123"),
    ),
    "a rule written into the group": (
        "ssh",
        "gpu",
        lambda s: resources(s, "base", "aws_security_group")["nodes"].update(
            ingress=[{"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"]}]
        ),
    ),
    "the older kind of rule": (
        "ssh",
        "gpu",
        lambda s: resources(s, "fleet", "aws_security_group_rule").update(
            injected={
                "type": "ingress",
                "protocol": "tcp",
                "from_port": 22,
                "to_port": 22,
                "security_group_id": "${data.terraform_remote_state.base.outputs.nodes_security_group_id}",
                "cidr_blocks": ["0.0.0.0/0"],
            }
        ),
    ),
    "another security group": ("ssh", "gpu", lambda s: interface(s).update(security_groups=["sg-0123"])),
    "the VPC's default group": ("other-port", "gpu", lambda s: interface(s).pop("security_groups")),
    "a key pair": ("key-pair", "gpu", lambda s: template(s).update(key_name="mine")),
    "a key pair that is made": (
        "key-pair",
        "head",
        lambda s: resources(s, "base", "aws_key_pair").update(mine={"public_key": "ssh-rsa AAAA"}),
    ),
    "a public address": (
        "public-address",
        "gpu",
        lambda s: interface(s).update(associate_public_ip_address="true"),
    ),
    "an address as the subnet likes": (
        "public-address",
        "gpu",
        lambda s: interface(s).pop("associate_public_ip_address"),
    ),
    "a subnet that gives addresses": (
        "public-address",
        "large",
        lambda s: resources(s, "base", "aws_subnet")["private_0"].update(map_public_ip_on_launch=True),
    ),
    "an elastic address": (
        "public-address",
        "head",
        lambda s: resources(s, "fleet", "aws_eip").update(mine={"instance": "i-0123"}),
    ),
    "IPv6": ("public-address", "gpu", lambda s: interface(s).update(ipv6_address_count=1)),
    "a document without S3": ("ssm-shell", "gpu", lambda s: session(s, s3BucketName="")),
    "a document with another bucket": ("ssm-shell", "gpu", lambda s: session(s, s3BucketName="other")),
    "a document without a log group": ("ssm-shell", "gpu", lambda s: session(s, cloudWatchLogGroupName="")),
    "a document that logs at the end": (
        "ssm-shell",
        "gpu",
        lambda s: session(s, cloudWatchStreamingEnabled=False),
    ),
    "a session that is not encrypted": ("ssm-shell", "gpu", lambda s: session(s, kmsKeyId="")),
    "sessions as the shared user": ("ssm-shell", "gpu", lambda s: session(s, runAsEnabled=False)),
    "no document of ours": (
        "ssm-shell",
        "gpu",
        lambda s: resources(s, "account", "aws_ssm_document").pop("session"),
    ),
    "a second document without logging": (
        "ssm-shell",
        "gpu",
        lambda s: resources(s, "fleet", "aws_ssm_document").update(
            quick={"document_type": "Session", "content": '{"inputs": {}}'}
        ),
    ),
    "a bucket that is not locked": (
        "ssm-shell",
        "gpu",
        lambda s: s["account"]["resource"].pop("aws_s3_bucket_object_lock_configuration"),
    ),
    "a machine that may not write its transcript": (
        "ssm-shell",
        "gpu",
        lambda s: resources(s, "base", "aws_iam_role_policy").pop("node_session"),
    ),
    "a role that may take the default document": (
        "ssm-default-document",
        "all",
        lambda s: role(s, UNCHECKED),
    ),
    "a role with a policy of AWS's": (
        "ssm-default-document",
        "all",
        lambda s: attach(s, "arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    "a role without the deny list": ("ssm-tunnel", "all", lambda s: role(s, CHECKED, deny_list=False)),
    "no deny list": (
        "ssm-tunnel",
        "all",
        lambda s: resources(s, "account", "aws_iam_policy").pop("deny_entry"),
    ),
    "tunnels not denied": ("ssm-tunnel", "all", lambda s: drop_denied(s, "OnlyOurSessions")),
    "keys not denied": ("instance-connect", "gpu", lambda s: drop_denied(s, "NoKeysNoConsole")),
    "an Instance Connect Endpoint": (
        "instance-connect-endpoint",
        "gpu",
        lambda s: resources(s, "base", "aws_ec2_instance_connect_endpoint").update(mine={}),
    ),
    "a first script with a key": (
        "user-data",
        "gpu",
        lambda s: user_data(s, "echo ssh-ed25519 AAAA >> ~/.ssh/authorized_keys"),
    ),
    "metadata without a token": (
        "borrowed-role",
        "gpu",
        lambda s: template(s)["metadata_options"].update(http_tokens="optional"),
    ),
    "metadata two hops away": (
        "borrowed-role",
        "gpu",
        lambda s: template(s)["metadata_options"].update(http_put_response_hop_limit=2),
    ),
    "metadata as EC2 likes": ("borrowed-role", "gpu", lambda s: template(s).pop("metadata_options")),
    "a role that others take on": (
        "borrowed-role",
        "gpu",
        lambda s: resources(s, "base", "aws_iam_role")["node"].update(
            assume_role_policy=json.dumps(
                {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
            )
        ),
    ),
    "a disk that is not encrypted": (
        "disk-elsewhere",
        "gpu",
        lambda s: template(s)["block_device_mappings"][0]["ebs"].update(encrypted="false"),
    ),
    "disks may be copied": ("disk-elsewhere", "gpu", lambda s: drop_denied(s, "NoDiskElsewhere")),
    "a serial console that is on": ("serial-console", "all", open_serial_console),
    "a command that takes any text": (
        "run-command",
        "all",
        lambda s: resources(s, "fleet", "aws_ssm_document").update(
            free={"document_type": "Command", "content": "parameters:\n  Command:\n    type: String\n"}
        ),
    ),
    "State Manager": (
        "automation",
        "all",
        lambda s: resources(s, "fleet", "aws_ssm_association").update(mine={"name": "AWS-RunShellScript"}),
    ),
    "a load balancer": (
        "load-balancer",
        "all",
        lambda s: resources(s, "base", "aws_lb").update(mine={"internal": False}),
    ),
    "a target group": (
        "load-balancer",
        "all",
        lambda s: resources(s, "fleet", "aws_autoscaling_group")["gpu"].update(target_group_arns=["arn"]),
    ),
    "a peering": (
        "joined-network",
        "all",
        lambda s: resources(s, "base", "aws_vpc_peering_connection").update(mine={}),
    ),
    "a file system with the default group": (
        "file-system",
        "all",
        lambda s: resources(s, "base", "aws_efs_mount_target").update(mine={"subnet_id": "subnet-1"}),
    ),
    "a file system that is open": ("file-system", "all", open_file_system),
    "an instance of its own": (
        "unseen-machine",
        "all",
        lambda s: resources(s, "fleet", "aws_instance").update(mine={"ami": "ami-1"}),
    ),
    "a group with somebody else's template": (
        "unseen-machine",
        "all",
        lambda s: resources(s, "fleet", "aws_autoscaling_group")["gpu"].update(
            launch_template={"id": "lt-0123", "version": "1"}
        ),
    ),
    "a trail that does not log": (
        "run-command",
        "all",
        lambda s: resources(s, "account", "aws_cloudtrail")["main"].update(enable_logging=False),
    ),
    "a trail without digests": (
        "automation",
        "all",
        lambda s: resources(s, "account", "aws_cloudtrail")["main"].update(enable_log_file_validation=False),
    ),
    "a trail of one region": (
        "user-data",
        "head",
        lambda s: resources(s, "account", "aws_cloudtrail")["main"].update(is_multi_region_trail=False),
    ),
    "a trail into a bucket that is not locked": (
        "console-output",
        "all",
        lambda s: resources(s, "account", "aws_cloudtrail")["main"].update(s3_bucket_name="other"),
    ),
    "no trail": ("run-command", "all", lambda s: s["account"]["resource"].pop("aws_cloudtrail")),
}
"""What would let somebody in unseen -> the row that must say so, and the change that injects it."""
