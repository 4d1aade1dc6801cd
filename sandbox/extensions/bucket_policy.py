"""Bucket policies that moto leaves alone: they are decided upon before the call reaches it.

Seam: `FakeBucket.get_permission`. moto reads conditions that it cannot see to hold as a refusal, so that a
TLS-only policy shuts everybody out; `sandbox/iam/` evaluates them. Drop this with that.
"""

from __future__ import annotations

from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Take moto's own opinion away."""

    def get_permission(self: Any, action: str, resource: str) -> Any:
        return PermissionResult.PERMITTED

    FakeBucket.get_permission = get_permission
