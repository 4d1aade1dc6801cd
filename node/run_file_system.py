"""A run's own file system, on the head node: made from S3 before the run, written back and deleted after it.

`runs/<id>/fsx.json` says how it stands. Whatever happens to the dispatcher, the file system carries the run's
id as a tag: the next dispatch, a teardown and the sweep find it by that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.aws import aws_errors
from node.config import NodeConfig
from node.layout import (
    FSX_DATA,
    FSX_RESULTS,
    FSX_STATE,
    TAG_ENVIRONMENT,
    TAG_RUN,
    epoch_seconds,
    output_name,
    run_key,
    utc_now,
)
from node.lustre import LUSTRE_VERSION, FileSystemError, Lustre, call
from node.store import Bucket

MAKING, MADE, KEPT, DELETED = "making", "made", "kept", "deleted"


@dataclass
class RunFileSystem:
    """The file system of one run; `settings` are `run_file_systems` of storage.json."""

    fsx: Any
    bucket: Bucket
    config: NodeConfig
    settings: Mapping[str, Any]
    run: Mapping[str, Any]
    state: dict[str, Any] = field(default_factory=dict)
    """As it stands in `fsx.json`; empty before it is made."""

    @property
    def _run_id(self) -> str:
        return str(self.run["run_id"])

    @property
    def _tags(self) -> list[dict[str, str]]:
        tags = {**self.settings["tags"], TAG_RUN: self._run_id, "Name": f"run {self._run_id}"}
        assert tags[TAG_ENVIRONMENT] == self.config.environment
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def make(self, subnet_id: str, give_up: Callable[[], None]) -> None:
        """Make it, link it to the buckets and wait until nodes can mount it.

        Raises FileSystemError, with nothing left standing, where FSx can't; and whatever `give_up` raises.
        """
        made = call(lambda: self.fsx.create_file_system(**self._request(subnet_id)))["FileSystem"]
        system = Lustre(self.fsx, made["FileSystemId"])
        try:
            self._write(
                file_system_id=system.system_id, gib=self.run["fsx_gib"], state=MAKING, made=utc_now()
            )
            found = system.wait_until_made(give_up)
            for path, target in self._targets().items():
                system.link(path, target, f"{self._run_id}{path.replace('/', '-')}", self._tags, give_up)
            system.load(FSX_DATA, self._tags, give_up)
            lustre = found["LustreConfiguration"]
            self._write(dns_name=found["DNSName"], mount_name=lustre["MountName"], state=MADE)
        except BaseException:
            self._undo(system)
            raise

    def bring_home(self) -> None:
        """Write the results back, hold them against what the nodes listed, and delete the file system.

        Raises FileSystemError where not all of them are in the bucket: the file system is kept then.
        """
        if self.state.get("state") in (None, DELETED):
            return
        system = Lustre(self.fsx, self.state["file_system_id"])
        try:
            listed = self._listed()
            if listed != [] and FSX_RESULTS in system.links():
                system.export(FSX_RESULTS, self._tags)
                self._verify(listed or [])
                self._write(exported=utc_now(), files=None if listed is None else len(listed))
        except FileSystemError as error:
            self._write(state=KEPT, cause=str(error))
            raise
        system.delete()
        self._write(state=DELETED, deleted=utc_now(), cause="")

    def _undo(self, system: Lustre) -> None:
        """Delete what was begun; where that fails too, the next dispatch does it."""
        troubles: tuple[type[Exception], ...] = (FileSystemError, *aws_errors())
        try:
            system.delete()
            self._write(state=DELETED, deleted=utc_now())
        except troubles as error:
            print(f"the file system {system.system_id} could not be deleted: {error}", file=sys.stderr)

    def adopt(self, system_id: str) -> None:
        """Take over a file system that another dispatcher made, as it left it."""
        body = self.bucket.get(run_key(self._run_id, FSX_STATE))
        known = json.loads(body) if body else {}
        self.state = {"gib": self.run["fsx_gib"], "state": MAKING, **known, "file_system_id": system_id}

    def receipt(self) -> dict[str, Any] | None:
        """Return what the run's receipt says of it: size, times, cost; None where none was made."""
        if not self.state:
            return None
        seconds = epoch_seconds(self.state.get("deleted") or utc_now()) - epoch_seconds(self.state["made"])
        price = self.run.get("fsx_usd_per_gib_hour")
        usd = None if price is None else round(self.state["gib"] * price * seconds / 3600, 4)
        return {**self.state, "seconds": round(seconds, 3), "usd_per_gib_hour": price, "usd": usd}

    def _request(self, subnet_id: str) -> dict[str, Any]:
        return {
            # The same request again makes no second file system.
            "ClientRequestToken": f"{self._run_id}-{self.run.get('attempt', 1)}",
            "FileSystemType": "LUSTRE",
            "FileSystemTypeVersion": LUSTRE_VERSION,
            "StorageCapacity": self.run["fsx_gib"],
            "StorageType": "SSD",
            "SubnetIds": [subnet_id],
            "SecurityGroupIds": [self.settings["security_group_id"]],
            "LustreConfiguration": {"DeploymentType": "SCRATCH_2", "DataCompressionType": "LZ4"},
            "Tags": self._tags,
        }

    def _targets(self) -> dict[str, str]:
        """Return what is shown where: the run's dataset, or for a script all datasets, and its results."""
        dataset = self.run.get("dataset")
        prefix = f"{dataset['sha256']}/" if dataset else ""
        return {
            FSX_DATA: f"s3://{self.config.dataset_bucket}/{prefix}",
            FSX_RESULTS: f"s3://{self.bucket.name}/{run_key(self._run_id, 'fsx/')}",
        }

    def _listed(self) -> list[dict[str, Any]] | None:
        """Return the results as the node that ended last listed them, for no node wrote after it.

        None where a node did not come to that: it may have written after the others looked.
        """
        reports = [
            json.loads(body)
            for rank in range(int(self.run["nodes"]))
            if (body := self.bucket.get(run_key(self._run_id, output_name(rank)))) is not None
        ]
        lists = [report["fsx"] for report in reports if "fsx" in report]
        if len(lists) < int(self.run["nodes"]):
            return None
        last: list[dict[str, Any]] = max(lists, key=lambda each: str(each["time"]))["files"]
        return last

    def _verify(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Hold the bucket against what was listed."""
        prefix = run_key(self._run_id, "fsx/")
        found = self.bucket.sizes(prefix)
        missing = [file["name"] for file in listed if found.get(prefix + file["name"]) != file["size"]]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise FileSystemError(f"{missing[0]}{more} did not arrive in s3://{self.bucket.name}/{prefix}")

    def _write(self, **changes: Any) -> None:
        self.state |= changes
        self.bucket.put(run_key(self._run_id, FSX_STATE), json.dumps(self.state, indent=2).encode())


def has_file_system(run: Mapping[str, Any]) -> bool:
    """Return whether the run asked for a file system of its own."""
    return bool(run.get("fsx_gib"))
