"""EC2 takes spot instances back: a notice, and their end some time later. Any machine loses its power.

`POST /_sandbox/interrupt` with `{"instance_id": "i-...", "after_s": 120}`, as Fault Injection Service's
`aws:ec2:send-spot-instance-interruptions` does it; `POST /_sandbox/kill` with `{"machine": "i-..."}` ends
a machine at once, with nothing said before and nothing left running, as a failure of its hardware does. Seam:
the node's `ends_at`, which sandbox/metadata.py shows, and `EC2Backend.terminate_instances`. moto takes no
spot instance back; drop this when it does.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends

from sandbox.parts import Parts

NOTICE_SECONDS = 120.0
"""How long before its end EC2 tells a spot instance of it."""


def install(parts: Parts) -> None:
    """Add the pages."""
    _add_interrupt(parts)
    _add_kill(parts)


def _add_interrupt(parts: Parts) -> None:

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
                end_instance(backend, instance_id)

        timer = threading.Timer(after, end)
        timer.daemon = True
        timer.start()
        return {"instance_id": instance_id, "ends_at": node.ends_at}

    parts.pages["POST", "interrupt"] = interrupt


def _add_kill(parts: Parts) -> None:
    def kill(body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        instance_id = parts.nodes.find(str(asked["machine"]), str(asked.get("environment", "")))
        if not instance_id:
            raise ValueError(f"there is no machine {asked['machine']}")
        with parts.turn:
            backend, _ = _find(instance_id)
        parts.nodes.kill(instance_id)
        with parts.turn:
            end_instance(backend, instance_id)
        return {"instance_id": instance_id}

    parts.pages["POST", "kill"] = kill


def end_instance(backend: Any, instance_id: str) -> None:
    """Terminate an instance as EC2 itself does; its group starts another."""
    backend.terminate_instances([instance_id])
    autoscaling_backends[backend.account_id][backend.region_name].notify_terminate_instances([instance_id])


def _find(instance_id: str) -> tuple[Any, Any]:
    """Return moto's EC2 backend and instance of that id; ValueError where there is none."""
    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            instance = backend.get_instance_by_id(instance_id)
            if instance is not None:
                return backend, instance
    raise ValueError(f"there is no instance {instance_id}")
