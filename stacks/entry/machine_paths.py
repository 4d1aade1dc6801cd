"""Ways in by what a machine is made from: keys, its first script, its role, its disk, its console."""

from __future__ import annotations

import base64
import binascii
import json

from stacks import naming
from stacks.entry.facts import Facts, Thing, is_true, listed, statements
from stacks.entry.policies import denies
from stacks.entry.verdict import Verdict, closed, in_trail, opened

_MAKERS = (
    "aws_batch_compute_environment",
    "aws_ec2_fleet",
    "aws_ecs_",
    "aws_eks_",
    "aws_emr_",
    "aws_instance",
    "aws_launch_configuration",
    "aws_sagemaker_",
    "aws_spot_fleet_request",
    "aws_spot_instance_request",
)
"""Kinds that start machines this table would not see."""
_LOGINS = ("authorized_keys", "ssh-ed25519 ", "ssh-rsa ", "chpasswd", "PasswordAuthentication yes")
"""What a first script says that gives somebody a login."""


def unseen_machines(facts: Facts) -> Verdict:
    """Return whether every machine is started from a launch template of the fleet stack."""
    strange = [each.at("") for each in facts.things() if each.kind.startswith(_MAKERS)]
    known = {each.address for each in facts.templates}
    for group in facts.things("aws_autoscaling_group"):
        used = _templates_of(group)
        strange += [group.at("launch_template") for each in used if facts.target(each) not in known]
        strange += [] if used else [group.at("launch_template")]
    if strange:
        return opened("machines are started that this table does not see", *strange)
    return closed(*(each.at("") for each in facts.templates))


def _templates_of(group: Thing) -> list[str]:
    """Return the references to launch templates in a group, mixed instances and overrides included."""
    found = [each.get("id", "") for each in listed(group.body.get("launch_template"))]
    for mixed in listed(group.body.get("mixed_instances_policy")):
        for template in listed(mixed.get("launch_template")):
            specified = listed(template.get("launch_template_specification"))
            for override in listed(template.get("override")):
                specified += listed(override.get("launch_template_specification"))
            found += [each.get("launch_template_id", "") for each in specified]
    return [str(each) for each in found]


def key_pair(facts: Facts, template: Thing) -> Verdict:
    """Return whether somebody's key opens the machine."""
    keys = [each.at("") for each in facts.things("aws_key_pair")]
    if template.body.get("key_name"):
        keys.append(template.at("key_name"))
    return opened("a key pair opens the machine", *keys) if keys else closed(template.at("key_name"))


def user_data(facts: Facts, template: Thing) -> Verdict:
    """Return that the first script gives nobody a login, and where another one would show."""
    script = _decoded(str(template.body.get("user_data", "")))
    if found := [login for login in _LOGINS if login in script]:
        return opened(f"the first script gives a login ({found[0].strip()!r})", template.at("user_data"))
    return in_trail(
        facts,
        "CreateLaunchTemplateVersion, ModifyInstanceAttribute, RunInstances",
        template.at("user_data"),
        note="the script is in the plan, and the plan's act in the ledger",
    )


def _decoded(text: str) -> str:
    """Return the script; as it stands where Terraform encodes it."""
    if "${" in text:
        return text
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", errors="replace")
    except binascii.Error:
        return text


def borrowed_role(facts: Facts, template: Thing) -> Verdict:
    """Return how far the machine's credentials reach beyond it."""
    options = listed(template.body.get("metadata_options"))
    metadata = options[0] if options else {}
    if metadata.get("http_tokens") != "required":
        return opened("its metadata answer without a token", template.at("metadata_options.http_tokens"))
    if str(metadata.get("http_put_response_hop_limit")) != "1":
        where = template.at("metadata_options.http_put_response_hop_limit")
        return opened("its metadata answer beyond the machine itself", where)
    if strangers := _who_else_takes(facts, template):
        return opened("its role can be taken on by more than EC2", *strangers)
    return in_trail(
        facts,
        "every call of the role, with the machine's id as its session and the address it came from",
        template.at("metadata_options"),
    )


