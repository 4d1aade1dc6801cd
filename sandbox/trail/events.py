"""One answered call as CloudTrail records it.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html

Parameters have the API reference's names with a small first letter, as CloudTrail writes most of them; of
EC2's own lists only that of instances (`instancesSet`) is put as CloudTrail puts it. Calls on what is in a
bucket, a queue or a stream are data events: a trail leaves them out unless asked for; this one always does.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from moto.core.request import determine_request_protocol
from moto.core.utils import get_service_model
from werkzeug.wrappers import Response

from sandbox.calls import Call
from sandbox.iam.callers import Caller, ExpiredKeyError, UnknownKeyError, caller_of
from sandbox.iam.requests import read_request

EVENT_VERSION = "1.11"
_READS = ("Describe", "Get", "List", "Lookup", "Search", "Head", "Simulate", "AssumeRole", "Decrypt")
_ANSWER_SHOWN = ("AssumeRole",)
"""Reads whose answer is recorded all the same."""
_DATA = {
    "sqs": ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"),
    "sns": ("Publish",),
    "lambda": ("Invoke",),
    "cloudwatch": ("PutMetricData",),
    "logs": ("PutLogEvents",),
}
"""Beginnings of the actions of each service that are data events."""
_OF_OBJECTS = ("Object", "Part", "Multipart", "HeadBucket")
_OF_BUCKETS = ("ObjectLockConfiguration",)
_HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_SECRETS = {
    "plaintext": _HIDDEN,
    "ciphertextBlob": _HIDDEN,
    "secretString": _HIDDEN,
    "secretBinary": _HIDDEN,
    "secretAccessKey": _HIDDEN,
    "sessionToken": _HIDDEN,
    "tokenValue": "Value hidden due to security reasons.",
    "userData": "<sensitiveDataRemoved>",
}
_SECRETS_OF = {"SendCommand": ("parameters",), "PutParameter": ("value",)}


def is_recorded(call: Call) -> bool:
    """Return whether a trail of management events records the call."""
    if not call.action or not call.access_key:
        return False
    if call.service == "s3":
        of_objects = any(each in call.action for each in _OF_OBJECTS)
        return not of_objects or any(each in call.action for each in _OF_BUCKETS)
    return not call.action.startswith(_DATA.get(call.service, ("\0",)))


def event_of(environ: dict[str, Any], call: Call, response: Response, now: datetime) -> dict[str, Any] | None:
    """Return the call's event; None for one that belongs to no account, as its key is nobody's."""
    try:
        caller = caller_of(call.access_key, call.token)
    except (UnknownKeyError, ExpiredKeyError):
        return None
    environ["wsgi.input"].seek(0)
    asked = read_request(environ, call, caller.principal.account).params
    reads, failed = call.action.startswith(_READS), response.status_code >= HTTPStatus.BAD_REQUEST
    shown = not failed and (not reads or call.action in _ANSWER_SHOWN)
    answer = _answer(call, response) if shown or failed else {}
    event = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": identity_of(caller, call.access_key),
        "eventTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{get_service_model(call.service).endpoint_prefix}.amazonaws.com",
        "eventName": call.action,
        "awsRegion": call.region,
        "sourceIPAddress": environ.get("REMOTE_ADDR", ""),
        "userAgent": environ.get("HTTP_USER_AGENT", ""),
        "requestParameters": _shown(call, asked) or None,
        "responseElements": (_shown(call, answer) or None) if shown else None,
        "requestID": response.headers.get("x-amzn-requestid") or str(uuid.uuid4()),
        "eventID": str(uuid.uuid4()),
        "readOnly": reads,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": caller.principal.account,
        "eventCategory": "Management",
    }
    if failed:
        error = answer.get("Error", {})
        event |= {"errorCode": error.get("Code", "Unknown"), "errorMessage": error.get("Message", "")}
    return event


def identity_of(caller: Caller, access_key: str) -> dict[str, Any]:
    """Return CloudTrail's `userIdentity` of a caller."""
    principal = caller.principal
    about: dict[str, Any] = {
        "type": "Root" if principal.is_root else "IAMUser",
        "principalId": caller.user_id,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": access_key,
    }
    if caller.username:
        about["userName"] = caller.username
    if (session := caller.session) is None:
        return about
    context: dict[str, Any] = {
        "sessionIssuer": {
            "type": "Role",
            "principalId": session.role_id,
            "arn": session.role_arn,
            "accountId": session.account,
            "userName": session.role_name,
        },
        "attributes": {"creationDate": f"{session.issued:%Y-%m-%dT%H:%M:%SZ}", "mfaAuthenticated": "false"},
    }
    if session.source_identity:
        context["sourceIdentity"] = session.source_identity
    if session.service == "ec2.amazonaws.com":
        context["ec2RoleDelivery"] = "2.0"
    return {**about, "type": "AssumedRole", "sessionContext": context}


def _answer(call: Call, response: Response) -> dict[str, Any]:
    """Return the answer by the names of the API reference; nothing where it cannot be read."""
    model = get_service_model(call.service)
    try:
        parser = create_parser(determine_request_protocol(model, call.content_type))
        said = {
            "status_code": response.status_code,
            "headers": HeadersDict(dict(response.headers)),
            "body": response.get_data(),
        }
        parsed: dict[str, Any] = parser.parse(said, model.operation_model(call.action).output_shape)
    except Exception:  # of whatever kind: an answer that no client could read either
        return {}
    return parsed


def _shown(call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {**_SECRETS, **dict.fromkeys(_SECRETS_OF.get(call.action, ()), _HIDDEN)}
    named = {name: value for name, value in values.items() if name not in ("ResponseMetadata", "Error")}
    shown: dict[str, Any] = _plain(named, hidden)
    if call.service == "ec2":
        if ids := shown.pop("instanceIds", None):
            shown["instancesSet"] = {"items": [{"instanceId": each} for each in ids]}
        if isinstance(made := shown.pop("instances", None), list):
            shown["instancesSet"] = {"items": made}
    return shown


def _plain(value: Any, hidden: Mapping[str, str]) -> Any:
    """Return a parameter as JSON has it, its names with small first letters, and no secret in it."""
    if isinstance(value, Mapping):
        small = {str(name)[:1].lower() + str(name)[1:]: each for name, each in value.items()}
        return {
            name: hidden[name] if name in hidden else _plain(each, hidden)
            for name, each in small.items()
            if each is not None
        }
    if isinstance(value, list | tuple | set):
        return [_plain(each, hidden) for each in value]
    if isinstance(value, datetime):
        return f"{value:%b %d, %Y, %H:%M:%S}"
    if isinstance(value, bool | int | float | str):
        return value
    return _HIDDEN if isinstance(value, bytes) else str(value)
