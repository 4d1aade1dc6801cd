"""Slurm's accounting: slurmdbd's configuration, the teams' accounts with their shares, and the priorities."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from node.cluster.facts import TeamFacts
from node.cluster.machine import Machine
from node.cluster.service import make_file, make_folder

PRIORITIES = {"low": 1, "normal": 100, "high": 1000}
"""The qualities of service that a run may ask for, and what each counts."""
_START_SECONDS = 90.0
_KEPT_MONTHS = {"Event": 12, "Job": 24, "Resv": 12, "Step": 6, "Suspend": 6}
"""How long each kind of record is kept."""


class AccountingError(Exception):
    """slurmdbd refused something, or did not answer; one line."""


def write_slurmdbd_conf(machine: Machine, hostname: str) -> None:
    """Write `slurmdbd.conf`; slurmdbd reads it only where nobody else can."""
    user = machine.user("slurm")
    values = {
        "DbdHost": hostname.partition(".")[0],
        "DbdPort": machine.database_port,
        "SlurmUser": user,
        "AuthType": "auth/munge",
        **({"AuthInfo": f"socket={machine.munge_socket}"} if machine.emulated else {}),
        "LogFile": machine.logs / "slurmdbd.log",
        "PidFile": machine.run / "slurm" / "slurmdbd.pid",
        **({"PluginDir": machine.plugins} if machine.plugins else {}),
        "StorageType": "accounting_storage/mysql",
        # By its socket, as the user of the operating system: there is no password.
        "StorageHost": "localhost",
        "StorageUser": user,
        "StorageLoc": "slurm",
        "PrivateData": "accounts,jobs,reservations,usage,users",
        **{f"Purge{kind}After": f"{months}months" for kind, months in _KEPT_MONTHS.items()},
    }
    machine.slurm_settings.mkdir(parents=True, exist_ok=True)
    file = machine.slurm_settings / "slurmdbd.conf"
    make_file(file, user)
    file.chmod(0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    make_file(machine.logs / "slurmdbd.log", user)
    make_folder(machine.run / "slurm", user, 0o755)


def set_up(machine: Machine, cluster: str, teams: Mapping[str, TeamFacts], *, default_team: str) -> None:
    """Make slurmdbd's accounts those of the environment. It may be done again: what is right stays.

    An account whose team is gone stays with a share of 1, for its history. Raises AccountingError.
    """
    _wait(machine)
    if not _rows(machine, "cluster", "cluster", f"name={cluster}"):
        _do(machine, "add", "cluster", cluster)
    known = {row[0]: row for row in _rows(machine, "qos", "name,priority")}
    for name, priority in PRIORITIES.items():
        _ensure(machine, "qos", name, known.get(name), {"priority": str(priority)})
    shares = {row[0]: row for row in _rows(machine, "association", "account,fairshare", "user=")}
    levels = {"defaultqos": "normal", "qos": ",".join(PRIORITIES)}
    for name, team in teams.items():
        known_share = shares.get(name, ["", ""])[1]
        if known_share != str(team.share):
            verb = ["modify", "account", name, "set"] if known_share else ["add", "account", name]
            _do(
                machine,
                *verb,
                f"fairshare={team.share}",
                *(f"{key}={value}" for key, value in levels.items()),
            )
    for gone in set(shares) - set(teams) - {"root"}:
        if shares[gone][1] != "1":
            _do(machine, "modify", "account", gone, "set", "fairshare=1")
    _add_users(machine, teams, default_team)


def _add_users(machine: Machine, teams: Mapping[str, TeamFacts], default_team: str) -> None:
    """Let each team's user, and it alone, use the team's account."""
    known = {(row[0], row[1]) for row in _rows(machine, "association", "user,account") if row[0]}
    ordered = sorted(teams, key=lambda name: name != default_team)
    for name in ordered:
        # Everything on an emulated machine is one user's.
        user = machine.user(teams[name].user)
        if (user, name) not in known:
            _do(machine, "add", "user", user, f"account={name}")


def _ensure(
    machine: Machine, kind: str, name: str, known: Sequence[str] | None, wanted: Mapping[str, str]
) -> None:
    settings = [f"{key}={value}" for key, value in wanted.items()]
    if known is None:
        _do(machine, "add", kind, name, *settings)
    elif list(known[1:]) != list(wanted.values()):
        _do(machine, "modify", kind, name, "set", *settings)


def _wait(machine: Machine) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            _rows(machine, "cluster", "cluster")
            return
        except AccountingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _rows(machine: Machine, kind: str, columns: str, *conditions: str) -> list[list[str]]:
    said = _sacctmgr(machine, "--parsable2", "--noheader", "show", kind, *conditions, f"format={columns}")
    return [line.split("|") for line in said.splitlines()]


def _do(machine: Machine, *arguments: str) -> None:
    _sacctmgr(machine, "--immediate", *arguments)


def _sacctmgr(machine: Machine, *arguments: str) -> str:
    surroundings: dict[str, Any] = dict(machine.variables())
    surroundings["SLURM_CONF"] = str(machine.slurm_settings / "slurm.conf")
    try:
        done = subprocess.run(
            [machine.executable("sacctmgr"), *arguments],
            capture_output=True,
            text=True,
            env=surroundings,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AccountingError(str(error)) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise AccountingError(f"sacctmgr {' '.join(arguments)}: {said[-1]}")
    return done.stdout
