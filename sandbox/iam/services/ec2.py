"""What calls of EC2 need: every resource that they name by its id, and the kind that they make.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html. Most actions name
their resources in parameters of their own and what they make in `TagSpecifications`: one rule does for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from sandbox.iam.needs import EVERYTHING, Need, Rule, Service, nothing, pass_role
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.templates import template_data, template_keys, template_of

_KINDS = {
    "acl": "network-acl",
    "ami": "image",
    "cr": "capacity-reservation",
    "dopt": "dhcp-options",
    "eice": "instance-connect-endpoint",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "fleet": "fleet",
    "i": "instance",
    "igw": "internet-gateway",
    "key": "key-pair",
    "lt": "launch-template",
    "nat": "natgateway",
    "pl": "prefix-list",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
"""Kinds of resources by the start of their ids."""
_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,}")

_MADE = {
    "AllocateAddress": "elastic-ip",
    "CreateCapacityReservation": "capacity-reservation",
    "CreateDhcpOptions": "dhcp-options",
    "CreateFleet": "fleet",
    "CreateFlowLogs": "vpc-flow-log",
    "CreateImage": "image",
    "CreateInstanceConnectEndpoint": "instance-connect-endpoint",
    "CreateInternetGateway": "internet-gateway",
    "CreateKeyPair": "key-pair",
    "CreateLaunchTemplate": "launch-template",
    "CreateNatGateway": "natgateway",
    "CreateNetworkAcl": "network-acl",
    "CreateNetworkInterface": "network-interface",
    "CreatePlacementGroup": "placement-group",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSnapshot": "snapshot",
    "CreateSnapshots": "snapshot",
    "CreateSubnet": "subnet",
    "CreateVolume": "volume",
    "CreateVpc": "vpc",
    "CreateVpcEndpoint": "vpc-endpoint",
    "ImportKeyPair": "key-pair",
}
"""Kinds of resources by the action that makes one."""
_READING = ("Describe", "Get", "List", "Search")


def resource_arn(request: ApiRequest, kind: str, name: str) -> str:
    """Return the ARN of a resource; an image or snapshot belongs to no account in it."""
    return request.arn("ec2", f"{kind}/{name}", account="" if kind in ("image", "snapshot") else None)


def instance_arn(request: ApiRequest, instance_id: str) -> str:
    """Return the ARN of an instance."""
    return resource_arn(request, "instance", instance_id)


def named_in(request: ApiRequest, values: Iterable[Any]) -> list[str]:
    """Return the ARNs of what the values name by ids, each once."""
    found = []
    for value in values:
        for text in value if isinstance(value, list) else [value]:
            known = _ID.fullmatch(text) if isinstance(text, str) else None
            if known and known.group(1) in _KINDS:
                found.append(resource_arn(request, _KINDS[known.group(1)], known.group(0)))
    return list(dict.fromkeys(found))


def _any_needs(request: ApiRequest) -> list[Need]:
    """Return what an action needs that has no rule of its own."""
    action = f"ec2:{request.action}"
    if request.action.startswith(_READING):
        return [Need(action, EVERYTHING)]
    within = request.get("InstanceSpecification") or {}  # of CreateSnapshots
    arns = named_in(request, [*request.params.values(), *within.values()])
    arns += _by_name(request) + _by_association(request)
    found = [Need(action, arn, tags={}) for arn in arns]
    if made := _MADE.get(request.action):
        name = request.get("GroupName") if made == "placement-group" else request.get("KeyName")
        found.append(_made(request, action, made, name or "*"))
    return [*found, *_tagging(request)] or [Need(action, EVERYTHING)]


def _by_association(request: ApiRequest) -> list[str]:
    """Return the ARNs of the route table or the address whose association the call names."""
    given = set(request.all("AssociationId"))
    backend = ec2_backends[request.account][request.region]
    tables = [each.id for each in list(backend.route_tables.values()) if given & each.all_associations_ids]
    addresses = [each.allocation_id for each in list(backend.addresses) if each.association_id in given]
    return named_in(request, [*tables, *addresses]) if given else []


def _by_name(request: ApiRequest) -> list[str]:
    """Return the ARNs of what the call names by names: placement groups, keys, launch templates."""
    if request.action in _MADE:
        return []
    found = []
    if "PlacementGroup" in request.action and (name := request.get("GroupName")):
        found.append(resource_arn(request, "placement-group", name))
    if "KeyPair" in request.action and (name := request.get("KeyName")):
        found.append(resource_arn(request, "key-pair", name))
    if name := request.get("LaunchTemplateName"):
        template = template_of(request, {"LaunchTemplateName": name})
        found.append(resource_arn(request, "launch-template", template.id if template else "*"))
    return found


def _made(request: ApiRequest, action: str, kind: str, name: str = "*") -> Need:
    return Need(action, resource_arn(request, kind, name), tags=_tags(request).get(kind, {}))


def _tags(request: ApiRequest) -> dict[str, dict[str, str]]:
    """Return the tags that the call gives to what it makes, by kind."""
    found: dict[str, dict[str, str]] = {}
    for each in request.get("TagSpecifications") or []:
        tags = {tag["Key"]: tag.get("Value", "") for tag in each.get("Tags", [])}
        found.setdefault(each.get("ResourceType", ""), {}).update(tags)
    return found


def _tagging(request: ApiRequest) -> list[Need]:
    """Return the right to tag, which a call that makes something with tags needs too."""
    keys = {"ec2:CreateAction": [request.action]}
    return [
        Need("ec2:CreateTags", resource_arn(request, kind, "*"), keys, tags)
        for kind, tags in _tags(request).items()
    ]


def _tags_needs(request: ApiRequest) -> list[Need]:
    """Return what CreateTags and DeleteTags need; these tags are set on every resource named."""
    arns = named_in(request, [request.get("Resources")]) or [EVERYTHING]
    return [Need(f"ec2:{request.action}", arn) for arn in arns]


def _run_needs(request: ApiRequest) -> list[Need]:
    """Return what RunInstances needs."""
    return run_needs(request, request.params)


def run_needs(request: ApiRequest, given: Mapping[str, Any]) -> list[Need]:
    """Return what running an instance needs, with these parameters over those of the launch template."""
    template = template_of(request, given.get("LaunchTemplate") or {})
    data = {**template_data(template, given.get("LaunchTemplate") or {}), **given}
    interfaces = data.get("NetworkInterfaces") or []
    groups = [each.get("Groups") or each.get("SecurityGroupId") or [] for each in interfaces]
    named = named_in(
        request,
        [
            data.get("ImageId"),
            data.get("SubnetId"),
            data.get("SecurityGroupIds"),
            *groups,
            *[each.get("SubnetId") for each in interfaces],
        ],
    )
    if template is not None:
        named.append(resource_arn(request, "launch-template", template.id))
    if name := (data.get("Placement") or {}).get("GroupName"):
        named.append(resource_arn(request, "placement-group", name))
    if name := data.get("KeyName"):
        named.append(resource_arn(request, "key-pair", name))
    keys = {"ec2:InstanceType": [str(data.get("InstanceType") or "m1.small")]}
    chosen = named_in(request, [given.get("ImageId"), given.get("SubnetId")])
    of_template, of_call = template_keys(request, template), template_keys(request, template, overridden=True)
    made = [_made(request, "ec2:RunInstances", kind) for kind in ("instance", "network-interface", "volume")]
    return [
        *(Need(each.action, each.resource, {**keys, **of_template}, each.tags) for each in made),
        *(
            Need("ec2:RunInstances", arn, {**keys, **(of_call if arn in chosen else of_template)}, {})
            for arn in named
        ),
        *_tagging(request),
        *pass_profile(request, data.get("IamInstanceProfile")),
    ]


def pass_profile(request: ApiRequest, profile: Mapping[str, Any] | None) -> list[Need]:
    """Return the need for `iam:PassRole` on the role of an instance profile."""
    if not profile:
        return []
    name = profile.get("Name") or str(profile.get("Arn", "")).rsplit("/", 1)[-1]
    found = iam_backends[request.account][request.partition].instance_profiles.values()
    roles: Sequence[str] = [role.arn for each in found if each.name == name for role in each.roles]
    keys = {"iam:PassedToService": ["ec2.amazonaws.com"]}
    return [Need("iam:PassRole", role, keys, {}) for role in roles]


def _fleet_needs(request: ApiRequest) -> list[Need]:
    """Return what CreateFleet needs: also to run what its launch templates describe."""
    found = _any_needs(request)
    for each in request.get("LaunchTemplateConfigs") or []:
        found += run_needs(request, {"LaunchTemplate": each.get("LaunchTemplateSpecification")})
    return found


def _associate_needs(request: ApiRequest) -> list[Need]:
    return [*_any_needs(request), *pass_profile(request, request.get("IamInstanceProfile"))]


def _flow_log_needs(request: ApiRequest) -> list[Need]:
    return [*_any_needs(request), *pass_role("DeliverLogsPermissionArn", "vpc-flow-logs")(request)]


EC2 = Service(
    "ec2",
    {
        "RunInstances": Rule(nothing, more=_run_needs),
        "CreateFleet": Rule(nothing, more=_fleet_needs),
        "CreateTags": Rule(nothing, more=_tags_needs),
        "DeleteTags": Rule(nothing, more=_tags_needs),
        "AssociateIamInstanceProfile": Rule(nothing, more=_associate_needs),
        "ReplaceIamInstanceProfileAssociation": Rule(nothing, more=_associate_needs),
        "CreateFlowLogs": Rule(nothing, more=_flow_log_needs),
    },
    default=Rule(nothing, more=_any_needs),
)
