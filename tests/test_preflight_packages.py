"""Machines that reach no package source are told of before they fail to become a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.preflights.packages import machines_can_install_slurm
from tests.live_cases import answered, found, live_case
from tests.sandbox_helpers import REGION, api

pytestmark = pytest.mark.sandbox
QUESTION = "the packages of Slurm in the artifact bucket"


@pytest.mark.parametrize(
    ("network", "there", "told"),
    [({}, False, True), ({}, True, False), ({"closed": True}, False, True), ({"nat": "one"}, False, False)],
)
def test_a_network_without_a_way_out_needs_slurm_in_its_bucket(
    sandbox: Cloud, network: dict[str, Any], there: bool, told: bool
) -> None:
    case = live_case(sandbox, REGION, network=network)
    case = answered(replace(case, cloud=Cloud("aws")), QUESTION, there)
    problems = found(machines_can_install_slurm, case)
    assert [path for path, _ in problems] == ["scheduler.kind"] * told
    assert all("s3://acme-ai-vision-artifacts-us-east-1/packages/slurm/" in what for _, what in problems)


def test_machines_of_an_embedded_cloud_have_what_the_computer_has(sandbox: Cloud) -> None:
    assert found(machines_can_install_slurm, live_case(sandbox, REGION)) == []


def test_the_bucket_is_looked_into_and_one_that_is_not_there_holds_none(sandbox: Cloud) -> None:
    from fleet.preflights.packages import _are_there

    case, bucket = live_case(sandbox, REGION, name="unboxed"), "acme-ai-unboxed-artifacts-us-east-1"
    assert not _are_there(case, bucket)
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="packages/slurm/README", Body=b"")
    assert not _are_there(case, bucket)
    s3.put_object(Bucket=bucket, Key="packages/slurm/slurmd_22.05.deb", Body=b"")
    assert _are_there(case, bucket)
