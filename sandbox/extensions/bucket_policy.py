"""Bucket policies that ask for TLS: a call over loopback counts as one that came through TLS.

Seam: `FakeBucket.get_permission`. moto takes a statement whose conditions it cannot see to hold as a
refusal, so that a TLS-only policy shuts everybody out; drop this when it evaluates `aws:SecureTransport`.
"""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Leave out, of every bucket's policy, the statements against calls without TLS."""

    def get_permission(self: Any, action: str, resource: str) -> Any:
        document = json.loads(self.policy.decode()) if self.policy else {"Statement": []}
        statements = document["Statement"]
        if not isinstance(statements, list):
            statements = [statements]
        document["Statement"] = [each for each in statements if not wants_tls(each)]
        if not document["Statement"]:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)

    FakeBucket.get_permission = get_permission


def wants_tls(statement: dict[str, Any]) -> bool:
    """Tell whether the statement denies what does not come through TLS, and nothing else."""
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return statement.get("Effect") == "Deny" and statement.get("Condition") == insecure
