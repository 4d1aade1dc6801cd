"""Which runs are the same job, however many processes they have and however long they last."""

from __future__ import annotations

import hashlib
import json

from fleet.job import LaunchRequest
from trainer.config import load_config

NOT_THE_STEP = frozenset(
    {
        "recipe",
        "samples",
        "program",
        "log_every",
        "eval_every",
        "keep_checkpoints",
        "hang_minutes",
        "fresh",
    }
)
"""Settings of a recipe that say how long it trains and what it leaves, not how long a step takes."""


def job_digest(request: LaunchRequest, code: str, dataset: str) -> str:
    """Return the SHA-256 of what decides a step's time on a process: program, settings, data, machine.

    `code` and `dataset` are the digests of what travels with the job, "" for nothing.
    """
    about: dict[str, object] = {
        "instance_type": request.instance_type,
        "script": request.script,
        "arguments": list(request.arguments),
        "code": code,
        "dataset": dataset,
    }
    if request.recipe:
        settings = load_config(request.recipe, request.overrides).to_dict()
        about["recipe"] = {name: value for name, value in settings.items() if name not in NOT_THE_STEP}
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
