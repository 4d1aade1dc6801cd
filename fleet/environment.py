"""Reads what Terraform has made of an environment: the EnvironmentOutputs that its fleet stack publishes."""

from __future__ import annotations

from fleet import aws
from fleet.cloud import Cloud
from stacks import naming
from stacks.outputs import EnvironmentOutputs
from stacks.problems import UserError


def read_outputs(cloud: Cloud, environment: str, region: str) -> EnvironmentOutputs:
    """Return the environment's outputs; raises UserError where its fleet is not up."""
    name = naming.outputs_parameter(environment)
    try:
        answer = aws.client(cloud, "ssm", region).get_parameter(Name=name)
    except Exception as error:
        if aws.error_code(error) != "ParameterNotFound":
            raise
        raise UserError.of(
            f"the environment {environment} has no fleet in the cloud {cloud}",
            f"build it: `fleetform up {environment}`",
        ) from error
    return EnvironmentOutputs.from_json(answer["Parameter"]["Value"])
