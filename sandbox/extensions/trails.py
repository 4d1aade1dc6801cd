"""Trails that are asked for by name: DescribeTrails answers those and no others.

Seam: `CloudTrailResponse.describe_trails`. moto answers every trail of the account, whatever names were
given, so that the provider, which asks for its own, finds two where an account has two. Drop this when moto
reads `trailNameList`.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Hang the choice by name on DescribeTrails."""
    describe = CloudTrailResponse.describe_trails

    @functools.wraps(describe)
    def describe_trails(self: Any) -> str:
        wanted = set(self._get_param("trailNameList") or ())
        answer = json.loads(describe(self))
        if wanted:
            # A name alone means a trail of this region; elsewhere its ARN has to be given.
            answer["trailList"] = [
                trail
                for trail in answer["trailList"]
                if trail["TrailARN"] in wanted
                or (trail["Name"] in wanted and trail["HomeRegion"] == self.region)
            ]
        return json.dumps(answer)

    CloudTrailResponse.describe_trails = describe_trails
