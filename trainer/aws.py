"""The one door of this room to boto3's core, which data and checkpoints in S3 need and nothing else does."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from trainer.configs.settings import ConfigError


@lru_cache(maxsize=4)
def client(service: str = "s3") -> Any:
    """Return a client of the service; AWS_ENDPOINT_URL, region and credentials come from the surroundings.

    Raises ConfigError where boto3 is not installed.
    """
    try:
        from botocore.config import Config
        from botocore.session import Session
    except ImportError:
        raise ConfigError(["to reach s3:// paths: pip install boto3"]) from None
    session = Session()
    region = session.get_config_variable("region") or "us-east-1"
    config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)
    return session.create_client(service, region_name=region, config=config)


def aws_errors() -> tuple[type[Exception], ...]:
    """Return the exception classes of a call that AWS refused or that never reached it."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return ()
    return (BotoCoreError, ClientError)
