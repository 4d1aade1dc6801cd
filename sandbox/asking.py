"""Asks the running embedded cloud for what no AWS service offers, at its own endpoint (standard library)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


class SandboxError(Exception):
    """The embedded cloud could not be started or stopped, or has refused; the message says why."""

    def __init__(self, message: str, problems: list[dict[str, str]] | None = None) -> None:
        """Make the error; `problems` are all that was wrong with what was asked: path, what, do."""
        super().__init__(message)
        self.problems = problems or []


def ask(endpoint: str, method: str, page: str, body: Mapping[str, object] | None, wait_s: float) -> Any:
    """Return the answer to a request of `/_sandbox/`; SandboxError with the reason where it is refused."""
    data = None if body is None else json.dumps(dict(body)).encode()
    url = f"{endpoint}/_sandbox/{page}"
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=wait_s) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = json.load(error)
        why, problems = str(said["error"]), said.get("problems")
        # Before the first colon is what Python calls the error.
        raise SandboxError(why if problems else why.partition(": ")[2] or why, problems) from error
