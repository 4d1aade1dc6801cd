"""An environment's runs as they lie in its artifact bucket: docs/architecture.md, "The run directory"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fleet import aws
from fleet.cloud import Cloud
from fleet.session import Session
from stacks import naming

FINAL_EVENTS = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "PREEMPTED"})
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NotFound"})
"""What S3 says of an object that is not there."""
_OF_A_TEAM = re.compile(r"^[a-z][a-z0-9]*-")
"""How the id of a run begins that is not the environment's own team's."""
_TASK = re.compile(r"(.+-[a-z0-9]{5})-a(\d+)")
"""The id of one task of an array: the array's, and the task's index."""
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


@dataclass(frozen=True)
class RunStore:
    """One environment's artifact bucket, which outlives its fleet; one that is not there holds no runs."""

    cloud: Cloud
    region: str
    bucket: str
    team: str = ""
    """The further team whose runs are listed, "" for all: its members may not see others'."""
    clients: Callable[[str], Any] | None = field(default=None, compare=False, repr=False)
    """Opens the client of a service where somebody keeps clients; None: each is made anew."""

    @cached_property
    def s3(self) -> Any:
        """The client for the bucket."""
        return self.client("s3")

    @cached_property
    def ssm(self) -> Any:
        """The client that knows the commands on the nodes."""
        return self.client("ssm")

    @cached_property
    def ec2(self) -> Any:
        """The client that knows the machines."""
        return self.client("ec2")

    def client(self, service: str) -> Any:
        """Return the client of any service in the environment's region."""
        return self.clients(service) if self.clients else aws.client(self.cloud, service, self.region)

    def holders(self) -> set[str]:
        """Return the runs that hold nodes of the environment now."""
        return set(self.claims().values())

    def claims(self) -> dict[str, str]:
        """Return the run that holds each claimed node, by the node's instance id."""
        found: dict[str, str] = {}
        for key in self.keys("nodes/"):
            try:
                body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except Exception as error:
                if aws.error_code(error) not in MISSING:  # freed since it was listed
                    raise
            else:
                found[key.removeprefix("nodes/").removesuffix(".json")] = str(json.loads(body)["run_id"])
        return found

    def run_ids(self, since: str = "") -> list[str]:
        """Return the runs' ids, newest first: every one, or those from a time on, `20261122-113449`.

        Then it takes a page or two for each team, however many runs there are.
        """
        prefix = f"runs/{self.team}-" if self.team else "runs/"
        after, known, found = prefix + since, set[str](), list[str]()
        while after:
            query = {"Bucket": self.bucket, "Prefix": prefix, "Delimiter": "/", "StartAfter": after}
            after = ""
            for run_id in self._listed_ids(query):
                team = "" if self.team else team_of(run_id)
                if team not in known and team and since:  # its ids begin anew: go on where they are new
                    known.add(team)
                    after = f"{prefix}{team}-{since}"
                    break
                found.append(run_id)
        return sorted(found, key=by_time, reverse=True)

    def _listed_ids(self, query: dict[str, str]) -> Iterator[str]:
        for page in self._pages(query):
            names = (each["Prefix"].split("/")[1] for each in page.get("CommonPrefixes", []))
            # `runs/.speedup/` holds trials, which are no run's.
            yield from (name for name in names if not name.startswith("."))

    def sizes(self, run_id: str, prefix: str = "") -> dict[str, int]:
        """Return the size in bytes of each object of the run whose name starts so, by its name in the run."""
        root = f"runs/{run_id}/"
        return {
            item["Key"].removeprefix(root): int(item["Size"])
            for page in self._pages({"Bucket": self.bucket, "Prefix": root + prefix})
            for item in page.get("Contents", [])
        }

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all objects of the bucket that begin so."""
        pages = self._pages({"Bucket": self.bucket, "Prefix": prefix})
        return [str(item["Key"]) for page in pages for item in page.get("Contents", [])]

    def _pages(self, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        try:
            yield from self.s3.get_paginator("list_objects_v2").paginate(**query)
        except Exception as error:
            if aws.error_code(error) != "NoSuchBucket":
                raise

    def get(self, run_id: str, name: str) -> bytes | None:
        """Return a file of the run directory, or None where there is none."""
        found = self.read(run_id, name)
        return found[0] if found else None

    def read(self, run_id: str, name: str) -> tuple[bytes, str] | None:
        """Return a file of the run directory with its ETag, or None where there is none."""
        return self._read(f"runs/{run_id}/{name}")

    def changed(self, run_id: str, name: str, etag: str = "", start: int = 0) -> tuple[bytes, str] | None:
        """Return a file from the byte `start` on, with its ETag; both empty where it is not longer than that.

        None where it still has the ETag that the caller knows, or is not there.
        """
        conditions = {"IfNoneMatch": etag} if etag else {}
        if start:
            conditions["Range"] = f"bytes={start}-"
        try:
            return self._read(f"runs/{run_id}/{name}", **conditions)
        except Exception as error:
            if aws.error_code(error) == "304":
                return None
            if aws.error_code(error) == "InvalidRange":
                return b"", ""
            raise

    def read_object(self, key: str) -> bytes | None:
        """Return an object of the bucket that belongs to no run, or None where there is none."""
        found = self._read(key)
        return found[0] if found else None

    def _read(self, key: str, **conditions: str) -> tuple[bytes, str] | None:
        """Return an object with its ETag, or None where there is none.

        S3 refuses what is not there to those who may not list all: it may have come before we list it.
        """
        refused = False
        while True:
            try:
                answer = self.s3.get_object(Bucket=self.bucket, Key=key, **conditions)
            except Exception as error:
                code = aws.error_code(error)
                if code in MISSING or (code == "AccessDenied" and self._is_absent(key)):
                    return None
                if code != "AccessDenied" or refused:
                    raise
                refused = True
            else:
                return bytes(answer["Body"].read()), str(answer["ETag"])

    def _is_absent(self, key: str) -> bool:
        """Return whether an object is not there, as far as we may list it."""
        try:
            listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        except Exception:
            return False
        return all(item["Key"] != key for item in listed.get("Contents", ()))

    def get_from(self, run_id: str, name: str, offset: int, most: int | None = None) -> bytes:
        """Return what the file has from `offset` on, or so many bytes of it; it must be longer."""
        key, last = f"runs/{run_id}/{name}", "" if most is None else offset + most - 1
        answer = self.s3.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={offset}-{last}")
        return bytes(answer["Body"].read())

    def get_json(self, run_id: str, name: str) -> dict[str, Any] | None:
        """Return a JSON file of the run directory, or None where there is none."""
        body = self.get(run_id, name)
        return json.loads(body) if body is not None else None

    def put(self, run_id: str, name: str, data: dict[str, Any]) -> None:
        """Write a JSON file of the run directory."""
        self.s3.put_object(Bucket=self.bucket, Key=f"runs/{run_id}/{name}", Body=_json(data))

    def put_new(self, run_id: str, name: str, data: dict[str, Any]) -> bool:
        """Write a JSON file of the run directory unless there is one; return whether it was written."""
        return self._put_if(run_id, name, _json(data), IfNoneMatch="*")

    def replace(self, run_id: str, name: str, data: dict[str, Any], etag: str) -> bool:
        """Write a JSON file of the run directory if it still has that ETag; return whether it had."""
        return self._put_if(run_id, name, _json(data), IfMatch=etag)

    def append_line(self, run_id: str, name: str, line: dict[str, Any]) -> bool:
        """Append a line to a JSON Lines file; return False where somebody else wrote to it meanwhile."""
        found = self.read(run_id, name)
        new = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        if found is None:
            return self._put_if(run_id, name, new, IfNoneMatch="*")
        return self._put_if(run_id, name, found[0] + new, IfMatch=found[1])

    def _put_if(self, run_id: str, name: str, body: bytes, **condition: str) -> bool:
        try:
            self.s3.put_object(Bucket=self.bucket, Key=f"runs/{run_id}/{name}", Body=body, **condition)
        except Exception as error:
            if aws.error_code(error) in _TAKEN:
                return False
            raise
        return True

    def delete(self, run_id: str, name: str) -> None:
        """Delete a file of the run directory; one that is not there is no error."""
        self.s3.delete_object(Bucket=self.bucket, Key=f"runs/{run_id}/{name}")


def team_of(run_id: str) -> str:
    """Return the further team that the id begins with, "" for the environment's own."""
    found = _OF_A_TEAM.match(run_id)
    return found[0].removesuffix("-") if found else ""


def is_task(run_id: str) -> bool:
    """Return whether the run is a task of an array."""
    return _TASK.fullmatch(_OF_A_TEAM.sub("", run_id)) is not None


def by_time(run_id: str) -> tuple[str, int]:
    """Return what sorts ids by their time, whatever team they are of, and an array's tasks by their index."""
    plain = _OF_A_TEAM.sub("", run_id)
    task = _TASK.fullmatch(plain)
    return (task[1], int(task[2])) if task else (plain, -1)


def open_runs(session: Session, team: str = "") -> RunStore:
    """Return the runs of the session's environment, or of a further team's; contacts nothing yet."""
    spec = session.spec
    bucket = naming.artifact_bucket(session.account.organization, spec.name, spec.region)
    return RunStore(session.cloud, spec.region, bucket, team, session.client)


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, indent=2, ensure_ascii=False).encode()
