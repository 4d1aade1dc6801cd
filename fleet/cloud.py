"""Which cloud a command talks to: AWS itself, or an endpoint URL with credentials of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet.project import Project
from stacks.problems import UserError

AWS = "aws"
"""The name of the cloud that needs no file: AWS with the caller's own credential chain."""


FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
"""The variable that names where keys are had that are renewed (fleet/lent_credentials.py)."""


@dataclass(frozen=True)
class Cloud:
    """A cloud by name, and the environment variables that lead boto3 and Terraform to it."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    """Added to the process environment: AWS_ENDPOINT_URL, keys and so on; one of "" is taken out of it. Empty
    for AWS itself."""

    @property
    def endpoint(self) -> str | None:
        """The URL that every service is reached at, or None for AWS's own endpoints."""
        return self.variables.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL")

    def process_environment(self) -> dict[str, str]:
        """Return this process's environment with the cloud's variables over it, for a child process."""
        return {
            name: value
            for name, value in {**os.environ, **self.variables}.items()
            if value or name not in self.variables
        }

    def __str__(self) -> str:
        return f"{self.name} ({self.endpoint})" if self.endpoint else self.name


def cloud_file(project: Project, name: str) -> Path:
    """Return the file that describes the named cloud: a JSON object of environment variables."""
    return project.home / "clouds" / f"{name}.json"


def choose_cloud(project: Project, name: str | None = None) -> Cloud:
    """Return the cloud to use: `name`, else FLEETFORM_CLOUD, else the project's choice, else AWS.

    The project's choice is the one line of `.fleetform/cloud`. Raises UserError for an unknown name.
    """
    choice = project.home / "cloud"
    chosen = (
        name or os.environ.get("FLEETFORM_CLOUD") or (choice.read_text().strip() if choice.is_file() else AWS)
    )
    if chosen == AWS:
        return Cloud(AWS)
    file = cloud_file(project, chosen)
    if not file.is_file():
        raise UserError.of(
            f"no cloud named {chosen!r} is known to this project",
            "use `--cloud aws`, or make it known first (`fleetform sandbox start` makes `sandbox`)",
            path="--cloud",
        )
    return Cloud(chosen, json.loads(file.read_text()))
