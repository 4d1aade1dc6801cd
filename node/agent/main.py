"""The agent of a node: `python -m node.agent.main`, for as long as the machine lives.

It watches for the spot notice, publishes what the machine does, follows a head that was replaced, and ends
what a machine that died leaves behind here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from node.agent import spot
from node.agent.head import HeadWatch
from node.agent.interruption import Interruption
from node.agent.left_steps import LeftSteps
from node.agent.metadata import Metadata
from node.agent.publish import BUSY_SECONDS, Publisher
from node.agent.registration import LOOK_SECONDS as REGISTRATION_SECONDS
from node.agent.registration import Registration
from node.agent.usage import Usage
from node.aws import client, failures
from node.cluster.facts import NoClusterError, parse_facts
from node.cluster.identity import find_head, own_name
from node.cluster.machine import read_machine
from node.cluster.units import SLURMD, restart
from node.cluster.users import ensure_users
from node.config import NodeConfig, read_node_config
from node.health import expected
from node.patience import growing
from node.store import Bucket

_NAME_SECONDS, _SLOW_NAME_SECONDS = 5.0, 30.0
_LEARN_SECONDS = 60.0
"""How often the cluster's description is read anew: an `up` may have changed it, or added a team."""


def own_node_name(ec2: Any, metadata: Metadata) -> str:
    """Wait until the head has given this instance its name in Slurm, and return it."""
    pauses = growing(_NAME_SECONDS, _SLOW_NAME_SECONDS)
    while True:
        try:
            name = own_name(ec2, metadata.get("instance-id") or "")
            if name:
                return name
        except failures() as error:
            print(f"the node's name cannot be learnt yet: {error}", file=sys.stderr)
        time.sleep(next(pauses))


def watch_spot(name: str, metadata: Metadata) -> Callable[[], float]:
    """Return what looks for the notice, and follows it once it is there; each call returns the next pause."""
    state: dict[str, Any] = {"interruption": None, "recommended": False}

    def look() -> float:
        interruption: Interruption | None = state["interruption"]
        if interruption is None:
            try:
                notice = spot.look(metadata)
                if notice is None and not state["recommended"] and (since := spot.recommendation(metadata)):
                    state["recommended"] = True
                    print(f"EC2 recommends since {since} to move: this machine may be taken soon")
            except OSError:  # no instance, or a hiccup: the next look is two seconds away
                notice = None
            if notice is not None:
                print(f"{name}: {notice}")
                interruption = state["interruption"] = Interruption(name, notice)
        if interruption is not None:
            interruption.tick(time.time())
        return spot.POLL_SECONDS

    return look


def publish(usage: Usage, publisher: Publisher) -> Callable[[], float]:
    """Return what writes the machine's numbers where they are due."""

    def look() -> float:
        try:
            publisher.offer(usage.look(), time.time())
        except failures() as error:
            print(f"the machine's numbers were not written: {error}", file=sys.stderr)
        return BUSY_SECONDS

    return look


def follow_head(config: NodeConfig, ec2: Any) -> Callable[[], float]:
    """Return what restarts slurmd where the head has moved; the steps of jobs go on meanwhile."""

    def find() -> str:
        found = find_head(ec2, config.environment)
        return found.address if found else ""

    watch = HeadWatch(config.work / "head", read_machine().controller_port, find, lambda: restart(SLURMD))

    def look() -> float:
        try:
            return watch.look()
        except (subprocess.SubprocessError, *failures()) as error:  # type: ignore[misc]
            print(f"the head could not be followed: {error}", file=sys.stderr)
            return watch.later()

    return look


def stay_registered(name: str) -> Callable[[], float]:
    """Return what has slurmd register again where Slurm has forgotten that this node came."""
    registration = Registration(name, lambda: restart(SLURMD))

    def look() -> float:
        try:
            return registration.look()
        except subprocess.SubprocessError as error:
            print(f"slurmd could not be started anew: {error}", file=sys.stderr)
            return REGISTRATION_SECONDS

    return look


def learn(config: NodeConfig, bucket: Bucket) -> Callable[[], float]:
    """Return what keeps current what the prolog expects of this machine, and the users that jobs run as."""

    def look() -> float:
        try:
            cluster = expected.read_cluster(bucket)
            expected.keep(cluster, bucket, config)
            ensure_users(read_machine(), parse_facts(cluster).teams)
        except (ValueError, KeyError, NoClusterError, subprocess.SubprocessError, *failures()) as error:  # type: ignore[misc]
            print(f"the cluster's description could not be taken over: {error}", file=sys.stderr)
        return _LEARN_SECONDS

    return look


def keep_up(act: Callable[[], float], what: str) -> None:
    """Call `act` for ever in a thread; an error that it does not expect ends the agent: it is restarted."""

    def loop() -> None:
        try:
            while True:
                time.sleep(act())
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=loop, name=what, daemon=True).start()


def main() -> int:
    """Start all of it and stay."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    config, metadata = read_node_config(), Metadata()
    ec2 = client("ec2", config.region)
    bucket = Bucket(client("s3", config.region), config.artifact_bucket)
    keep_up(learn(config, bucket), "expected")
    name = own_node_name(ec2, metadata)
    print(f"this is {name}")
    keep_up(watch_spot(name, metadata), "spot")
    keep_up(publish(Usage(config.work, config.root), Publisher(bucket, name)), "usage")
    keep_up(follow_head(config, ec2), "head")
    keep_up(stay_registered(name), "registration")
    keep_up(LeftSteps().look, "left steps")
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
