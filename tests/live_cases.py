"""Environments for the tests of the live guardrails: a good file's text, changed."""

from __future__ import annotations

import tomllib
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.preflights.case import LiveCase, LiveRule
from stacks.account import AccountSpec
from stacks.environment import EnvironmentSpec
from stacks.spec_file import build_spec
from tests.sandbox_helpers import IMAGE
from tests.spec_files import environment_text

ACCOUNT = AccountSpec(organization="acme-ai", region="us-east-1")


def live_case(
    cloud: Cloud,
    region: str,
    *,
    name: str = "vision",
    block: str = "10.20.0.0/16",
    network: dict[str, Any] | None = None,
    head: dict[str, Any] | None = None,
    fleet: dict[str, Any] | None = None,
    **fleets: dict[str, Any],
) -> LiveCase:
    """Return the good environment in that region with these settings changed; `fleets` are further ones."""
    tables = tomllib.loads(environment_text(name, block))
    tables["region"] = region
    tables["network"] |= network or {}
    tables["head"] = head or {}
    tables["fleets"]["gpu"] |= fleet or {}
    for called, settings in fleets.items():
        tables["fleets"][called] = {"instance_type": "g5.xlarge", "nodes": 1, "max_nodes": 1, **settings}
    spec = build_spec(EnvironmentSpec, tables, Path(f"environments/{name}.toml"))
    return LiveCase(cloud, ACCOUNT, spec)


def found(rule: LiveRule, case: LiveCase) -> list[tuple[str, str]]:
    """Return path and sentence of each of a rule's findings; each says what to do, and names the file."""
    problems = list(rule(case))
    assert all(each.do and each.file == f"environments/{case.spec.name}.toml" for each in problems)
    return [(each.path, each.what) for each in problems]


def answered(case: LiveCase, question: str, answer: object, *about: object) -> LiveCase:
    """Return the case with an answer known already, for what the sandbox cannot be brought to say."""
    known: Future[Any] = Future()
    known.set_result(answer)
    case._answers[(question, *about)] = known
    return case


def start(cloud: Cloud, region: str, kind: str, count: int = 1, **tags: str) -> list[str]:
    """Start machines and return their ids; `environment` and `fleet` become fleetform's tags."""
    pairs = [{"Key": f"fleetform:{key}", "Value": value} for key, value in {"owner": "kim", **tags}.items()]
    answer = client(cloud, "ec2", region).run_instances(
        ImageId=IMAGE,
        InstanceType=kind,
        MinCount=count,
        MaxCount=count,
        TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
    )
    return [str(each["InstanceId"]) for each in answer["Instances"]]


def stop(cloud: Cloud, region: str, instances: list[str]) -> None:
    """End machines."""
    client(cloud, "ec2", region).terminate_instances(InstanceIds=instances)


def set_quota(cloud: Cloud, region: str, code: str, value: int, service: str = "ec2") -> None:
    """Give the account another quota there."""
    client(cloud, "service-quotas", region).request_service_quota_increase(
        ServiceCode=service, QuotaCode=code, DesiredValue=float(value)
    )
