"""Reads what Terraform has made of an environment: the EnvironmentOutputs that its fleet stack publishes."""

from __future__ import annotations

from fleet import aws
from fleet.session import Session
from stacks import naming
from stacks.outputs import EnvironmentOutputs
from stacks.problems import UserError


def read_outputs(session: Session) -> EnvironmentOutputs:
    """Return the environment's outputs; raises UserError where its fleet is not up."""
    environment = session.spec.name
    try:
        answer = session.client("ssm").get_parameter(Name=naming.outputs_parameter(environment))
    except Exception as error:
        if aws.error_code(error) != "ParameterNotFound":
            raise
        raise UserError.of(
            f"the environment {environment} has no fleet in the cloud {session.cloud}",
            f"build it: `fleetform up {environment}`",
        ) from error
    return EnvironmentOutputs.from_json(answer["Parameter"]["Value"])
