"""The one door of this room to boto3: clients for the chosen cloud, and its errors in one sentence."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fleet.cloud import FULL_URI, Cloud
from stacks.problems import UserError

if TYPE_CHECKING:
    import boto3

_MAKING = threading.Lock()
"""A session must not be used by two threads at once; the clients that it makes may."""


@lru_cache(maxsize=8)
def _session(cloud_name: str, variables: tuple[tuple[str, str], ...], region: str) -> boto3.Session:
    import boto3  # 0.3 s: paid by the commands that talk to the cloud, not by `--help`
    import botocore.session
    from botocore.credentials import ContainerProvider

    values = dict(variables)
    core = botocore.session.get_session()
    # A named cloud brings a configuration of its own, or the shell's AWS_PROFILE would be looked up for it.
    names = {
        "profile": "AWS_PROFILE",
        "config_file": "AWS_CONFIG_FILE",
        "credentials_file": "AWS_SHARED_CREDENTIALS_FILE",
    }
    for name, variable in names.items():
        if values.get(variable):
            core.set_config_variable(name, values[variable])
    if FULL_URI in values:  # keys that are renewed: whatever else the user has for them counts no more
        core.set_config_variable("profile", "default")
        lent = ContainerProvider(environ={name: value for name, value in values.items() if value})
        core.get_component("credential_provider").providers.insert(0, lent)
    return boto3.Session(
        botocore_session=core,
        aws_access_key_id=values.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=values.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=values.get("AWS_SESSION_TOKEN"),
        region_name=region,
    )


def client(cloud: Cloud, service: str, region: str, *, attempts: int = 5) -> Any:
    """Return a boto3 client for the service in that region of the cloud; `attempts` bounds its retries."""
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "max_attempts": attempts}, connect_timeout=5, read_timeout=60
    )
    with _MAKING:
        session = _session(cloud.name, tuple(sorted(cloud.variables.items())), region)
        # boto3-stubs types every service by a literal; the service is a value here.
        return session.client(service, endpoint_url=cloud.endpoint, config=config)  # type: ignore[call-overload]


def error_code(error: Exception) -> str:
    """Return the AWS error code of a botocore ClientError ("NoSuchKey"), or "" for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def is_cloud_error(error: Exception) -> bool:
    """Return whether the error is the cloud's refusal or silence, and not a mistake of ours."""
    return type(error).__module__.split(".")[0] in (
        "botocore",
        "boto3",
    )  # by name: raised errors may come before any import


def caller_account(sts: Any) -> tuple[str, str]:
    """Return the partition ("aws") and the number of the account whose credentials the client has."""
    caller = sts.get_caller_identity()
    return caller["Arn"].split(":")[1], caller["Account"]


def require_reachable(cloud: Cloud, region: str) -> str:
    """Return the caller's ARN, the proof that the cloud answers and takes the credentials.

    Raises UserError where it does not answer or no credentials are found.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(client(cloud, "sts", region, attempts=1).get_caller_identity()["Arn"])
    except (BotoCoreError, ClientError) as error:
        if cloud.endpoint:
            raise UserError.of(
                f"the cloud {cloud} does not answer ({error})",
                "start it again (`fleetform sandbox start`), or name another one with `--cloud`",
            ) from error
        raise UserError.of(
            f"AWS does not take this machine's credentials ({error})",
            "sign in (`aws sso login`, AWS_PROFILE), or work without an account: `fleetform sandbox start`",
        ) from error
