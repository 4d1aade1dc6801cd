"""The roles that AWS services have of their own in an account, made before something needs them.

A service makes its own for whoever may make roles for services, and a head node may not. Terraform's resource
for it fails where the role exists, as it does in any account that the service was used in.
"""

from __future__ import annotations

from collections.abc import Iterator

from fleet import aws
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report
from stacks.environment import EnvironmentSpec

_FSX, _FLEET, _SPOT = "fsx.amazonaws.com", "ec2fleet.amazonaws.com", "spot.amazonaws.com"
_EXISTS = "InvalidInput"
"""IAM's code for a service-linked role whose name is taken."""


def ensure_service_roles(session: Session, report: Report) -> None:
    """Make the roles of services that the environment uses; a refusal is told, what is there is none."""
    for service, name, without in _wanted(session.spec):
        try:
            session.client("iam").create_service_linked_role(AWSServiceName=service)
        except Exception as error:
            if not aws.is_cloud_error(error):
                raise
            if aws.error_code(error) != _EXISTS:
                why = str(error).splitlines()[0]
                text = f"{name} may lack its role here, without which {without}: {why}"
                report(ProgressEvent(kind="note", stack=session.spec.name, text=text))


def _wanted(spec: EnvironmentSpec) -> Iterator[tuple[str, str, str]]:
    """Yield service, its name, and what does not work without its role."""
    if spec.fsx.kind != "none" or spec.fsx.run_max_gib:
        yield _FSX, "FSx", "no run gets a file system"
    growing = [fleet for fleet in spec.fleets.values() if fleet.max_nodes > fleet.nodes]
    if spec.scheduler.is_slurm and growing:
        yield _FLEET, "EC2 Fleet", "no fleet grows with the queue"
        if any("spot" in fleet.purchases for fleet in growing):
            yield _SPOT, "EC2 Spot", "no fleet grows by spot nodes"
