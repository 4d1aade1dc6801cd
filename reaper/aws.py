"""The one door of this room to boto3: clients, and the cloud's own clock."""

from __future__ import annotations

import datetime
import threading
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=20,
)


class Aws:
    """Clients of one function's run, each made once."""

    def __init__(self, region: str) -> None:
        self.region = region
        """The account's region, where the function, the schedules and the ledger are."""
        self._clients: dict[tuple[str, str], Any] = {}
        self._guard = threading.Lock()  # boto3's default session must not be used by two threads at once

    def client(self, service: str, region: str = "") -> Any:
        """Return the client of a service, in the account's region where none is named."""
        key = service, region or self.region
        with self._guard:
            if key not in self._clients:
                # boto3-stubs types every service by a literal; the service is a value here.
                self._clients[key] = boto3.client(service, region_name=key[1], config=_CONFIG)  # type: ignore[call-overload]
            return self._clients[key]

    def caller_and_time(self) -> tuple[str, datetime.datetime]:
        """Return our role's ARN and the time in UTC, as the cloud's answer is dated.

        The event says a time too, but whoever may invoke the function may write any time into an event.
        """
        answer = self.client("sts").get_caller_identity()
        dated = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        return str(answer["Arn"]), parsedate_to_datetime(dated).astimezone(datetime.UTC)

    def regions(self) -> list[str]:
        """Return every region that is enabled in the account."""
        return sorted(each["RegionName"] for each in self.client("ec2").describe_regions()["Regions"])


def error_code(error: Exception) -> str:
    """Return the code of a refusal by AWS ("AccessDenied"), or "" for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
