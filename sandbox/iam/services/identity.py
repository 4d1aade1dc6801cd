"""What calls of IAM and STS need.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
and .../list_awssecuritytokenservice.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moto.iam.models import iam_backends

from sandbox.iam.needs import Keys, Need, Rule, Service, anything, at, nothing
from sandbox.iam.requests import ApiRequest
from sandbox.iam.sessions import SESSIONS

_BY_PARAMETER = (
    ("RoleName", "roles", "role"),
    ("InstanceProfileName", "instance_profiles", "instance-profile"),
    ("GroupName", "groups", "group"),
    ("UserName", "users", "user"),
)
"""Parameter, moto's collection, kind in the ARN: in this order, for an action names one resource."""
_ARNS = ("PolicyArn", "OpenIDConnectProviderArn", "SAMLProviderArn", "PolicySourceArn")
_LISTING = (
    "ListRoles",
    "ListUsers",
    "ListGroups",
    "ListPolicies",
    "ListInstanceProfiles",
    "ListAccountAliases",
)


def _resources(request: ApiRequest) -> Sequence[str]:
    """Return the one resource of an action: a profile before the role in it, a role before a policy on it."""
    if request.get("InstanceProfileName"):
        return [_named(request, *_BY_PARAMETER[1])]
    for parameter, collection, kind in _BY_PARAMETER:
        if request.get(parameter):
            return [_named(request, parameter, collection, kind)]
    if name := request.get("PolicyName"):
        return [request.arn("iam", f"policy{request.get('Path') or '/'}{name}", region="")]
    return [arn for name in _ARNS for arn in request.all(name)] or ["*"]


def _named(request: ApiRequest, parameter: str, collection: str, kind: str) -> str:
    """Return the ARN of what exists under the name, else of what would be made."""
    name, found = request.get(parameter), _all(request, collection)
    known = next((each for each in found if each.name == name), None)
    if known is not None:
        return str(known.arn)
    return request.arn("iam", f"{kind}{request.get('Path') or '/'}{name}", region="")


def _all(request: ApiRequest, collection: str) -> list[Any]:
    return list(getattr(iam_backends[request.account][request.partition], collection).values())


def _keys(request: ApiRequest) -> Keys:
    """Return IAM's condition keys: the boundary that a role gets or has, and the policy that is attached."""
    role = next((each for each in _all(request, "roles") if each.name == request.get("RoleName")), None)
    boundary = request.get("PermissionsBoundary") or (
        role.permissions_boundary_arn if role is not None else None
    )
    given = {
        "iam:PermissionsBoundary": boundary,
        "iam:PolicyARN": request.get("PolicyArn"),
        "iam:AWSServiceName": request.get("AWSServiceName"),
    }
    return {name: [str(value)] for name, value in given.items() if value}


def _pass_to_ec2(request: ApiRequest) -> Sequence[Need]:
    keys = {"iam:PassedToService": ["ec2.amazonaws.com"]}
    role = request.get("RoleName")
    return [Need("iam:PassRole", _named(request, *_BY_PARAMETER[0]), keys, {})] if role else []


IAM = Service(
    "iam",
    {
        **{name: Rule(anything) for name in _LISTING},
        "AddRoleToInstanceProfile": Rule(_resources, more=_pass_to_ec2),
        "CreateServiceLinkedRole": Rule(at("iam", "role/aws-service-role/{AWSServiceName}/*", region="")),
    },
    default=Rule(_resources),
    keys=_keys,
)


def _assume(request: ApiRequest) -> Sequence[Need]:
    """Return what AssumeRole needs: also to set a source identity, and to set or hand on tags."""
    role = str(request.get("RoleArn") or "*")
    caller = SESSIONS.find(request.access_key)
    tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags") or []}
    inherited = {key: caller.tags[key] for key in caller.transitive} if caller else {}
    source = request.get("SourceIdentity") or (caller.source_identity if caller else "")
    given = {
        "sts:RoleSessionName": request.get("RoleSessionName"),
        "sts:ExternalId": request.get("ExternalId"),
        "sts:SourceIdentity": source,
    }
    keys: dict[str, Sequence[str]] = {name: [str(value)] for name, value in given.items() if value}
    if transitive := [*request.all("TransitiveTagKeys"), *inherited]:
        keys["sts:TransitiveTagKeys"] = transitive
    found = [Need("sts:AssumeRole", role, keys, {**inherited, **tags})]
    if source:
        found.append(Need("sts:SetSourceIdentity", role, keys, {}))
    if tags or inherited:
        found.append(Need("sts:TagSession", role, keys, {**inherited, **tags}))
    return found


STS = Service(
    "sts",
    {
        "AssumeRole": Rule(nothing, more=_assume),
        "GetCallerIdentity": Rule(nothing),
    },
)
"""Everybody may ask who they are."""
