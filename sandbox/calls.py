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

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/,]+/\d+/([^/,]+)/([^/,]+)/aws4_request")

# Signing names that differ from the name of the service's API model.
_MODEL_NAMES = {"elasticfilesystem": "efs", "monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}

_BODY_LIMIT = 4 << 20
"""Bodies above this are data and not parameters; they are passed through unread."""


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


def read_call(environ: dict[str, Any]) -> Call:
    """Read the call from a WSGI request, leaving the request as it was."""
    service, region = _scope(environ)
    body = _body(environ) if service != "s3" else ""
    path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    text = f"{path.lstrip('/')}?{query}" if service == "s3" else f"{path}?{query} {body}"
    return Call(service, region, _action(environ, service, body), text, environ.get("CONTENT_TYPE", ""))


def _scope(environ: dict[str, Any]) -> tuple[str, str]:
    """Return service and region from the signature; S3's presigned URLs carry it in the query."""
    signature = environ.get("HTTP_AUTHORIZATION", "")
    if not signature:
        signature = "Credential=" + parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    found = _CREDENTIAL_SCOPE.search(signature)
    if not found:
        return "", ""
    region, name = found.group(1), found.group(2).lower()
    name = SIGNING_ALIASES.get(name, name)
    return _MODEL_NAMES.get(name, name), region


def _body(environ: dict[str, Any]) -> str:
    """Return the body as text, and put it back for whoever reads it next."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= _BODY_LIMIT:
        return ""
    data: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(data)
    return data.decode("utf-8", "replace")


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
