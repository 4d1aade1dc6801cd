"""EnvironmentOutputs: what Terraform publishes comes back whole, from a newer writer as well."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from stacks.outputs import EnvironmentOutputs, FleetOutputs

OUTPUTS = EnvironmentOutputs(
    environment="vision",
    region="us-east-1",
    vpc_id="vpc-1",
    subnet_ids=("subnet-1", "subnet-2"),
    artifact_bucket="acme-ai-vision-artifacts-us-east-1",
    dataset_bucket="acme-ai-vision-datasets-us-east-1",
    ledger_bucket="acme-ai-fleetform-ledger-us-east-1",
    kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/1",
    run_document="vision-run-job",
    node_document="vision-run-node",
    head_group="vision-head",
    run_max_gib=2400,
    fleets={
        "gpu": FleetOutputs(
            group="vision-gpu", nodes=2, max_nodes=4, instance_type="g5.xlarge", gpus_per_node=1
        )
    },
)


def test_outputs_come_back_as_they_were_written() -> None:
    assert EnvironmentOutputs.from_json(OUTPUTS.to_json()) == OUTPUTS


def test_keys_of_a_newer_writer_are_ignored_at_every_level() -> None:
    data = json.loads(OUTPUTS.to_json())
    data["file_system"] = {"id": "fs-1"}
    data["fleets"]["gpu"]["spot"] = True
    assert EnvironmentOutputs.from_json(json.dumps(data)) == OUTPUTS


def test_outputs_of_before_file_systems_for_runs_allow_none() -> None:
    data = json.loads(OUTPUTS.to_json())
    del data["run_max_gib"]
    assert EnvironmentOutputs.from_json(json.dumps(data)).run_max_gib == 0


@pytest.mark.parametrize(
    "field", [name for name, field in EnvironmentOutputs.model_fields.items() if field.is_required()]
)
def test_a_missing_field_is_refused(field: str) -> None:
    data = json.loads(OUTPUTS.to_json())
    del data[field]
    with pytest.raises(ValueError, match=field):
        EnvironmentOutputs.from_json(json.dumps(data))


def test_outputs_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        OUTPUTS.vpc_id = "vpc-2"