def _who_else_takes(facts: Facts, template: Thing) -> list[str]:
    """Return the machine roles (all of the base's that EC2 takes on) that others may take on, too."""
    profiles = {
        facts.target(each.get("name") or each.get("arn"))
        for each in listed(template.body.get("iam_instance_profile"))
    }
    wrong = [] if profiles and "" not in profiles else [template.at("iam_instance_profile")]
    for profile in facts.things("aws_iam_instance_profile"):
        if profile.address not in profiles:
            continue
        for role in facts.things("aws_iam_role"):
            if role.address == facts.target(profile.body.get("role")) and not _only_ec2(role):
                wrong.append(role.at("assume_role_policy"))
    return wrong


def _only_ec2(role: Thing) -> bool:
    services = [
        str(service)
        for each in statements(role.body.get("assume_role_policy"))
        for service in (
            listed(each["Principal"].get("Service")) if isinstance(each.get("Principal"), dict) else ["*"]
        )
        or ["*"]
    ]
    return bool(services) and all(each.startswith("ec2.amazonaws.com") for each in services)


def disk_elsewhere(facts: Facts, template: Thing) -> Verdict:
    """Return what becomes of a snapshot, an image or a volume of the machine."""
    disks = listed(template.body.get("block_device_mappings"))
    volumes = [volume for disk in disks for volume in listed(disk.get("ebs"))]
    if not all(is_true(volume.get("encrypted")) for volume in volumes):
        where = template.at("block_device_mappings")
        return opened("its disk is not encrypted, so a copy of it can be handed to anybody", where)
    shareable = not all(str(volume.get("kms_key_id")).endswith(f":{naming.EBS_KEY}") for volume in volumes)
    if not denies(facts, "ec2:CreateSnapshot"):
        return opened("no policy keeps fleetform's roles from copying disks")
    return in_trail(
        facts,
        "CreateSnapshot, CreateImage, AttachVolume, ModifySnapshotAttribute",
        template.at("block_device_mappings"),
        *denies(facts, "ec2:CreateSnapshot"),
        note="" if shareable else "encrypted with AWS's own key, a copy cannot leave the account",
    )


def serial_console(facts: Facts) -> Verdict:
    """Return whether EC2's serial console is closed where the machines are."""
    for setting in facts.things("aws_ec2_serial_console_access", account=True):
        if not is_true(setting.body.get("enabled")) and facts.same_region:
            return closed(setting.at("enabled"))
    if not denies(facts, "ec2-instance-connect:SendSerialConsoleSSHPublicKey"):
        return opened("no policy keeps fleetform's roles from the serial console")
    return in_trail(
        facts,
        "EnableSerialConsoleAccess, SendSerialConsoleSSHPublicKey",
        *denies(facts, "ec2-instance-connect:SendSerialConsoleSSHPublicKey"),
        note="no user of a machine has a password to log in there with",
    )


def console_output(facts: Facts) -> Verdict:
    """Return where a look at a machine's screen shows; nobody enters by it."""
    return in_trail(facts, "GetConsoleOutput, GetConsoleScreenshot")


def command_documents(facts: Facts) -> Verdict:
    """Return where Run Command shows, and that our own documents take nothing that is a command."""
    for document in facts.things("aws_ssm_document"):
        if document.body.get("document_type") == "Command":
            content = str(document.body["content"])
            parameters = content.count("type: String") + content.count('"type": "String"')
            if parameters > content.count("allowedPattern"):
                return opened("a parameter of it may hold any text", document.at("content"))
    return in_trail(
        facts,
        "SendCommand, with the document and its parameters",
        *(each.at("") for each in facts.things("aws_ssm_document")),
        note="runs are in the ledger as well",
    )


def automation(facts: Facts) -> Verdict:
    """Return whether something of Systems Manager acts on machines by itself, and where that shows."""
    kinds = ("aws_ssm_association", "aws_ssm_maintenance_window", "aws_ssm_patch")
    found = [each.at("") for each in facts.things() if each.kind.startswith(kinds)]
    found += [
        each.at("")
        for each in facts.things("aws_ssm_document")
        if each.body.get("document_type") not in ("Command", "Session")
    ]
    if found:
        return opened("Systems Manager acts on machines by itself", *found)
    return in_trail(facts, "StartAutomationExecution, CreateAssociation, RegisterTaskWithMaintenanceWindow")


def session_inputs(document: Thing) -> dict[str, object]:
    """Return the inputs of a Session document, none where they cannot be read."""
    try:
        content = json.loads(str(document.body.get("content", "")))
    except ValueError:
        return {}
    found = content.get("inputs", {})
    return dict(found) if isinstance(found, dict) else {}
