"""What calls of Systems Manager need: documents and the instances that they run on, parameters, sessions.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html and, for the
document of a session, https://docs.aws.amazon.com/systems-manager/latest/userguide/
getting-started-sessiondocumentaccesscheck.html
"""

from __future__ import annotations

from collections.abc import Sequence

from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from sandbox.iam.needs import Need, Rule, Service, anything, nothing
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.ec2 import instance_arn
from sandbox.iam.services.kms import use_of_key

DEFAULT_SESSION_DOCUMENT = "SSM-SessionManagerRunShell"
"""What a session runs that names no document; it belongs to the account."""
_OF_AWS = ("AWS-", "AWSEC2-", "AmazonCloudWatch-")
_ACCESS_CHECK = "ssm:SessionDocumentAccessCheck"
_TARGET_FILTERS = {"InstanceIds": "instance-id"}


def document_arn(request: ApiRequest, name: str) -> str:
    """Return a document's ARN; AWS's own documents belong to no account."""
    if name.startswith("arn:"):
        return name
    return request.arn("ssm", f"document/{name}", account="" if name.startswith(_OF_AWS) else None)


def session_arn(request: ApiRequest, session_id: str) -> str:
    """Return the ARN of a session."""
    return request.arn("ssm", f"session/{session_id}")


def _documents(request: ApiRequest) -> Sequence[str]:
    return [document_arn(request, name) for name in (*request.all("Name"), *request.all("DocumentName"))] or [
        "*"
    ]


def _send(request: ApiRequest) -> Sequence[Need]:
    """Return what SendCommand needs: the document, and every instance that the targets name."""
    arns = _documents(request)
    instances = [instance_arn(request, each) for each in _targets(request)]
    none_yet = [instance_arn(request, "*")] if not instances else []
    return [Need("ssm:SendCommand", arn) for arn in (*arns, *instances, *none_yet)]


def _targets(request: ApiRequest) -> list[str]:
    """Return the ids of the instances that are named, or found by their tags."""
    found = request.all("InstanceIds")
    targets = request.get("Targets") or []
    if targets:
        filters = {_TARGET_FILTERS.get(each["Key"], each["Key"]): each["Values"] for each in targets}
        reservations = ec2_backends[request.account][request.region].all_reservations(filters=filters)
        found += [each.id for group in reservations for each in group.instances]
    return list(dict.fromkeys(found))


def _parameter_arn(request: ApiRequest, name: str) -> str:
    if name.startswith("arn:"):
        return name
    account = "" if name.startswith("/aws/service/") else None
    return request.arn("ssm", f"parameter/{name.split(':')[0].lstrip('/')}", account=account)


def _parameters(request: ApiRequest) -> Sequence[str]:
    names = [*request.all("Name"), *request.all("Names"), *request.all("Path")]
    return [_parameter_arn(request, name) for name in names] or ["*"]


def _decrypted(request: ApiRequest) -> Sequence[Need]:
    """Return the use of the keys of the secure parameters that are asked for in clear."""
    if not request.get("WithDecryption"):
        return []
    found: list[Need] = []
    parameters = ssm_backends[request.account][request.region]._parameters
    for name in (*request.all("Name"), *request.all("Names")):
        stored = parameters[name][-1] if name in parameters else None
        if stored is not None and stored.parameter_type == "SecureString" and stored.keyid:
            context = {"PARAMETER_ARN": _parameter_arn(request, name)}
            found += use_of_key(request, stored.keyid, ("Decrypt",), via="ssm", encryption_context=context)
    return found


def _tagged(request: ApiRequest) -> Sequence[str]:
    """Return the resource of the tagging actions, which they name by its kind and its id."""
    resource_id = str(request.get("ResourceId") or "*")
    match request.get("ResourceType"):
        case "Document":
            return [document_arn(request, resource_id)]
        case "Parameter":
            return [_parameter_arn(request, resource_id)]
        case kind:
            return [request.arn("ssm", f"{str(kind or '*').lower()}/{resource_id}")]


def _session(request: ApiRequest) -> Sequence[str]:
    return [session_arn(request, str(request.get("SessionId") or "*"))]


def _start(request: ApiRequest) -> Sequence[Need]:
    """Return what StartSession needs: the instance, and the document where one is named.

    The default document is asked for only by a condition on `ssm:SessionDocumentAccessCheck`, without which
    whoever may enter the instance gets it.
    """
    name = request.get("DocumentName")
    arn = document_arn(request, name or DEFAULT_SESSION_DOCUMENT)
    document = Need("ssm:StartSession", arn, {_ACCESS_CHECK: ["true"]})
    target = instance_arn(request, str(request.get("Target")))
    instance = Need("ssm:StartSession", target, checks={_ACCESS_CHECK: document})
    return [document, instance] if name else [instance]


def _by_name(*actions: str) -> dict[str, Rule]:
    return {action: Rule(_documents) for action in actions}


SSM = Service(
    "ssm",
    {
        "SendCommand": Rule(nothing, more=_send),
        "StartSession": Rule(nothing, more=_start),
        "TerminateSession": Rule(_session),
        "ResumeSession": Rule(_session),
        **_by_name(
            "CreateDocument",
            "DeleteDocument",
            "DescribeDocument",
            "DescribeDocumentPermission",
            "GetDocument",
            "ListDocumentVersions",
            "ModifyDocumentPermission",
            "UpdateDocument",
            "UpdateDocumentDefaultVersion",
        ),
        "GetParameter": Rule(_parameters, more=_decrypted),
        "GetParameters": Rule(_parameters, more=_decrypted),
        **{
            action: Rule(_parameters)
            for action in (
                "DeleteParameter",
                "DeleteParameters",
                "GetParameterHistory",
                "GetParametersByPath",
                "LabelParameterVersion",
                "PutParameter",
            )
        },
        **{
            action: Rule(_tagged)
            for action in ("AddTagsToResource", "ListTagsForResource", "RemoveTagsFromResource")
        },
    },
    default=Rule(anything),
)
