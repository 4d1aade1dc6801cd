"""Environment variables that lead an AWS client to the embedded cloud, and away from the user's account."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.place import Place

ACCESS_KEY = "AKIAFLEETFORMSANDBOX"
"""Twenty characters, as moto expects of an access key; the embedded cloud takes any."""
LOOPBACK = "127.0.0.1"
PLUGIN_VARIABLE = "FLEETFORM_SESSION_PLUGIN"
"""Names the command that carries sessions on machines, where that is not AWS's own plugin."""


def endpoint(port: int, address: str = LOOPBACK) -> str:
    """Return the one URL of every service; an IP address, because S3 is then addressed by path."""
    return f"http://{address}:{port}"


def client_variables(place: Place, url: str) -> dict[str, str]:
    """Return what an AWS client needs, and what keeps the user's profiles, keys and proxies out of it.

    Without a URL, what keeps a process away from the user's account and leads it nowhere else.
    """
    return {
        **({"AWS_ENDPOINT_URL": url} if url else {}),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": "sandbox",  # the embedded cloud checks no signatures
        "AWS_SESSION_TOKEN": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        # A profile of the user's would be looked up, so both names point at an empty one of ours.
        "AWS_PROFILE": "default",
        "AWS_DEFAULT_PROFILE": "default",
        "AWS_CONFIG_FILE": str(place.aws_config),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **_no_proxy(os.environ),
    }


def node_variables(place: Place, url: str, metadata: str) -> dict[str, str]:
    """Return what an AWS client on an emulated node needs: no keys, but the URL where it gets its role's."""
    ours = client_variables(place, url)
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED")
    return {
        **{name: value for name, value in ours.items() if name not in keys},
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
        "AWS_EC2_METADATA_V1_DISABLED": "true",
        # It waits for its turn with the calls, where a real one answers at once: longer than 1 s, and again.
        "AWS_METADATA_SERVICE_TIMEOUT": "20",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3",
    }


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep a proxy out of the way to this machine; none where there is no proxy."""
    proxies = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    if not any(environment.get(name) for name in proxies):
        return {}
    known = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    value = ",".join([*filter(None, known.split(",")), LOOPBACK])
    return {"no_proxy": value, "NO_PROXY": value}


def plugin_command() -> str:
    """Return the command that carries sessions on emulated machines, as a shell would read it."""
    source = Path(__file__).parents[1]  # it may be a checkout that is on nobody's path
    return shlex.join(["env", f"PYTHONPATH={source}", sys.executable, "-P", "-m", "sandbox.shells.plugin"])
