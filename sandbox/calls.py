"""What a request asks for: service, action and what it is about, read from its signature and its body."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.core.request import Request
from moto.core.routing import NotFound, get_service_router
from moto.moto_server.werkzeug_app import SIGNING_ALIASES
from werkzeug.exceptions import ClientDisconnected

from sandbox.variables import ACCESS_KEY

_CREDENTIAL_SCOPE = re.compile(r"Credential=([^/,]+)/\d+/([^/,]+)/([^/,]+)/aws4_request")

# Signing names that differ from the name of the service's API model.
_MODEL_NAMES = {
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}

UNSIGNED = ("s3", "us-east-1")
"""Service and region of a call that says nothing of either."""
_PARAMETERS_LIMIT = 4 << 20
_TERRAFORM = ("Terraform/", "OpenTofu/", "terraform-provider-")
"""What is in the User-Agent of a call by its backend, or by its provider."""


@dataclass(frozen=True)
class Call:
    """One API call, as far as it can be read before it is made."""

    service: str
    """The name of the API model (`ec2`, `s3`, `efs`), "" for a request that is not signed."""
    region: str
    action: str
    """`RunInstances`; "" where it cannot be told."""
    text: str
    """What the call is about: `bucket/key?query` for S3, the parameters as they were sent for the rest."""
    content_type: str
    access_key: str = ""
    """Whose signature it bears, "" for one that is not signed."""
    token: str = ""
    """The session token that came with the key."""
    agent: str = ""
    """What the client calls itself (User-Agent)."""

    @property
    def caller(self) -> str:
        """Who called; "" for nobody, or the cloud itself.

        `terraform` is its provider and its backend, `command` whatever else has the owner's keys, `role`
        whoever has a session's: machines, functions, people.
        """
        if not self.access_key:
            return ""
        if any(each in self.agent for each in _TERRAFORM):
            return "terraform"
        return "command" if self.access_key == ACCESS_KEY else "role"


def read_call(environ: dict[str, Any]) -> Call:
    """Receive a WSGI request to its end and read the call from it; the request can still be answered."""
    access_key, region, service = _scope(environ)
    body = _receive(environ)
    if not access_key and "HTTP_X_AMZ_TARGET" not in environ and b"Action=" not in body:
        service, region = UNSIGNED  # as moto takes it
    # An object's content, and anything of its size, is data and not parameters.
    parameters = "" if service == "s3" or len(body) > _PARAMETERS_LIMIT else body.decode("utf-8", "replace")
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    text = f"{path.lstrip('/')}?{query}" if service == "s3" else f"{path}?{query} {parameters}"
    return Call(
        service,
        region,
        _action(environ, service, parameters),
        text,
        environ.get("CONTENT_TYPE", ""),
        access_key,
        _token(environ),
        str(environ.get("HTTP_USER_AGENT", "")),
    )


def _token(environ: dict[str, Any]) -> str:
    """Return the session token, from where the signature is too."""
    if "HTTP_AUTHORIZATION" in environ:
        return str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
    return str(parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Security-Token", [""])[0])


def _scope(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Return access key, region and service from the signature; S3's presigned URLs have it in the query."""
    signature = environ.get("HTTP_AUTHORIZATION", "")
    if not signature:
        signature = "Credential=" + parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    found = _CREDENTIAL_SCOPE.search(signature)
    if not found:
        return "", "", ""
    name = found.group(3).lower()
    name = SIGNING_ALIASES.get(name, name)
    return found.group(1), found.group(2), _MODEL_NAMES.get(name, name)


def _receive(environ: dict[str, Any]) -> bytes:
    """Return the body, and put it back for whoever reads it next.

    Raises ClientDisconnected where the sender ended early: half an object must not be stored.
    """
    source = environ["wsgi.input"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if environ.get("wsgi.input_terminated"):  # sent in chunks, without a length
        data: bytes = source.read()
    else:
        data = source.read(length) if length else b""
        if len(data) < length:
            raise ClientDisconnected
    environ["wsgi.input"] = io.BytesIO(data)
    return data


def _action(environ: dict[str, Any], service: str, body: str) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rsplit(".", 1)[-1]
    for text in (body, environ.get("QUERY_STRING", "")):
        if named := re.search(r"(?:^|&)Action=(\w+)", text):
            return named.group(1)
    if not service:
        return ""
    try:
        operation, _ = get_service_router(service).match(Request(environ))
    except (NotFound, NotImplementedError, ValueError, KeyError):
        return ""
    return str(operation.name)
