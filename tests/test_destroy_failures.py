"""A destroy's errors are told apart by what the cloud said: something holds it, it was busy, or neither."""

from __future__ import annotations

import pytest

from fleet.destroy_failures import Cause, cause_of, classify
from fleet.terraform_events import Diagnostic


def said(what: str, status: int, answer: str) -> str:
    """Return an error as the AWS provider tells it."""
    operation = f"operation error X: Y, https response error StatusCode: {status}, RequestID: 1"
    return f"{what}: {operation}, {answer}"


CAUSES: dict[str, Cause] = {
    said("deleting EC2 VPC (vpc-1)", 400, "api error DependencyViolation: The vpc has dependencies"): "held",
    said("deleting Placement Group (a)", 400, "api error InvalidPlacementGroup.InUse: in use"): "held",
    said("deleting S3 Bucket (b)", 409, "HostID: 2, api error BucketNotEmpty: it is not empty"): "held",
    said("deleting IAM Role (r)", 409, "DeleteConflict: Cannot delete entity"): "held",
    said("deleting EFS file system (fs-1)", 409, "FileSystemInUse: "): "held",
    "waiting for FSx for Lustre (fs-1) delete: timeout while waiting for state to become ''": "held",
    said("deleting EC2 Subnet (s)", 503, "api error RequestLimitExceeded: Request limit exceeded."): "busy",
    said("deleting SSM Parameter (/a)", 400, "ThrottlingException: Rate exceeded"): "busy",
    said("deleting KMS Key (k)", 500, "request send failed, Post: EOF"): "busy",
    'reading VPC: Post "https://ec2.eu-west-1.amazonaws.com/": read tcp: connection reset by peer': "busy",
    said("deleting EC2 VPC (vpc-1)", 403, "api error UnauthorizedOperation: You are not authorized"): "final",
    said("deleting KMS Key (k)", 400, "api error ExpiredTokenException: The token is expired"): "final",
    "Instance cannot be destroyed": "final",
}


@pytest.mark.parametrize("text", CAUSES)
def test_the_cause_is_told_by_what_the_provider_hands_on(text: str) -> None:
    assert cause_of(Diagnostic(severity="error", summary=text)) == CAUSES[text]


def test_of_fsx_alone_a_bad_request_means_that_something_goes_on() -> None:
    text = said("deleting", 400, "BadRequest: a task is executing")
    on_fsx = Diagnostic(severity="error", summary=text, address="aws_fsx_lustre_file_system.fast")
    elsewhere = Diagnostic(severity="error", summary=text, address="aws_kms_key.main")
    failure = classify([on_fsx, elsewhere])
    assert (failure.held, failure.busy, failure.final) == ((on_fsx,), (), (elsewhere,))
