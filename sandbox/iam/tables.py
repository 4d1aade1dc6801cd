"""Every service's table of needs, by the name of its API model."""

from __future__ import annotations

from sandbox.iam.needs import Need, Service
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.autoscaling import AUTOSCALING
from sandbox.iam.services.ec2 import EC2
from sandbox.iam.services.identity import IAM, STS
from sandbox.iam.services.kms import KMS
from sandbox.iam.services.logs import LOGS
from sandbox.iam.services.messaging import SNS, SQS
from sandbox.iam.services.others import (
    BUDGETS,
    CLOUDTRAIL,
    CLOUDWATCH,
    EFS,
    EVENTS,
    FSX,
    LAMBDA,
    SCHEDULER,
    SECRETSMANAGER,
)
from sandbox.iam.services.s3 import S3
from sandbox.iam.services.ssm import SSM

TABLES = {
    "autoscaling": AUTOSCALING,
    "budgets": BUDGETS,
    "cloudtrail": CLOUDTRAIL,
    "cloudwatch": CLOUDWATCH,
    "ec2": EC2,
    "efs": EFS,
    "events": EVENTS,
    "fsx": FSX,
    "iam": IAM,
    "kms": KMS,
    "lambda": LAMBDA,
    "logs": LOGS,
    "s3": S3,
    "scheduler": SCHEDULER,
    "secretsmanager": SECRETSMANAGER,
    "sns": SNS,
    "sqs": SQS,
    "ssm": SSM,
    "sts": STS,
}
_PREFIXES = {
    "application-autoscaling": "application-autoscaling",
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
    "s3control": "s3",
}
"""Prefixes of IAM actions that differ from the API model's name."""


def needs_of(request: ApiRequest) -> list[Need]:
    """Return what the call needs; of a service without a table, its action on `*`, which knows no tags."""
    table = TABLES.get(request.service) or Service(_PREFIXES.get(request.service, request.service), {})
    return table.needs(request)
