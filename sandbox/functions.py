"""Lambda functions that run: each call is a process of this machine, with the role's credentials.

As in the cloud the process sees the function's archive, its variables and boto3, and nothing else of this
machine's Python; what it prints goes to CloudWatch Logs, with its role's own right to write there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from sandbox.clock import Clock
from sandbox.iam.credentials import RoleRefusedError, credentials_for_role
from sandbox.place import Place
from sandbox.processes import SANDBOX_VARIABLE
from sandbox.variables import client_variables

RETRY_SECONDS = (1.0, 2.0)
"""Pauses before an asynchronous call that failed is made again; a minute and two in the cloud."""
_PROGRAM = Path(__file__).with_name("function_process.py")
_LIBRARIES = Path(boto3.__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call ended."""

    payload: bytes
    """JSON: what the function returned, or its error."""
    failed: bool
    log: str


class Functions:
    """Runs functions; knows which asynchronous calls are under way."""

    def __init__(self, place: Place, clock: Clock, endpoint: Callable[[], str]) -> None:
        self._place = place
        self._clock = clock
        self._endpoint = endpoint
        self._busy = 0
        self._idle = threading.Condition()

    def call(self, function: Any, payload: bytes) -> Outcome:
        """Run moto's function on the event and return how it ended."""
        request = str(uuid.uuid4())
        try:
            keys = credentials_for_role(function.role, function.function_name, "lambda")
        except RoleRefusedError as error:
            return _failure("AccessDeniedException", str(error), "")
        stream = f"{self._clock.now():%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory(prefix="function-", dir=self._place.folder) as folder:
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                archive.extractall(folder)
            outcome = _run(function, payload, Path(folder), self._variables(function, keys, stream), request)
        self._keep_log(function, keys, stream, outcome.log)
        return outcome

    def call_later(self, function: Any, payload: bytes) -> None:
        """Run it in the background, again after a failure, as Lambda does with an asynchronous call."""
        with self._idle:
            self._busy += 1
        threading.Thread(target=self._call_until_done, args=[function, payload], daemon=True).start()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no asynchronous call is under way; return whether that came true in time."""
        with self._idle:
            return self._idle.wait_for(lambda: self._busy == 0, seconds)

    def _call_until_done(self, function: Any, payload: bytes) -> None:
        try:
            for pause in (*RETRY_SECONDS, 0.0):
                if not self.call(function, payload).failed:
                    return
                time.sleep(pause)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _variables(self, function: Any, keys: tuple[str, str, str], stream: str) -> dict[str, str]:
        """Return the whole environment of the process: Lambda's own variables, and the function's."""
        access_key, secret_key, token = keys
        return {
            **client_variables(self._place, self._endpoint()),
            **{name: str(value) for name, value in (function.environment_vars or {}).items()},
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_SESSION_TOKEN": token,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": log_group(function),
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            SANDBOX_VARIABLE: str(self._place.folder),
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
        }

    def _keep_log(self, function: Any, keys: tuple[str, str, str], stream: str, text: str) -> None:
        """Send the output to CloudWatch Logs; a role that may not write there loses it, as in the cloud."""
        access_key, secret_key, token = keys
        client = boto3.client(
            "logs",
            region_name=function.region,
            endpoint_url=self._endpoint(),
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
        )
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in text.splitlines() if line]
        where = {"logGroupName": log_group(function), "logStreamName": stream}
        with contextlib.suppress(client.exceptions.ClientError):
            client.create_log_stream(**where)
            client.put_log_events(logEvents=events, **where)


def log_group(function: Any) -> str:
    """Return the function's log group: the one that it was given, or Lambda's default."""
    given = getattr(function, "fleetform_logging", None) or {}
    return str(given.get("LogGroup") or f"/aws/lambda/{function.function_name}")


def _run(function: Any, payload: bytes, folder: Path, variables: dict[str, str], request: str) -> Outcome:
    """Run the process to its end, or for as long as the function may take."""
    answer = folder / f".answer-{request}"
    about = {
        "handler": function.handler,
        "libraries": str(_LIBRARIES),
        "answer": str(answer),
        "function_name": function.function_name,
        "arn": function.function_arn,
        "request": request,
        "timeout_s": float(function.timeout),
    }
    # Without `site`, or what is installed here beside boto3 could stand in for what the archive lacks.
    command = [sys.executable, "-S", "-E", str(_PROGRAM), json.dumps(about)]
    begin = time.monotonic()
    try:
        ended = subprocess.run(
            command,
            input=payload or b"{}",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=variables,
            timeout=float(function.timeout),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        text = f"{request} Task timed out after {function.timeout:.2f} seconds"
        return _failure("", text, _log(request, (late.stdout or b"").decode(errors="replace") + text, begin))
    log = _log(request, ended.stdout.decode(errors="replace"), begin)
    if not answer.is_file():
        text = f"RequestId: {request} Error: Runtime exited with error: exit status {ended.returncode}"
        return _failure("Runtime.ExitError", text, log)
    said = json.loads(answer.read_bytes())
    return Outcome(payload=json.dumps(said["answer"]).encode(), failed=said["failed"], log=log)


def _log(request: str, output: str, begin: float) -> str:
    took = (time.monotonic() - begin) * 1000
    return (
        f"START RequestId: {request} Version: $LATEST\n{output.rstrip()}\nEND RequestId: {request}\n"
        f"REPORT RequestId: {request}\tDuration: {took:.2f} ms\n"
    )


def _failure(kind: str, text: str, log: str) -> Outcome:
    error = {"errorMessage": text, **({"errorType": kind} if kind else {})}
    return Outcome(payload=json.dumps(error).encode(), failed=True, log=log)
