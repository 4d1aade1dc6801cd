"""An environment at a glance: counted from machines as EC2 tells of them, and on the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.commands import line
from fleet.glance import count_machines, glance
from fleet.project import Project
from stacks.catalog import load_catalog
from tests.run_environment import build


def test_machines_are_busy_where_a_run_is_on_them() -> None:
    catalog = load_catalog()
    instances = [
        {"InstanceId": "i-1", "InstanceType": "g5.12xlarge"},
        {"InstanceId": "i-2", "InstanceType": "g5.12xlarge"},
        {"InstanceId": "i-3", "InstanceType": "g5.xlarge"},
        {"InstanceId": "i-4", "InstanceType": "z9.huge"},
    ]
    found = count_machines(instances, {"i-1", "i-4"}, catalog)
    assert (found.busy, found.idle, found.busy_gpus, found.idle_gpus) == (2, 2, 4, 5)
    price = 2 * catalog["g5.12xlarge"].price_usd_per_hour + catalog["g5.xlarge"].price_usd_per_hour
    assert found.usd_per_hour == pytest.approx(price)
    assert found.unpriced == ("z9.huge",)


@pytest.mark.sandbox
def test_an_environment_that_stands_is_seen_with_its_machines_and_one_that_is_gone_without(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    environment = build(sandbox, Project(root=sandbox_home.parent, home=sandbox_home), "glanced", nodes=2)
    try:
        seen = glance(environment.session, [])
        assert seen.stands and (seen.machines.busy, seen.machines.idle) == (0, 2)
        assert seen.machines.idle_gpus == 2
        assert seen.usd_per_hour == seen.machines.usd_per_hour > 0
        assert seen.lease_ends == environment.session.spec.lease_ends
    finally:
        environment.remove()
    gone = glance(environment.session, [])
    assert gone.machines.idle == 0 and gone.stands, "the outputs are still published"


def test_a_command_is_one_line_whose_words_stay_words() -> None:
    assert line(("down", "vision", "--anyway", "it's over; $(rm)")) == (
        """fleetform down vision --anyway 'it'"'"'s over; $(rm)'"""
    )
