"""An API call with its parameters, read as moto reads them: what the rules of authorisation look at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import NotFound, get_service_router
from moto.core.utils import get_service_model

from sandbox.calls import Call

_WITH_A_BODY = ("DeleteObjects",)
"""S3's actions whose body holds what they are about; in the others it is data or configuration."""
_PARAMETER = re.compile(r"\{([\w.]+)\}")


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """One call."""

    service: str
    """The name of the API model (`efs`)."""
    action: str
    region: str
    account: str
    """The account that the call acts in."""
    partition: str = "aws"
    access_key: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    """By the names of the API reference."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        """Return a parameter by its dotted path (`Target.RoleArn`), or None."""
        found: Any = self.params
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def all(self, path: str) -> list[str]:
        """Return a parameter's values as texts, through lists on its way; none where it is absent."""
        found: list[Any] = [self.params]
        for name in path.split("."):
            found = [each.get(name) for each in found if isinstance(each, Mapping)]
            found = [value for each in found for value in (each if isinstance(each, list) else [each])]
        return [str(value) for value in found if value is not None]

    def arn(
        self, service: str, resource: str, *, region: str | None = None, account: str | None = None
    ) -> str:
        """Return a resource's ARN, in the call's region and account unless others are given."""
        place = self.region if region is None else region
        owner = self.account if account is None else account
        return f"arn:{self.partition}:{service}:{place}:{owner}:{resource}"

    def fill(self, template: str) -> list[str]:
        """Return the template with each `{parameter}` filled in, once per value; `*` where it is absent."""
        filled = [template]
        for name in _PARAMETER.findall(template):
            values = self.all(name) or ["*"]
            filled = [text.replace(f"{{{name}}}", value) for text in filled for value in values]
        return filled


def read_request(environ: dict[str, Any], call: Call, account: str) -> ApiRequest:
    """Return the call with its parameters; its body can be read again afterwards."""
    request = Request(environ)
    params: Mapping[str, Any] = {}
    if call.service and call.action:
        params = _parameters(request, call)
        environ["wsgi.input"].seek(0)
    return ApiRequest(
        service=call.service,
        action=call.action,
        region=call.region,
        account=account,
        access_key=call.access_key,
        params=params,
        headers={name.lower(): value for name, value in request.headers.items()},
    )


def _parameters(request: Request, call: Call) -> Mapping[str, Any]:
    try:
        model = get_service_model(call.service)
    except UnknownServiceError:  # a signing name that is no model's
        return {}
    parser = PROTOCOL_PARSERS.get(determine_request_protocol(model, call.content_type))
    if parser is None:  # CBOR: nothing is narrowed to what cannot be read
        return {}
    in_path: Mapping[str, Any] = {}
    if str(model.protocol).startswith("rest"):
        try:
            _, in_path = get_service_router(call.service).match(request)
        except NotFound:
            return {}
    has_data = call.service == "s3" and call.action not in _WITH_A_BODY
    parsed: Mapping[str, Any] = parser(model.operation_model(call.action)).parse(
        {
            "method": request.method,
            "values": request.args if has_data else request.values,
            "headers": request.headers,
            "body": b"" if has_data else request.data,
            "url_path": request.path,
            "url_params": in_path,
        }
    )
    return parsed


def tags_in(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a call sets, in whichever of the services' shapes."""
    found: dict[str, str] = {}
    for name in ("Tags", "tags", "TagList", "Tag"):
        found |= _as_tags(params.get(name))
    for specification in params.get("TagSpecifications") or params.get("TagSpecification") or []:
        found |= _as_tags(specification.get("Tags"))
    if isinstance(tagging := params.get("Tagging"), Mapping):
        found |= _as_tags(tagging.get("TagSet"))
    return found


def tag_keys_in(params: Mapping[str, Any]) -> list[str]:
    """Return the keys of the tags that a call sets or removes."""
    removed = [key for name in ("TagKeys", "tagKeys", "TagKeyList") for key in params.get(name) or []]
    return [*tags_in(params), *map(str, removed)]


def _as_tags(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(each) for key, each in value.items()}
    tags = {}
    for each in value if isinstance(value, list) else []:
        key = next((each[name] for name in ("Key", "key", "TagKey") if name in each), None)
        given = next((each[name] for name in ("Value", "value", "TagValue") if name in each), "")
        if key is not None:
            tags[str(key)] = str(given)
    return tags
