"""The one door of this room to boto3's core: clients that start fast, and AWS errors told apart.

botocore (which boto3 brings) is used without boto3's own layer: that saves about 0.15 s in every process that
stands between a submitted run and its first training step.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from functools import lru_cache
from typing import Any


@contextlib.contextmanager
def _lasting() -> Iterator[None]:
    """Take what is made meanwhile for what stays: Python's garbage collector looks at none of it.

    botocore and its models of services are some 300,000 objects. To go through them again and again while
    they are made takes a short process half of the time until its first call.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.freeze()
            gc.enable()


@lru_cache(maxsize=1)
def _session() -> Any:
    from botocore.session import Session

    return Session()


@lru_cache(maxsize=16)
def client(service: str, region: str) -> Any:
    """Return a client of the service there; AWS_ENDPOINT_URL and credentials come from the surroundings."""
    with _lasting():
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)
        return _session().create_client(service, region_name=region, config=config)


def aws_errors() -> tuple[type[Exception], ...]:
    """Return the exception classes of a call that AWS refused or that never reached it."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def failures() -> tuple[type[Exception], ...]:
    """Return aws_errors and OSError: what moving a file between a disk and the bucket can meet."""
    return (*aws_errors(), OSError)


def error_code(error: Exception) -> str:
    """Return the AWS error code of a ClientError ("NoSuchKey"), or "" for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def upload_file(s3: Any, path: str, bucket: str, key: str, extra: dict[str, str]) -> None:
    """Upload a file of any size, in parts; `extra` goes to S3 with the first request.

    Raises boto3's S3UploadFailedError as an OSError.
    """
    from boto3.exceptions import S3UploadFailedError
    from boto3.s3.transfer import S3Transfer

    try:
        S3Transfer(s3).upload_file(path, bucket, key, extra_args=extra)
    except S3UploadFailedError as error:
        raise OSError(str(error)) from error
