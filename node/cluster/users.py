"""The users of the operating system that the teams' jobs run as, the same on every machine of a cluster."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from node.cluster.facts import TeamFacts
from node.cluster.machine import Machine

TEAMS = "var/fleetform/teams"
"""Folder of the teams' own folders, each named by its user's number."""


def ensure_users(machine: Machine, teams: Mapping[str, TeamFacts]) -> None:
    """Make each team's user, and a folder that no other team can look into; what is there stays.

    Raises CalledProcessError where the number or the name is somebody else's. Emulated ones have one user.
    """
    if machine.emulated:
        return
    folders = machine.root / TEAMS
    folders.mkdir(parents=True, exist_ok=True)
    for team in teams.values():
        home = folders / str(team.uid)
        if not _is_there(team):
            _add(team, home)
        home.mkdir(exist_ok=True)
        home.chmod(0o700)
        os.chown(home, team.uid, pwd.getpwnam(team.user).pw_gid)


def ensure_user_of(uid: int, machine: Machine, teams: Callable[[], Mapping[str, TeamFacts]]) -> None:
    """Make the teams' users where the one with that number is not there: its team may be a minute old.

    `teams` is asked only then. Raises what it raises, and CalledProcessError.
    """
    try:
        pwd.getpwuid(uid)
    except KeyError:
        ensure_users(machine, teams())


def _is_there(team: TeamFacts) -> bool:
    try:
        return pwd.getpwnam(team.user).pw_uid == team.uid
    except KeyError:
        return False


def _add(team: TeamFacts, home: Path) -> None:
    command = ["useradd", "--uid", str(team.uid), "--user-group", "--no-create-home", "--home-dir", str(home)]
    subprocess.run(
        [*command, "--shell", "/usr/sbin/nologin", team.user], check=True, stdin=subprocess.DEVNULL
    )
