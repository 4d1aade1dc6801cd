"""A plain destroy of a base whose bucket is to be retained: what is in it can still be read afterwards."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from stacks import naming
from tests.real_stacks import RealStacks, declare
from tests.sandbox_helpers import REGION, api

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
NAME = "kept"
ORGANIZATION = "retained-bucket"
BASE = naming.base_stack(NAME)
BUCKET = naming.artifact_bucket(ORGANIZATION, NAME, REGION)


@pytest.fixture
def base(tmp_path: Path, sandbox: Cloud) -> RealStacks:
    """A base stack that stands, applied by the plain terraform, with a bucket to be retained."""
    real = declare(tmp_path, sandbox, name=NAME, organization=ORGANIZATION)
    file = tmp_path / "environments" / f"{NAME}.toml"
    file.write_text(file.read_text().replace('"delete"', '"retain"'))
    synthesized = real.run(sys.executable, "-m", "stacks.app")
    assert synthesized.returncode == 0, synthesized.stderr
    for arguments in (("init",), ("apply", "-auto-approve", "-parallelism=30")):
        done = real.terraform(BASE, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    return real


def test_the_key_outlives_a_destroy_that_fails_on_a_bucket_with_runs_in_it(
    base: RealStacks, sandbox: Cloud
) -> None:
    s3, kms = api(sandbox, "s3"), api(sandbox, "kms")
    outputs = json.loads(base.terraform(BASE, "output", "-json").stdout)
    key = outputs["kms_key_arn"]["value"]
    version = s3.put_object(Bucket=BUCKET, Key="runs/one/run.json", Body=b"{}")["VersionId"]
    assert s3.head_object(Bucket=BUCKET, Key="runs/one/run.json")["SSEKMSKeyId"] == key

    refused = base.terraform(BASE, "destroy", "-auto-approve")
    assert refused.returncode == 1 and "BucketNotEmpty" in refused.stderr, refused.stdout + refused.stderr
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"

    s3.delete_object(Bucket=BUCKET, Key="runs/one/run.json", VersionId=version)
    done = base.terraform(BASE, "destroy", "-auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
