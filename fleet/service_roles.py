"""The roles that AWS services have of their own in an account, made before something needs them.

FSx makes its own for whoever may make roles for services, and a head node may not. Terraform's resource for
it fails where the role exists, as it does in any account that FSx was used in.
"""

from __future__ import annotations

from fleet import aws
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report

_FSX = "fsx.amazonaws.com"
_EXISTS = "InvalidInput"
"""IAM's code for a service-linked role whose name is taken."""


def ensure_service_roles(session: Session, report: Report) -> None:
    """Make FSx's role where the environment uses FSx; a refusal is told, and one that is there is none."""
    fsx = session.spec.fsx
    if fsx.kind == "none" and not fsx.run_max_gib:
        return
    try:
        session.client("iam").create_service_linked_role(AWSServiceName=_FSX)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        if aws.error_code(error) != _EXISTS:
            why = str(error).splitlines()[0]
            text = f"FSx may lack its role here, without which no run gets a file system: {why}"
            report(ProgressEvent(kind="note", stack=session.spec.name, text=text))
