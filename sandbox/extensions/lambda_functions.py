"""Lambda functions that run without Docker, and that remember where their log goes.

Seam: `LambdaResponse.invoke`, and of `LambdaFunction` the constructor, `get_configuration` and
`update_configuration`. moto runs functions in Docker, or answers with a text that was set before; drop this
when it can start a process instead. `sandbox/functions.py` runs them. Archives alone are run, in this
machine's Python whatever the runtime says; layers, versions and reserved concurrency have no effect.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from moto.awslambda.models import LambdaFunction
from moto.awslambda.responses import LambdaResponse

from sandbox.functions import Functions
from sandbox.parts import Parts

_LOG_TAIL = 4096
"""How much of the log an answer carries, in bytes, where it was asked for (Invoke in Lambda's API)."""


def install(parts: Parts) -> None:
    """Replace the call, and keep the log's configuration."""
    LambdaResponse.invoke = _invoke(parts, parts.functions)
    created, shown, updated = (
        LambdaFunction.__init__,
        LambdaFunction.get_configuration,
        LambdaFunction.update_configuration,
    )

    @functools.wraps(created)
    def init(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self.fleetform_logging = spec.get("LoggingConfig")
        created(self, account_id, spec, *args, **kwargs)

    @functools.wraps(shown)
    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        default = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        return {**shown(self, on_create), "LoggingConfig": {**default, **(self.fleetform_logging or {})}}

    @functools.wraps(updated)
    def update_configuration(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
        self.fleetform_logging = config_updates.get("LoggingConfig", self.fleetform_logging)
        updated(self, config_updates)
        answer: dict[str, Any] = self.get_configuration()
        return answer

    LambdaFunction.__init__ = init
    LambdaFunction.get_configuration = get_configuration
    LambdaFunction.update_configuration = update_configuration


def _invoke(parts: Parts, run: Functions) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
    def invoke(request: Any) -> tuple[int, dict[str, str], bytes]:
        """Invoke: synchronous, asynchronous (`Event`) or a dry run."""
        name = unquote(request.path.rsplit("/", 2)[-2])
        function = request.backend.get_function(name, request._get_param("qualifier"))
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        payload = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        if kind == "DryRun":
            return 204, {}, b""
        if kind == "Event":
            run.call_later(function, payload)
            return 202, {}, b""
        with parts.out_of_turn():  # what the function calls is answered while its caller waits
            outcome = run.call(function, payload)
        headers = {"content-type": "application/json", "x-amz-executed-version": "$LATEST"}
        if outcome.failed:
            headers["x-amz-function-error"] = "Unhandled"
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            tail = outcome.log.encode()[-_LOG_TAIL:]
            headers["x-amz-log-result"] = base64.b64encode(tail).decode()
        return 200, headers, outcome.payload

    return invoke
