"""The role of a run's team, taken on by this machine: for an hour, and again for as long as the run asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node.aws import failures
from node.cluster.facts import ClusterFacts, TeamFacts
from node.slurm.request import belongs

SECONDS = 3600
"""The longest that STS grants to a role that takes on another."""
_RENEW_SECONDS = SECONDS / 2
"""New ones are fetched where the old have less left; SDKs ask again 15 minutes before the end."""
_FACTS_SECONDS = 60.0
_NAME_CHARACTERS = 64
"""STS's limit on the name of a session."""


class RefusedError(Exception):
    """A run gets no role; one line."""


@dataclass(frozen=True)
class Credentials:
    """Credentials of a session, as STS gives them."""

    access_key: str
    secret_key: str
    token: str
    expires: datetime

    def to_json(self) -> dict[str, str]:
        """Return them as the SDKs expect them of such a service."""
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": self.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def seconds_left(self) -> float:
        """Return how long they are good for."""
        return self.expires.timestamp() - time.time()


class Teams:
    """The teams of the cluster, as its description has them now."""

    def __init__(self, read: Callable[[], ClusterFacts], *, one_user: bool) -> None:
        """`one_user`: all teams are the same user of the operating system, as on an emulated machine."""
        self._read, self._one_user = read, one_user
        self._known: ClusterFacts | None = None
        self._read_at = 0.0

    def find(self, uid: int, run_id: str) -> TeamFacts:
        """Return the team whose user that is and whose run. Raises RefusedError, and what reading raises."""
        for fresh in (False, True):
            facts = self._facts(fresh=fresh)
            for name, team in facts.teams.items():
                if (self._one_user or team.uid == uid) and belongs(run_id, name, facts):
                    return team
        raise RefusedError(f"{run_id} is no run of a team with the user {uid}")

    def _facts(self, *, fresh: bool) -> ClusterFacts:
        age = time.monotonic() - self._read_at
        if self._known is None or (fresh and age > _FACTS_SECONDS):
            self._known, self._read_at = self._read(), time.monotonic()
        return self._known


class Lender:
    """Takes on the roles of teams."""

    def __init__(self, sts: Any) -> None:
        self._sts = sts
        self._prefix = ""
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Credentials] = {}

    def lend(self, role: str, run_id: str) -> Credentials:
        """Return credentials of a session of that role in the run's name. Raises what STS refuses with."""
        key = (role, run_id)
        found = self._known.get(key)
        if found and found.seconds_left() > _RENEW_SECONDS:
            return found
        with self._lock:
            found = self._known.get(key)
            if found and found.seconds_left() > _RENEW_SECONDS:
                return found
            self._known = {each: kept for each, kept in self._known.items() if kept.seconds_left() > 0}
            try:
                self._known[key] = self._take_on(role, run_id)
            except failures():
                if key not in self._known:
                    raise
            return self._known[key]

    def _take_on(self, role: str, run_id: str) -> Credentials:
        if not self._prefix:
            own: str = self._sts.get_caller_identity()["Arn"]
            _, partition, _, _, account, _ = own.split(":", 5)
            self._prefix = f"arn:{partition}:iam::{account}:role/"
        answer: Mapping[str, Any] = self._sts.assume_role(
            RoleArn=self._prefix + role, RoleSessionName=run_id[:_NAME_CHARACTERS], DurationSeconds=SECONDS
        )["Credentials"]
        return Credentials(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], answer["Expiration"]
        )
