"""Building an environment: `fleetform up` against bare terraform on the same JSON and against `cdktf deploy`.

`python -m benchmarks.up [--repeats 1] [--json]`. Each contestant builds the account, the base and the
fleet of the same environment in a fresh embedded cloud of its own; what they need before (sandbox, state
buckets, and for bare terraform the JSON) is there when the clock starts. `fleetform up` is timed as a
user runs it: with the synthesis, the ledger, and the wait until every machine answers, none of which the
others do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.bootstrap import ensure_account
from fleet.cloud import choose_cloud
from fleet.declare import declare
from fleet.estate import stack_names
from fleet.project import Project
from fleet.session import Session
from fleet.synth import stack_folder, synthesize
from fleet.terraform_find import child_environment, find_plugin_dir
from sandbox import daemon
from stacks.account import load_account
from stacks.aws.generated.provider import VERSION
from stacks.environment import load_environment

ROOT = Path(__file__).resolve().parent.parent
NAME = "bench"
BARE_TARGET, CDKTF_TARGET = 1.15, 0.7
"""What `fleetform up` may take at most, as a share of what the other takes."""


@dataclass(frozen=True)
class Ground:
    """A declared environment, and a fresh embedded cloud to build it in."""

    session: Session
    folder: Path
    variables: Mapping[str, str]
    """For child processes."""

    def run(self, words: list[str], cwd: Path) -> None:
        """Run a program; its output is shown where it fails."""
        done = subprocess.run(words, cwd=cwd, env=self.variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def prepare(folder: Path) -> Ground:
    """Declare the environment in the folder and start its cloud."""
    (folder / "environments").mkdir(parents=True)
    declare(
        folder, NAME, team="bench", owner="bench@example.com", region="us-east-1", instance_type="g5.xlarge",
        nodes=2, on_teardown="delete",
    )  # fmt: skip
    project = Project(root=folder, home=folder / ".fleetform")
    daemon.start(project.home)
    cloud = choose_cloud(project, "sandbox")
    environments = project.environments
    session = Session(
        project, cloud, load_account(environments), load_environment(environments / f"{NAME}.toml")
    )
    variables = child_environment(cloud.process_environment())
    variables |= {"FLEETFORM_HOME": str(project.home), "PYTHONPATH": str(ROOT), "CI": "1"}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    return Ground(session, folder, variables)


def fleetform_up(ground: Ground) -> float:
    """Return the seconds of the command as a user types it."""
    begin = time.monotonic()
    ground.run([sys.executable, "-m", "scripts.cli", "up", NAME, "--yes"], ground.folder)
    return time.monotonic() - begin


def bare_terraform(ground: Ground) -> float:
    """Return the seconds of `terraform init && terraform apply -auto-approve` in each stack's folder."""
    ensure_account(ground.session.cloud, ground.session.account)
    out = synthesize(ground.session)
    begin = time.monotonic()
    for name in stack_names(ground.session):
        folder = stack_folder(out, name)
        ground.run(["terraform", "init", "-input=false", *plugin_dir_option(ground)], folder)
        ground.run(["terraform", "apply", "-auto-approve", "-input=false"], folder)
    return time.monotonic() - begin


def cdktf_deploy(ground: Ground) -> float:
    """Return the seconds of `cdktf deploy` of the three stacks, with the program of the repository."""
    ensure_account(ground.session.cloud, ground.session.account)
    shutil.copy(ROOT / "cdktf.json", ground.folder)
    options = " ".join(plugin_dir_option(ground))
    # Its plugin cache may be the very folder that the provider comes from; init cannot copy onto itself.
    variables = {**ground.variables, "TF_CLI_ARGS_init": options, "CDKTF_DISABLE_PLUGIN_CACHE_ENV": "1"}
    words = [str(ROOT / "node_modules/.bin/cdktf"), "deploy", *stack_names(ground.session)]
    begin = time.monotonic()
    Ground(ground.session, ground.folder, variables).run(
        [*words, "--auto-approve", "--skip-provider-lock"], ground.folder
    )
    return time.monotonic() - begin


def plugin_dir_option(ground: Ground) -> list[str]:
    """Return the option that leads init to a provider on this machine; none where it downloads it."""
    found = find_plugin_dir(ground.session.project.home / "provider.json", VERSION, ground.variables)
    return [f"-plugin-dir={found}"] if found else []


CONTESTANTS: dict[str, Callable[[Ground], float]] = {
    "fleetform up": fleetform_up,
    "bare terraform": bare_terraform,
    "cdktf deploy": cdktf_deploy,
}


def measure(contestant: Callable[[Ground], float]) -> float:
    """Return one contestant's seconds on fresh ground."""
    with tempfile.TemporaryDirectory() as folder:
        ground = prepare(Path(folder))
        try:
            return contestant(ground)
        finally:
            daemon.stop(ground.session.project.home)


def main() -> int:
    """Run the benchmark; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each, interleaved; the median counts")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.repeats):
        for name, contestant in CONTESTANTS.items():
            seconds[name].append(measure(contestant))
    median = {name: statistics.median(each) for name, each in seconds.items()}
    ours = median["fleetform up"]
    ratios = {name: ours / each for name, each in median.items()}
    targets = {"bare terraform": BARE_TARGET, "cdktf deploy": CDKTF_TARGET}
    if arguments.json:
        print(json.dumps({"seconds": seconds, "ratio": ratios, "target": targets}, indent=2))
    else:
        print(f"{'':16}  {'seconds':>8}  {'up / this':>9}  target")
        for name, value in median.items():
            target = f"<= {targets[name]}" if name in targets else ""
            print(f"{name:16}  {value:8.1f}  {ratios[name]:9.2f}  {target}")
    return 0 if all(ratios[name] <= target for name, target in targets.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
