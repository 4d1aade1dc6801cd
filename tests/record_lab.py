"""An account with a record in an embedded cloud of its own: a locked bucket, a trail that writes, a machine.

Its clock is put forward, so it is nobody else's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from fleet.session import Session
from sandbox import daemon
from stacks import naming
from tests.environment_parts import REGION, make_specs
from tests.iam_helpers import ACCOUNT, allow, assume, make_role, service, trust
from tests.sandbox_helpers import admin, api, run_instances, wait_for

ENVIRONMENT = "vision"
MEMBER = f"{ENVIRONMENT}-member-{REGION}"
HEAD = f"{ENVIRONMENT}-head-{REGION}"
_NOTHING = {
    "schemaVersion": "2.2",
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {}}],
}


@dataclass
class RecordLab:
    """The account, its environment's session as the root user, and one machine of the environment's."""

    session: Session
    machine: str = ""

    @property
    def cloud(self) -> Cloud:
        """The cloud as its root user sees it."""
        return self.session.cloud

    @property
    def bucket(self) -> str:
        """The locked bucket."""
        return self.session.ledger.bucket

    @property
    def document(self) -> str:
        """The document by which people enter."""
        return naming.account_name(self.session.account.organization, naming.SESSION_DOCUMENT)

    def now(self) -> datetime:
        """Return the cloud's own time."""
        return self.forward(0)

    def forward(self, seconds: float) -> datetime:
        """Put the cloud's clock forward, let what is due be delivered, and return the time."""
        told = admin(self.cloud, "POST", "clock", {"forward_s": seconds})
        api(self.cloud, "sts").get_caller_identity()
        return datetime.fromisoformat(told["now"])

    def window(self) -> datetime:
        """Return a time before which all that was done has its digest, and after which nothing was done."""
        self.forward(60)
        return self.forward(3 * 3600)

    def deliver(self) -> datetime:
        """Let the trail deliver what it holds, and return a time after it."""
        return self.forward(60) + timedelta(minutes=1)

    def seal(self) -> datetime:
        """Let the trail deliver what it holds and then its digest, and return a time after both."""
        self.deliver()
        return self.forward(3600) + timedelta(minutes=1)

    def member(self, person: str = "ann") -> Any:
        """Return Systems Manager as that person in a member's role."""
        role = f"arn:aws:iam::{ACCOUNT}:role/{MEMBER}"
        return service(assume(self.cloud, role, person, SourceIdentity=person), "ssm")

    def keys(self, folder: str) -> list[str]:
        """Return the keys below `trail/AWSLogs/ACCOUNT/FOLDER/`, in order."""
        prefix = f"{naming.TRAIL_PREFIX}AWSLogs/{ACCOUNT}/{folder}/"
        pages = (
            api(self.cloud, "s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        )
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def destroy(self, key: str) -> None:
        """Delete every version of an object, as whoever may bypass the lock can."""
        s3 = api(self.cloud, "s3")
        for version in s3.list_object_versions(Bucket=self.bucket, Prefix=key)["Versions"]:
            s3.delete_object(
                Bucket=self.bucket, Key=key, VersionId=version["VersionId"], BypassGovernanceRetention=True
            )


@contextmanager
def record_lab() -> Iterator[RecordLab]:
    """Run the embedded cloud with all of it, and end it."""
    with tempfile.TemporaryDirectory(prefix="record-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        daemon.start(home)
        try:
            project = Project(root=Path(folder), home=home)
            cloud = choose_cloud(project, "sandbox")
            specs = make_specs(ENVIRONMENT, {"gpu": {"nodes": 1, "max_nodes": 1}})
            lab = RecordLab(Session(project, cloud, *specs))
            _make_account(lab)
            _make_machine(lab)
            yield lab
        finally:
            daemon.stop(home)


def _make_account(lab: RecordLab) -> None:
    s3, trail = api(lab.cloud, "s3"), api(lab.cloud, "cloudtrail")
    s3.create_bucket(Bucket=lab.bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=lab.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    made = trail.create_trail(
        Name="record-trail",
        S3BucketName=lab.bucket,
        S3KeyPrefix=naming.TRAIL_PREFIX.rstrip("/"),
        IsMultiRegionTrail=True,
        EnableLogFileValidation=True,
    )
    trail.start_logging(Name=made["TrailARN"])
    inputs = {
        "s3BucketName": lab.bucket,
        "s3KeyPrefix": naming.SESSIONS_PREFIX.rstrip("/"),
        "shellProfile": {"linux": "cd && exec bash --login"},
    }
    shell = {"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs}
    ssm = api(lab.cloud, "ssm")
    for name, kind, content in (
        (lab.document, "Session", shell),
        (naming.node_document(ENVIRONMENT), "Command", _NOTHING),
    ):
        ssm.create_document(Name=name, DocumentType=kind, Content=json.dumps(content))
    trusted = trust(actions=["sts:AssumeRole", "sts:SetSourceIdentity"])
    for name in (MEMBER, HEAD):
        make_role(lab.cloud, name, allow("ssm:*"), trusts=trusted)


def _make_machine(lab: RecordLab) -> None:
    tags = {naming.TAG_ENVIRONMENT: ENVIRONMENT, naming.TAG_ROLE: "node"}
    (lab.machine,) = run_instances(lab.cloud, 1, "", **tags)

    def online() -> bool:
        known = api(lab.cloud, "ssm").describe_instance_information()["InstanceInformationList"]
        return lab.machine in {each["InstanceId"] for each in known if each["PingStatus"] == "Online"}

    wait_for(online)
