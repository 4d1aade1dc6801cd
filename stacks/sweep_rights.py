"""What a deployer needs beside the listings to see whose each thing is that a sweep of the account finds."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.deployer_network import anywhere
from stacks.place import Place
from stacks.policies import statement


def sweep_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to read the tags of what a listing names without them; nothing is changed by any."""
    iam = f"arn:{place.partition}:iam::{place.account_id}"
    parameters = naming.outputs_parameter("*").removesuffix("/outputs")
    groups = naming.log_group("*", "").removesuffix("/")
    return [
        statement("SeeProfiles", actions=["iam:GetInstanceProfile"], resources=[f"{iam}:instance-profile/*"]),
        statement("SeePolicies", actions=["iam:ListPolicyTags"], resources=[f"{iam}:policy/*"]),
        statement(
            "SeeParameters",
            actions=["ssm:ListTagsForResource"],
            resources=anywhere(place, "ssm", f"parameter{parameters}"),
        ),
        statement(
            "SeeLogGroups",
            actions=["logs:ListTagsForResource"],
            resources=anywhere(place, "logs", f"log-group:{groups}"),
        ),
    ]
