"""What Slurm runs as root on each node of a job before the job: `python -m node.health.prolog`.

Exit code 0: the job may run here. 1: the node is drained, with the reason, and Slurm requeues the job.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.aws import client, failures
from node.cluster.facts import NoClusterError, TeamFacts, read_facts
from node.cluster.machine import read_machine
from node.cluster.users import ensure_user_of
from node.config import NodeConfig, read_node_config
from node.health.checks import look
from node.health.expected import health_folder
from node.health.fabric import Party, check_fabric
from node.health.findings import FAILED, OK, WARNING, Checked, Finding, Report
from node.health.gpus import Gpu, query
from node.health.here import drain, this_machine
from node.health.machine import Machine
from node.health.reasons import HEALTH
from node.health.verdict import Verdict
from node.layout import ROLE_NODE
from node.metadata import rule, tokens
from node.slurm.tools import SlurmError, expand, run
from node.store import Bucket

EFA_SHARE, TCP_SHARE = 0.5, 0.1
"""Of the type's network bandwidth that an all-reduce has to reach. Two p4d over TCP reached 0.4 of it, over
EFA 1.5; four with an old plugin 0.6 (SkyPilot #8391, NCCL #527). Without adapters many types hold their peak
for minutes only."""
_KEPT_SECONDS = 7 * 86400.0


def report_path(config: NodeConfig, job_id: int) -> Path:
    """Return where the report of a job on this machine lies."""
    return health_folder(config) / f"job-{job_id}.json"


def read_report(config: NodeConfig, job_id: int) -> dict[str, Any]:
    """Return the report of a job on this machine; empty where there is none.

    `seconds` is what all of it took, `ok` whether the job may run here, and `refused` why it is not to run on
    any of its nodes ("" where it may).
    """
    try:
        found = json.loads(report_path(config, job_id).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def prolog(config: NodeConfig, job_id: int, name: str, node_list: str) -> int:
    """Check this machine and, for a job over several nodes, the network between them; the exit code."""
    begun = time.monotonic()
    machine = this_machine(config)
    report = look(machine)
    verdict, took = Verdict(), 0.0
    names = _expand(node_list)
    if len(names) > 1:
        fabric_begun = time.monotonic()
        verdict = _network(config, machine, report, job_id, name, names)
        took = time.monotonic() - fabric_begun
        report = Report((*report.checks, _as_check(verdict, took)), 0.0)
    report = replace(report, seconds=time.monotonic() - begun)
    _keep(config, job_id, report, verdict)
    if report.ok:
        return 0
    print(f"{name} is not fit for job {job_id}: {report.why()}", file=sys.stderr)
    drain(name, HEALTH, report.why())
    return 1


def _expand(node_list: str) -> list[str]:
    return expand(node_list) if node_list else []


def _network(
    config: NodeConfig, machine: Machine, report: Report, job_id: int, name: str, names: list[str]
) -> Verdict:
    """Test the network between the job's nodes; a network that cannot be tested is nobody's fault."""
    try:
        addresses = _addresses([names[0], name], os.environ.get("SLURM_NODE_ALIASES", ""))
        key = _key(job_id)
    except (SlurmError, OSError) as error:
        return Verdict(warning=f"not tested: {error}")
    if name not in addresses or names[0] not in addresses:
        return Verdict(warning="not tested: Slurm knows no addresses")
    found = query(machine)
    gpus: list[Gpu] = [] if isinstance(found, Finding) else found
    busy = any(gpu.busy for gpu in gpus)
    share = EFA_SHARE if machine.expected.efa else TCP_SHARE
    party = Party(
        job_id=job_id,
        rank=names.index(name),
        names=tuple(names),
        address=addresses[name],
        first=addresses[names[0]],
        boot=_boot(config),
        key=key,
        # Emulated machines share the GPUs of one, and NCCL takes each once.
        gpus=0 if busy or machine.emulated else len(gpus),
        busy=busy,
        least_gbs=machine.expected.network_gbps / 8 * share,
        sick=report.why(),
    )
    return check_fabric(party, health_folder(config) / "fabric", config.python)


def _addresses(names: list[str], aliases: str) -> Mapping[str, str]:
    """Return the addresses of nodes as Slurm knows them.

    Until 22.05 Slurm tells a prolog those of cloud nodes (SLURM_NODE_ALIASES, `gpu-1:[10.0.0.7]:ip-7`),
    later ones are asked.
    """
    known = dict(re.findall(r"(?:^|,)([^,:]+):\[?([0-9A-Fa-f.:]+?)\]?:[^,:]*(?=,|$)", aliases))
    if set(names) <= set(known):
        return known
    told = run("scontrol", ["--oneliner", "show", "node", ",".join(dict.fromkeys(names))])
    found = re.findall(r"^NodeName=(\S+) .*?\bNodeAddr=(\S+)", told, re.MULTILINE)
    return dict(found)


def _key(job_id: int) -> bytes:
    """Return what the prologs of a job prove themselves by, made of the key that only root can read."""
    return hmac.new(read_machine().munge_key.read_bytes(), b"fabric %d" % job_id, hashlib.sha256).digest()


def _boot(config: NodeConfig) -> str:
    """Return what changes when the machine is started anew, or another one takes its name."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        kernel = ""
    return f"{kernel} {config.root}"


def _as_check(verdict: Verdict, seconds: float) -> Checked:
    """Return the network's test as one line of the report."""
    told = f"{verdict.gbs:.1f} GB/s" if verdict.gbs is not None else "all nodes reach each other"
    if verdict.bad:
        return Checked("fabric", FAILED, verdict.bad, seconds)
    if verdict.refused or verdict.warning:
        return Checked("fabric", WARNING, verdict.refused or verdict.warning, seconds)
    return Checked("fabric", OK, verdict.note or told, seconds)


def _keep(config: NodeConfig, job_id: int, report: Report, verdict: Verdict) -> None:
    """Write the report for the job's own part on this machine; without it the job still runs."""
    path = report_path(config, job_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob("job-*.json"):
            if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                old.unlink(missing_ok=True)
        path.write_text(json.dumps({"job_id": job_id, **report.to_json(), "refused": verdict.refused}))
    except OSError as error:
        print(f"the health report cannot be kept: {error}", file=sys.stderr)


def make_user(config: NodeConfig, uid: str) -> None:
    """Make the job's user where it is not here yet; where that fails Slurm says so when it starts the job."""

    def teams() -> Mapping[str, TeamFacts]:
        return read_facts(Bucket(client("s3", config.region), config.artifact_bucket)).teams

    try:
        ensure_user_of(int(uid), read_machine(), teams)
    except (ValueError, KeyError, NoClusterError, subprocess.SubprocessError, *failures()) as error:  # type: ignore[misc]
        print(f"the user {uid} could not be made: {error}", file=sys.stderr)


def fence(name: str, job_id: int, uid: int) -> bool:
    """Keep the job from this machine's role, and let it have its team's; return whether that is so.

    Where a process of the job's user reaches the metadata service all the same, the node is drained.
    """
    machine = read_machine()
    try:
        rule.close(machine, ROLE_NODE)
        tokens.grant(machine, job_id, uid)
    except (rule.OpenError, OSError) as error:
        why = str(error)
    else:
        if machine.emulated or not rule.answers(uid):
            return True
        why = "the metadata service answers jobs, which could take this machine's role"
    print(f"{name} is not fit for job {job_id}: {why}", file=sys.stderr)
    drain(name, HEALTH, why)
    return False


def main() -> int:
    """Take the job and the node from Slurm's environment."""
    told, config = os.environ, read_node_config()
    job_id, name, uid = int(told["SLURM_JOB_ID"]), told["SLURMD_NODENAME"], told.get("SLURM_JOB_UID", "")
    make_user(config, uid)
    if uid and not fence(name, job_id, int(uid)):
        return 1
    node_list = told.get("SLURM_JOB_NODELIST") or told.get("SLURM_NODELIST") or ""
    return prolog(config, job_id, name, node_list)


if __name__ == "__main__":
    sys.exit(main())
