"""Environments that differ in their network, synthesized at once: what the tests of networks look at."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stacks import naming
from stacks.app import read_declarations, synthesize
from tests.golden_environments import DECLARED, NAMES
from tests.golden_synth import BUNDLE
from tests.spec_files import environment_text, write_folder

ACCOUNT = 'organization = "acme-ai"\nregion = "us-east-1"\n'
VPC = 'vpc_id = "vpc-0123456789abcdef0"'
SUBNETS = 'subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]'
ZONES = 'zone_names = ["us-east-1a", "us-east-1c"]'
NETWORKS = {
    "plain": "",
    "natone": 'nat = "one"\nzones = 3',
    "natall": 'nat = "per_zone"\nzone_names = ["us-east-1b", "us-east-1d"]',
    "logged": 'flow_logs = "rejected"\nflow_log_days = 30',
    "closed": "closed = true",
    "guest": f"{VPC}\n{SUBNETS}",
    "lodger": f'{VPC}\n{SUBNETS}\n{ZONES}\nendpoints = "existing"\nnat = "one"',
}
"""Lines of the table `network` by the environment's name."""
EXTRAS = {"closed": "[efs]\nenabled = true\n[fsx]\nrun_max_gib = 1200\n"}
ABROAD = "abroad"
"""A closed environment in another region than the account's."""


class Synthesized:
    """The stacks of every variant, read once."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def __getitem__(self, stack: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.out / "stacks" / stack / "cdk.tf.json").read_text())
        return content

    def base(self, name: str, kind: str) -> dict[str, Any]:
        """Return the resources of that type of an environment's base by their names."""
        found: dict[str, Any] = self[naming.base_stack(name)]["resource"].get(kind, {})
        return found

    def resources(self, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield (address, attributes) of every resource of an environment's two stacks."""
        for stack in naming.environment_stacks(name):
            for kind, named in self[stack]["resource"].items():
                for each, attributes in named.items():
                    yield f"{kind}.{each}", attributes

    def user_data(self, name: str) -> dict[str, str]:
        """Return the script of each machine of an environment."""
        templates = self[naming.fleet_stack(name)]["resource"]["aws_launch_template"]
        return {each: base64.b64decode(body["user_data"]).decode() for each, body in templates.items()}


def synthesize_networks(folder: Path) -> Synthesized:
    """Synthesize the variants below `folder`."""
    texts = {}
    for number, (name, lines) in enumerate(NETWORKS.items()):
        cidr = f'cidr = "10.{20 + number}.0.0/16"\n{lines}'
        texts[name] = environment_text(name, cidr=cidr) + EXTRAS.get(name, "")
    abroad = 'cidr = "10.99.0.0/16"\nclosed = true'
    texts[ABROAD] = environment_text(ABROAD, cidr=abroad, region='region = "eu-west-1"')
    account, specs = read_declarations(write_folder(folder, ACCOUNT, **texts), [*texts], unchecked=True)
    synthesize(account, specs, BUNDLE, folder / "out")
    return Synthesized(folder / "out")


def synthesize_golden_environments(folder: Path) -> Synthesized:
    """Synthesize the golden environments below `folder`."""
    account, specs = read_declarations(DECLARED, NAMES, unchecked=True)
    synthesize(account, specs, BUNDLE, folder / "golden")
    return Synthesized(folder / "golden")
