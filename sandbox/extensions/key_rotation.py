"""KMS key rotation that remembers its period.

Seam: EnableKeyRotation and GetKeyRotationStatus on `KmsResponse`. moto forgets `RotationPeriodInDays`, which
Terraform then sees as a change for ever; drop this when it keeps it.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.kms.responses import KmsResponse

from sandbox.parts import Parts, store

DEFAULT_DAYS = 365


def install(parts: Parts) -> None:
    """Wrap the two actions."""
    enable, status = KmsResponse.enable_key_rotation, KmsResponse.get_key_rotation_status

    @functools.wraps(enable)
    def enable_key_rotation(self: Any) -> str:
        days = self._get_param("RotationPeriodInDays", DEFAULT_DAYS)
        answer: str = enable(self)
        store(self.kms_backend, "rotation_days")[_key(self)] = int(days)
        return answer

    @functools.wraps(status)
    def get_key_rotation_status(self: Any) -> str:
        answer = json.loads(status(self))
        answer["KeyId"] = _key(self)
        if answer["KeyRotationEnabled"]:
            answer["RotationPeriodInDays"] = store(self.kms_backend, "rotation_days").get(
                _key(self), DEFAULT_DAYS
            )
        return json.dumps(answer)

    KmsResponse.enable_key_rotation = enable_key_rotation
    KmsResponse.get_key_rotation_status = get_key_rotation_status


def _key(request: Any) -> str:
    key_id: str = request.kms_backend.get_key_id(request._get_param("KeyId"))
    return key_id
