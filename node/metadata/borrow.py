"""How a run's processes get the role of their team: by the variables that every AWS SDK knows.

The SDKs fetch new credentials from the machine's own service (node/metadata/server.py) before the old ones
end, so that a run may last as long as it likes.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import MutableMapping
from pathlib import Path

from node.cluster.machine import read_machine
from node.metadata import tokens

_URL, _TOKEN_FILE = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_PATIENCE_SECONDS = 30.0


def borrow(run_id: str, job_id: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Have this process, and those that it starts, act as the run's team; before the first client is made.

    Nothing changes on a machine without the service: outside of a cluster, where there are no teams.
    """
    machine = read_machine(environment)
    address, token = tokens.read_address(machine), tokens.token_path(machine, job_id)
    if not address or not token.exists():
        return
    environment.pop("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", None)  # it would come first
    environment[_URL] = f"http://{address}/runs/{job_id}/{run_id}"
    environment[_TOKEN_FILE] = str(token)
    # Of the machine's metadata, what a run may know: that EC2 takes the machine back.
    environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://{address}"


def await_role(environment: MutableMapping[str, str] = os.environ) -> None:
    """Wait until the machine has taken the role on: SDKs wait for 2 s, which may be too short at first.

    Why it can't be had is told by whoever needs it.
    """
    if _URL not in environment:
        return
    try:
        token = Path(environment[_TOKEN_FILE]).read_text()
        request = urllib.request.Request(environment[_URL], headers={"Authorization": token})  # noqa: S310
        # A proxy is for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(request, timeout=_PATIENCE_SECONDS).close()
    except OSError as error:
        print(f"the role of the run's team is not there yet: {error}", file=sys.stderr)
