"""What stands of an environment: machines by fleet, disks, stores and costs, each counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.holdings import NODES, holdings
from fleet.project import Project
from fleet.runs import RunStatus
from stacks import naming
from stacks.catalog import load_catalog
from tests.run_environment import INSTANCE_TYPE, build
from tests.teardown_parts import put_state

pytestmark = pytest.mark.sandbox


def test_what_stands_is_told_by_fleet_with_its_disks_stores_and_costs(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    environment = build(sandbox, Project(root=sandbox_home.parent, home=sandbox_home), "holding", nodes=2)
    session = environment.session
    s3, state = (
        session.client("s3"),
        naming.state_bucket(session.account.organization, session.account.region),
    )
    s3.create_bucket(Bucket=state)
    try:
        put_state(session, "holding-base", aws_s3_bucket__artifacts="b-1", aws_vpc__main="vpc-1")
        (node, _) = environment.instances("node")
        found = holdings(session, [run_on(node)])
        (gpu,) = found.fleets
        assert (gpu.name, gpu.types, gpu.busy, gpu.idle, gpu.gpus, gpu.at_most) == (
            "gpu", (INSTANCE_TYPE,), 1, 1, 2, 2,
        )  # fmt: skip
        assert found.heads == ("m6i.large",)
        assert found.disks >= 3 and found.disks_gib > 0
        assert [(each.kind, each.id) for each in found.stores] == [("aws_s3_bucket", "b-1")]
        assert dict(found.costs)[NODES] == pytest.approx(2 * load_catalog()[INSTANCE_TYPE].price_usd_per_hour)
    finally:
        environment.remove()
        s3.delete_object(Bucket=state, Key=naming.state_key("holding-base"))
        s3.delete_bucket(Bucket=state)
    gone = holdings(session, [])
    assert (gone.heads, gone.disks, gone.stores, gone.costs) == ((), 0, (), ())
    assert [(each.busy, each.idle, each.at_most) for each in gone.fleets] == [(0, 0, 2)]


def run_on(instance_id: str) -> RunStatus:
    """Return a run that is on that machine."""
    return RunStatus(
        run_id="r-1", state="RUNNING", program="digits", fleet="gpu", nodes=1, procs_per_node=1,
        actor="tests", submitted="2026-11-23T10:00:00Z", started=None, ended=None, cause="",
        placed=({"instance_id": instance_id},),
    )  # fmt: skip
