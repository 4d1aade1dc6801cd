"""The typed layer over CDKTF: what it refuses, what it writes, and that the provider says the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.terraform_find import child_environment, find_plugin_dir, find_terraform
from stacks.aws import generate
from stacks.aws.generated import autoscaling, ec2, kms, s3, vpc
from stacks.aws.generated.provider import SOURCE, VERSION
from stacks.aws.layer import literal
from stacks.aws.shapes import camel
from stacks.cdk import App, Backend, Provider, Stack

ROOT = Path(__file__).parent.parent
BACKEND = Backend(bucket="state", key="one/terraform.tfstate", region="eu-central-1")
PROVIDER = Provider(source=SOURCE, version=VERSION, region="eu-central-1", default_tags={"team": "vision"})


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


@pytest.fixture
def stack(app: App) -> Stack:
    return app.stack("one", BACKEND, PROVIDER)


def written(app: App, stack: Stack) -> dict[str, Any]:
    app.synth()
    content: dict[str, Any] = json.loads((stack.folder / "cdk.tf.json").read_text())
    return content


WRONG: dict[str, tuple[Callable[..., Any], dict[str, Any], list[str]]] = {
    "a wrong name": (
        vpc.Subnet,
        {"vpc": "vpc-1", "vpc_id": "vpc-1"},
        ["aws_subnet.x: no argument is named 'vpc'; did you mean 'vpc_id'?", "map_public_ip_on_launch"],
    ),
    "a missing argument": (vpc.Subnet, {}, ["aws_subnet.x: the argument 'vpc_id' is missing"]),
    "a wrong type": (vpc.Subnet, {"vpc_id": 3}, ["aws_subnet.x.vpc_id: 3 is not text"]),
    "a text for a truth value": (
        kms.KmsKey,
        {"enable_key_rotation": "yes"},
        ["aws_kms_key.x.enable_key_rotation: 'yes' is not bool or a reference"],
    ),
    "a truth value for a number": (
        kms.KmsKey,
        {"deletion_window_in_days": True},
        ["deletion_window_in_days: True is not int or float or a reference"],
    ),
    "an attribute that only the provider sets": (kms.KmsKey, {"arn": "a"}, ["no argument is named 'arn'"]),
    "an argument that the provider calls deprecated": (s3.S3Bucket, {"acl": "private"}, ["'acl'"]),
    "a wrong name in a block": (
        ec2.LaunchTemplate,
        {"metadata_options": {"http_token": "required"}},
        ["aws_launch_template.x.metadata_options: no argument is named 'http_token'", "'http_tokens'?"],
    ),
    "a wrong name in a list of blocks": (
        autoscaling.AutoscalingGroup,
        {"max_size": 1, "min_size": 1, "tag": [{"key": "a", "value": "b", "propagate": True}]},
        [
            "aws_autoscaling_group.x.tag[0]: no argument is named 'propagate'",
            "'propagate_at_launch' is missing",
        ],
    ),
    "a block where a list of them belongs": (
        autoscaling.AutoscalingGroup,
        {"max_size": 1, "min_size": 1, "tag": {"key": "a"}},
        ["aws_autoscaling_group.x.tag: {'key': 'a'} is not a list"],
    ),
    "a list where a map belongs": (vpc.Vpc, {"tags": ["a"]}, ["aws_vpc.x.tags: ['a'] is not a map"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused_and_the_right_one_named(stack: Stack, case: str) -> None:
    kind, arguments, sentences = WRONG[case]
    with pytest.raises(TypeError) as refusal:
        kind(stack, "x", **arguments)
    for sentence in sentences:
        assert sentence in str(refusal.value)


def test_all_wrong_arguments_of_a_resource_are_told_at_once(stack: Stack) -> None:
    with pytest.raises(TypeError) as refusal:
        vpc.Subnet(stack, "x", cidr="10.0.0.0/24", tags={"a": 1})  # type: ignore[call-arg,dict-item]
    assert len(str(refusal.value).splitlines()) == 3


def test_a_resource_is_written_as_terraform_reads_it(app: App, stack: Stack) -> None:
    main = vpc.Vpc(stack, "main", cidr_block="10.0.0.0/16", lifecycle={"prevent_destroy": True})
    zones = vpc.DataAvailabilityZones(stack, "main", state="available")
    vpc.Subnet(
        stack, "main", vpc_id=main.id, availability_zone=zones.ref("names", 1), depends_on=[zones], tags={}
    )
    content = written(app, stack)
    subnet = content["resource"]["aws_subnet"]["main"]
    del subnet["//"]
    assert subnet == {
        "vpc_id": "${aws_vpc.main.id}",
        "availability_zone": "${data.aws_availability_zones.main.names[1]}",
        "depends_on": ["data.aws_availability_zones.main"],
        "tags": {},
    }
    assert content["resource"]["aws_vpc"]["main"]["lifecycle"] == {"prevent_destroy": True}
    assert content["data"]["aws_availability_zones"]["main"]["state"] == "available"


def test_a_reference_to_what_the_type_does_not_have_is_refused(stack: Stack) -> None:
    main = vpc.Vpc(stack, "main")
    with pytest.raises(AssertionError, match="aws_vpc has no attribute 'ip'"):
        main.ref("ip")


def test_the_same_address_twice_is_refused(stack: Stack) -> None:
    vpc.Vpc(stack, "main")
    with pytest.raises(Exception, match=r"aws_vpc\.main"):
        vpc.Vpc(stack, "main")


def test_a_literal_text_is_no_template_to_terraform() -> None:
    assert literal('"${ROOT:-}" %{if} $HOME 100%') == '"$${ROOT:-}" %%{if} $HOME 100%'


def test_every_element_has_the_line_of_our_code_that_made_it(app: App, stack: Stack) -> None:
    vpc.Vpc(stack, "main")
    line = sys._getframe().f_lineno - 1
    app.synth()
    assert json.loads((stack.folder / "sources.json").read_text()) == {
        "aws_vpc.main": f"tests/test_aws_layer.py:{line}"
    }


def test_every_generated_type_is_used_by_a_stack() -> None:
    # By their code: no single environment asks for everything.
    code = "\n".join(file.read_text() for file in (ROOT / "stacks").glob("*.py"))
    used = set(re.findall(r"\b[a-z0-9_]+\.([A-Z]\w+)", code))
    modules = tomllib.loads(generate.TYPES.read_text())["modules"].values()
    unused = {
        kind
        for prefix, key in (("", "resources"), ("data_", "data_sources"))
        for module in modules
        for kind in module.get(key, [])
        if camel(prefix + kind.removeprefix("aws_")) not in used
    }
    assert not unused


def test_the_type_checker_refuses_what_the_layer_refuses(tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(
        "from stacks.aws.generated.vpc import Subnet\n"
        "from stacks.cdk import Stack\n\n"
        "def make(stack: Stack) -> None:\n"
        "    Subnet(stack, 'x', vpc_id=3)\n"
        "    Subnet(stack, 'x', vpc_id='a', cidr='b')\n"
        "    Subnet(stack, 'x', vpc_id='a', timeouts={'creat': 'b'})\n"
        "    Subnet(stack, 'x')\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    wrong = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in wrong] == ["5", "6", "7", "8"], checked.stdout


@pytest.mark.terraform
def test_the_generated_classes_are_what_the_provider_says_of_itself(tmp_path: Path) -> None:
    (tmp_path / "main.tf.json").write_text(
        json.dumps({"terraform": {"required_providers": {"aws": {"source": SOURCE, "version": VERSION}}}})
    )
    environment = child_environment(os.environ)
    plugins = find_plugin_dir(tmp_path / "plugins.json", VERSION, environment)
    terraform = str(find_terraform())

    def run(*arguments: str) -> str:
        return subprocess.run(
            [terraform, *arguments], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    run("init", *([f"-plugin-dir={plugins}"] if plugins else []))
    texts = generate.generate(json.loads(run("providers", "schema", "-json")))
    assert texts == {file.name: file.read_text() for file in generate.GENERATED.glob("*.py")}
