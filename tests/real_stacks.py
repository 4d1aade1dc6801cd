"""Declarations in a folder of their own, applied by the real terraform to the embedded cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.terraform_find import child_environment, find_plugin_dir, find_terraform
from stacks.account import load_account
from stacks.aws.generated.provider import VERSION
from tests.spec_files import LONG_LEASES, write_folder

ROOT = Path(__file__).parent.parent
ENVIRONMENT = """\
name = "{name}"
team = "vision"
owner = "vision@example.com"
region = "us-east-1"
lease_ends = 2035-12-31

[network]
cidr = "10.77.0.0/16"

[fleets.gpu]
instance_type = "g5.xlarge"
nodes = 1
max_nodes = 2

[artifacts]
on_teardown = "delete"
"""
ACCOUNT = 'organization = "{organization}"\nregion = "us-east-1"\n' + LONG_LEASES


@dataclass(frozen=True)
class RealStacks:
    """An account with its two buckets, and one declared environment."""

    folder: Path
    """Holds `environments/`; what is synthesized goes to `cdktf.out/`."""
    cloud: Cloud
    plugins: Path | None
    """Where terraform finds the provider, None where it finds it by itself."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every process that works on the stacks."""
        variables = child_environment(self.cloud.process_environment())
        if self.plugins is not None:
            variables["TF_CLI_ARGS_init"] = f"-plugin-dir={self.plugins}"
        paths = [Path(sys.executable).parent, ROOT / "node_modules" / ".bin", variables["PATH"]]
        return {**variables, "PYTHONPATH": str(ROOT), "PATH": os.pathsep.join(map(str, paths))}

    def run(self, *command: str, cwd: str = ".") -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, or in a folder below it."""
        return subprocess.run(
            command,
            cwd=self.folder / cwd,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def terraform(self, stack: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run terraform on one synthesized stack."""
        return self.run(str(find_terraform()), *arguments, "-no-color", cwd=f"cdktf.out/stacks/{stack}")


def declare(folder: Path, cloud: Cloud, *, name: str, organization: str, trusted: str = "") -> RealStacks:
    """Declare an environment of that name below `folder`, in an account of its own in the cloud.

    `trusted` is the ARN of who may take on the roles of people, "" for nobody.
    """
    people = f'\n[people]\ntrusted = ["{trusted}"]\n' if trusted else ""
    text = ACCOUNT.format(organization=organization) + people
    environments = write_folder(folder, text, **{name: ENVIRONMENT.format(name=name)})
    ensure_account(cloud, load_account(environments))
    plugins = find_plugin_dir(folder / "plugins.json", VERSION, child_environment(os.environ))
    return RealStacks(folder, cloud, plugins)
