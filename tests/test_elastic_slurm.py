"""Nodes that come and go with the queue: real Slurm calls our programs, which buy from the embedded EC2."""

from __future__ import annotations

import pytest

from fleet.cloud import Cloud
from tests.elastic_lab import elastic_lab, settle
from tests.slurm_cluster import needs_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.sandbox, needs_slurm]


def test_a_fleet_grows_with_a_job_and_shrinks_to_nothing_after_it(sandbox: Cloud) -> None:
    with elastic_lab(sandbox, "grow") as lab:
        job = lab.submit("run-1", 3, "srun true")
        lab.slurm.wait_job(job, ["RUNNING", "COMPLETED"])
        assert lab.names() == ["gpu-1", "gpu-2", "gpu-3"]
        tags = lab.machines()[0]["tags"]
        assert tags["fleetform:owner"] == "lab@example.com"
        lab.slurm.wait_job(job, ["COMPLETED"])
        settle(lab, 0)
        assert len(lab.started()) == 3
