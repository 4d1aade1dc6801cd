"""Rules of faults: read strictly, every mistake at once; matched by service, caller, place and chance."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.calls import Call
from sandbox.fault_kinds import KINDS, RuleError, read_rule
from sandbox.faults import Fault, Faults
from sandbox.variables import ACCESS_KEY

MACHINES = {name for name, kind in KINDS.items() if kind.hits_machine}


def call(
    service: str = "s3", action: str = "PutObject", text: str = "", key: str = "", agent: str = ""
) -> Call:
    return Call(service, "us-east-1", action, text, "", key, "", agent)


def wrong(rule: object) -> dict[str, str]:
    """Return what is wrong with a rule, by field."""
    with pytest.raises(RuleError) as caught:
        read_rule(rule)
    return {each.path: each.what for each in caught.value.mistakes}


def test_every_field_that_there_is_not_and_every_value_that_is_none_is_told_at_once() -> None:
    rule = {
        "servce": "s3", "status": 200, "count": 0, "skip": True, "probability": 1.5, "delay_s": "long",
        "kind": "throtling", "after": 1,
    }  # fmt: skip
    assert wrong(rule) == {
        "servce": "there is no such field",
        "status": "200 is not between 400 and 599",
        "count": "0 is not between 1 and 1e+06",
        "skip": "True is no int",
        "probability": "1.5 is not between 0 and 1",
        "delay_s": "'long' is no int or float",
        "kind": "there is no kind 'throtling'",
        "after": "1 is no bool",
    }


def test_names_that_nothing_has_are_told_at_once_with_what_may_be_meant() -> None:
    rule = {"kind": "cut", "service": "ec22", "caller": "teraform", "kill": "everything"}
    assert list(wrong(rule)) == ["caller", "kill", "service"]
    with pytest.raises(RuleError) as caught:
        read_rule({"kind": "cut", "service": "ec2", "action": "CreateVcp"})
    [mistake] = caught.value.mistakes
    assert mistake.what == "ec2 has no action 'CreateVcp'" and "'CreateVpc'" in mistake.do


def test_an_action_is_of_a_service_and_may_be_a_pattern() -> None:
    assert wrong({"kind": "cut", "action": "PutObject"}) == {"action": "'PutObject' is of no service"}
    rule = read_rule({"kind": "cut", "service": "ec2", "action": "Delete*"})
    assert rule.strikes(call("ec2", "DeleteVpc")) and not rule.strikes(call("ec2", "CreateVpc"))


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({}, "kind"),
        ({"service": "s3", "count": 3}, "kind"),
        ({"kind": "slow", "after": True}, "after"),
        ({"kind": "cut", "probability": 0}, "probability"),
        ({"kind": "no-capacity", "service": "s3"}, "service"),
        ({"kind": "dependency-violation", "code": "InUse"}, "code"),
        ({"kind": "interruption"}, "machine"),
        ({"kind": "cut", "machine": "i-1"}, "machine"),
        ({"code": "Broken", "notice_s": 3}, "notice_s"),
    ],
)
def test_what_does_not_go_together_or_would_do_nothing_is_refused(rule: dict[str, Any], field: str) -> None:
    assert field in wrong(rule)


@pytest.mark.parametrize("rule", [None, [], "cut", 3])
def test_a_rule_is_an_object(rule: object) -> None:
    assert wrong(rule) == {"": "a fault is a JSON object"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - MACHINES))
def test_every_kind_of_a_call_stands_by_itself_and_does_something(kind: str) -> None:
    rule = read_rule({"kind": kind})
    assert rule.refusal("ec2") or rule.breaks or rule.delay_s


@pytest.mark.parametrize(
    ("service", "throttled", "failed"),
    [
        ("ec2", ("RequestLimitExceeded", 503), "InternalError"),
        ("s3", ("SlowDown", 503), "InternalError"),
        ("iam", ("Throttling", 400), "InternalFailure"),
        ("ssm", ("ThrottlingException", 400), "InternalFailure"),
        ("lambda", ("TooManyRequestsException", 429), "InternalFailure"),
    ],
)
def test_each_service_has_its_own_words(service: str, throttled: tuple[str, int], failed: str) -> None:
    one, other = (read_rule({"kind": kind}).refusal(service) for kind in ("throttling", "server-error"))
    assert one is not None and (one.code, one.status) == throttled
    assert other is not None and (other.code, other.status) == (failed, 500)


def test_callers_are_told_apart_by_key_and_by_client() -> None:
    provider = (
        "APN/1.0 HashiCorp/1.0 Terraform/1.12.2 (+https://www.terraform.io) terraform-provider-aws/5.100.0"
    )
    assert call(key=ACCESS_KEY, agent=provider).caller == "terraform"
    assert call(key=ACCESS_KEY, agent="Boto3/1.44 md/Botocore").caller == "command"
    assert call(key="ASIAROLE", agent="Boto3/1.44").caller == "role"
    assert call().caller == ""
    rule = read_rule({"kind": "kill", "caller": "command"})
    assert not rule.strikes(call(key="ASIAROLE")) and rule.strikes(call(key=ACCESS_KEY))


def test_the_k_th_call_alone_is_hit() -> None:
    rule = read_rule({"kind": "cut", "service": "s3", "action": "PutObject", "skip": 2, "count": 1})
    hit = [rule.strikes(call()) for _ in range(5)]
    assert hit == [False, False, True, False, False]


def test_of_a_share_the_same_seed_draws_the_same_calls() -> None:
    def draw(seed: int) -> list[bool]:
        rule = read_rule({"kind": "throttling", "probability": 0.3, "seed": seed})
        return [rule.strikes(call()) for _ in range(400)]

    assert draw(7) == draw(7) != draw(8)
    assert 80 < sum(draw(7)) < 160


def test_what_the_cloud_asks_itself_is_hit_by_rules_that_refuse_alone() -> None:
    faults = Faults()
    faults.add(read_rule({"kind": "kill"}))
    assert faults.strike(call("ec2", "RunInstances"), refusing=True) is None
    faults.add(read_rule({"kind": "no-capacity"}))
    hit = faults.strike(call("ec2", "RunInstances"), refusing=True)
    assert hit is not None and hit.kind == "no-capacity"
    assert [rule["hits"] for rule in faults.describe()] == [0, 1], "the first one was not spent"


class Recorder:
    """An effect that only remembers."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, rule: Fault) -> None:
        self.told.append(f"begin {rule.machine}")

    def end(self, rule: Fault) -> None:
        self.told.append(f"end {rule.machine}")


def test_a_machine_is_hit_at_once_or_at_a_call_and_what_was_done_is_undone() -> None:
    faults, effect = Faults(), Recorder()
    faults.effects["disk-full"] = effect
    faults.add(read_rule({"kind": "disk-full", "machine": "i-1"}))
    assert effect.told == ["begin i-1"]
    faults.add(read_rule({"kind": "disk-full", "machine": "i-2", "service": "s3", "action": "GetObject"}))
    assert faults.strike(call()) is None
    hit = faults.strike(call(action="GetObject"))
    assert hit is not None
    faults.act(hit)
    faults.add(read_rule({"kind": "disk-full", "machine": "i-3", "service": "ec2"}))
    faults.clear(2)
    assert effect.told == ["begin i-1", "begin i-2", "end i-2"]
    faults.clear()
    assert effect.told[3:] == ["end i-1"], "the third never began"
    with pytest.raises(ValueError, match="there is no fault 9"):
        faults.clear(9)
