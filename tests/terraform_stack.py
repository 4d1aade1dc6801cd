"""A small stack of its own for the tests of Terraform, and a process that applies it and can be killed.

`python -m tests.terraform_stack FOLDER CLOUD.json NAME` applies the stack in FOLDER.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.terraform import Stack
from fleet.terraform_events import ProgressEvent
from stacks import naming

REGION = "us-east-1"
STATE_BUCKET = "terraform-tests-state"
ROOT = Path(__file__).parent.parent


def write_stack(folder: Path, name: str, resources: dict[str, Any]) -> None:
    """Write a stack with its state in the tests' bucket, tagged as fleetform tags.

    One of `terraform_data` alone has no provider, whose start is most of what a command takes.
    """
    tags = {naming.TAG_ENVIRONMENT: name, naming.TAG_STACK: name}
    backend = {"bucket": STATE_BUCKET, "key": naming.state_key(name), "region": REGION, "use_lockfile": True}
    configuration: dict[str, Any] = {"terraform": {"backend": {"s3": backend}}, "resource": resources}
    if resources.keys() != {"terraform_data"}:
        source = {"source": "hashicorp/aws", "version": "5.100.0"}
        configuration["terraform"]["required_providers"] = {"aws": source}
        configuration["provider"] = {"aws": [{"region": REGION, "default_tags": [{"tags": tags}]}]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cdk.tf.json").write_text(json.dumps(configuration, indent=1), encoding="utf-8")
    sources = {
        f"{kind}.{each}": "stacks/some_stack.py:7" for kind, by_name in resources.items() for each in by_name
    }
    (folder / "sources.json").write_text(json.dumps(sources), encoding="utf-8")


def slow(name: str) -> dict[str, Any]:
    """Return resources of which two are made at once and one takes the provider ten seconds."""
    return {
        "aws_ssm_parameter": {
            "quick": {"name": f"/tests/{name}", "type": "String", "value": "x", "overwrite": True}
        },
        "aws_s3_bucket": {"quick": {"bucket": f"tests-{name}"}},
        "aws_vpc": {"slow": {"cidr_block": "10.9.0.0/16", "enable_dns_hostnames": True}},
    }


def open_test_stack(
    folder: Path, name: str, cloud: Cloud, events: list[ProgressEvent] | None = None
) -> Stack:
    """Return the stack, its progress gathered in `events`."""
    sink = events if events is not None else []
    return Stack(name=name, folder=folder, cloud=cloud, cache=folder / "provider.json", report=sink.append)


def remove(cloud: Cloud, name: str) -> None:
    """Remove what a stack has made, where its end is not what is tested: a destroy takes seconds."""
    ec2, ssm, s3 = (client(cloud, service, REGION) for service in ("ec2", "ssm", "s3"))
    ssm.delete_parameter(Name=f"/tests/{name}")
    if f"tests-{name}" in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.delete_bucket(Bucket=f"tests-{name}")
    tagged = [{"Name": f"tag:{naming.TAG_STACK}", "Values": [name]}]
    for each in ec2.describe_vpcs(Filters=tagged)["Vpcs"]:
        ec2.delete_vpc(VpcId=each["VpcId"])


def start_apply(folder: Path, name: str, cloud: Cloud) -> subprocess.Popen[str]:
    """Start a process that applies the stack; return it once Terraform is making something slow."""
    description = folder / "cloud.json"
    description.write_text(json.dumps(dict(cloud.variables)), encoding="utf-8")
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.terraform_stack", str(folder), str(description), name],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while "aws_vpc.slow: Creating" not in _log(folder) or _log(folder).count("Creation complete") < 2:
        assert child.poll() is None, child.stdout.read() if child.stdout else ""
        assert time.monotonic() < deadline, _log(folder)
        time.sleep(0.05)
    return child


def terraform_pid(folder: Path) -> int:
    """Return the process id of the terraform that runs in the folder."""
    return int(json.loads((folder / "terraform.run.json").read_text())["pid"])


def is_alive(pid: int) -> bool:
    """Return whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _log(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.glob("terraform.apply.*.jsonl"))


if __name__ == "__main__":
    os.environ.pop("TF_CLI_CONFIG_FILE", None)
    variables = json.loads(Path(sys.argv[2]).read_text())
    open_test_stack(Path(sys.argv[1]), sys.argv[3], Cloud("test", variables)).apply()
