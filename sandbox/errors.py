"""Error answers in the service's own format, so that every AWS client reads them as it would in the cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import UnknownServiceError
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.request import determine_request_protocol
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.wrappers import Response

from sandbox.calls import Call

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class SandboxAnswer(ServiceException):  # type: ignore[misc]
    """An error that the embedded cloud answers itself; moto looks up an error's service by its module."""


def error_response(call: Call, code: str, message: str, status: int = 400) -> Response:
    """Return the HTTP answer for an error: XML, JSON or CBOR as the service's protocol has it."""
    error = SandboxAnswer(code, message)
    try:
        model = get_service_model(call.service or "s3")
        protocol = determine_request_protocol(model, call.content_type)
    except (UnknownServiceError, NotImplementedError):
        return Response(f"{code}: {message}\n", status=status, content_type="text/plain")
    serializer = get_serializer_class(str(model.service_name), protocol)
    answer = serializer(operation_model=OperationModel({}, model)).serialize(error)
    return Response(answer["body"], status=status, headers=answer["headers"])
