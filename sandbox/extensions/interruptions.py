"""EC2 takes spot instances back: a notice in their metadata, and their end some time later.

`POST /_sandbox/interrupt` with `{"instance_id": "i-...", "after_s": 120}`, as Fault Injection Service's
`aws:ec2:send-spot-instance-interruptions` does it. Seam: the node's `ends_at`, which sandbox/metadata.py
shows, and `EC2Backend.terminate_instances`. moto takes no spot instance back; drop this when it does.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from moto.ec2.models import ec2_backends

from sandbox.parts import Parts

NOTICE_SECONDS = 120.0
"""How long before its end EC2 tells a spot instance of it."""


def install(parts: Parts) -> None:
    """Add the page."""

    def interrupt(body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        instance_id, after = str(asked["instance_id"]), float(asked.get("after_s", NOTICE_SECONDS))
        if after < 0:
            raise ValueError(f"after_s: {after} is negative")
        with parts.turn:
            backend, instance = _find(instance_id)
        node = parts.nodes.get(instance_id)
        if node is None or not node.running:
            raise ValueError(f"{instance_id} does not run")
        if instance.lifecycle != "spot":
            raise ValueError(f"{instance_id} is no spot instance; EC2 takes back only those")
        if node.ends_at is not None:
            raise ValueError(f"{instance_id} has had its notice already")
        node.ends_at = time.time() + after

        def end() -> None:
            with parts.turn:
                backend.terminate_instances([instance_id])

        timer = threading.Timer(after, end)
        timer.daemon = True
        timer.start()
        return {"instance_id": instance_id, "ends_at": node.ends_at}

    parts.pages["POST", "interrupt"] = interrupt


def _find(instance_id: str) -> tuple[Any, Any]:
    """Return moto's EC2 backend and instance of that id; ValueError where there is none."""
    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            instance = backend.get_instance_by_id(instance_id)
            if instance is not None:
                return backend, instance
    raise ValueError(f"there is no instance {instance_id}")
