"""The key that all machines of a cluster have in common: made once by a head, kept in Secrets Manager."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

from node.aws import aws_errors, error_code
from node.cluster.machine import Machine
from node.cluster.service import make_file

KEY_BYTES = 128
"""munged takes 32 to 1,024."""
_NO_VALUE = "ResourceNotFoundException"
_POLL_SECONDS = 3.0


def head_key(manager: Any, secret: str) -> bytes:
    """Return the cluster's key, and make it where the secret has no value yet.

    Only the head that holds the state volume calls this, and there is one: nobody makes another meanwhile.
    """
    known = _read(manager, secret)
    if known is not None:
        return known
    manager.put_secret_value(SecretId=secret, SecretBinary=secrets.token_bytes(KEY_BYTES))
    made = _read(manager, secret)
    assert made is not None
    return made


def node_key(manager: Any, secret: str) -> bytes:
    """Return the cluster's key, waiting until a head has made it."""
    while (known := _read(manager, secret)) is None:
        time.sleep(_POLL_SECONDS)
    return known


def _read(manager: Any, secret: str) -> bytes | None:
    try:
        return bytes(manager.get_secret_value(SecretId=secret)["SecretBinary"])
    except aws_errors() as error:
        if error_code(error) == _NO_VALUE:
            return None
        raise


def install_key(machine: Machine, key: bytes) -> None:
    """Write the key where munged finds it, for its user alone."""
    part = machine.munge_key.with_name(".munge.key")
    part.unlink(missing_ok=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(key)
    make_file(part, machine.user("munge"))
    part.replace(machine.munge_key)
