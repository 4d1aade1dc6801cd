"""EC2 takes spot instances back: a notice, and their end some time later. Any machine loses its power.

`POST /_sandbox/interrupt` with `{"instance_id": "i-...", "after_s": 120}`, as Fault Injection Service's
`aws:ec2:send-spot-instance-interruptions` does it; `POST /_sandbox/kill` with `{"machine": "i-..."}` ends
a machine at once, with nothing said before and nothing left running, as a failure of its hardware does. Both
are faults too, and so is a disk that is full (docs/faults.md). Seam: the node's `ends_at`, which
sandbox/metadata.py shows, and `EC2Backend.terminate_instances`. moto takes no spot instance back; drop this
when it does.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends

from sandbox.faults import Fault
from sandbox.full_disks import FullDisk
from sandbox.parts import Parts

NOTICE_SECONDS = 120.0
"""How long before its end EC2 tells a spot instance of it."""


def install(parts: Parts) -> None:
    """Add the pages, and the faults of machines."""

    def interrupt(body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        instance_id, after = str(asked["instance_id"]), float(asked.get("after_s", NOTICE_SECONDS))
        return {"instance_id": instance_id, "ends_at": give_notice(parts, instance_id, after)}

    def kill(body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        instance_id = find_machine(parts, str(asked["machine"]), str(asked.get("environment", "")))
        take_power(parts, instance_id)
        return {"instance_id": instance_id}

    parts.pages["POST", "interrupt"] = interrupt
    parts.pages["POST", "kill"] = kill
    parts.faults.effects["interruption"] = Interruption(parts)
    parts.faults.effects["power-loss"] = PowerLoss(parts)
    parts.faults.effects["disk-full"] = FullDisk(
        parts.nodes, lambda rule: find_machine(parts, rule.machine, rule.environment)
    )


class Interruption:
    """The fault `interruption`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def begin(self, rule: Fault) -> None:
        """Give the machine its notice."""
        give_notice(self._parts, find_machine(self._parts, rule.machine, rule.environment), rule.notice_s)

    def end(self, rule: Fault) -> None:
        """Do nothing: EC2 does not take a notice back."""


class PowerLoss:
    """The fault `power-loss`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def begin(self, rule: Fault) -> None:
        """Take the machine's power."""
        take_power(self._parts, find_machine(self._parts, rule.machine, rule.environment))

    def end(self, rule: Fault) -> None:
        """Do nothing: the machine is gone."""


def give_notice(parts: Parts, instance_id: str, after_s: float) -> float:
    """Give a spot instance its notice; return when it ends, seconds since the epoch."""
    if after_s < 0:
        raise ValueError(f"after_s: {after_s} is negative")
    with parts.turn:
        backend, instance = _find(instance_id)
    node = parts.nodes.get(instance_id)
    if node is None or not node.running:
        raise ValueError(f"{instance_id} does not run")
    if instance.lifecycle != "spot":
        raise ValueError(f"{instance_id} is no spot instance; EC2 takes back only those")
    if node.ends_at is not None:
        raise ValueError(f"{instance_id} has had its notice already")
    node.ends_at = time.time() + after_s

    def end() -> None:
        with parts.turn:
            end_instance(backend, instance_id)

    timer = threading.Timer(after_s, end)
    timer.daemon = True
    timer.start()
    return node.ends_at


def take_power(parts: Parts, instance_id: str) -> None:
    """End a machine at once: nothing of it runs any more, and its group starts another."""
    with parts.turn:
        backend, _ = _find(instance_id)
    parts.nodes.kill(instance_id)
    with parts.turn:
        end_instance(backend, instance_id)


def find_machine(parts: Parts, machine: str, environment: str) -> str:
    """Return the id of a machine that runs; ValueError where there is none of that name."""
    instance_id = parts.nodes.find(machine, environment)
    if not instance_id:
        raise ValueError(f"there is no machine {machine}")
    return instance_id


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
