"""EFS file systems that emulated nodes can mount, with their policy and backup.

Seam: methods on `EFSResponse`. moto lacks DeleteFileSystemPolicy and PutBackupPolicy, without which the
provider of Terraform waits for ever; drop those when it has them. Each file system is a folder
(`sandbox/file_systems.py`).
"""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.efs.responses import EFSResponse

from sandbox.file_systems import FileSystems
from sandbox.parts import Parts, store

_JSON = {"Content-Type": "application/json"}


def install(parts: Parts) -> None:
    """Wrap what moto has and add the two actions."""
    create, delete = EFSResponse.create_file_system, EFSResponse.delete_file_system
    folders = FileSystems(parts.nodes.place)

    @functools.wraps(create)
    def create_file_system(self: Any) -> Any:
        answer = create(self)
        folders.make(json.loads(answer[0])["FileSystemId"])
        return answer

    @functools.wraps(delete)
    def delete_file_system(self: Any) -> Any:
        answer = delete(self)
        folders.remove(self._get_param("FileSystemId"))
        return answer

    EFSResponse.create_file_system = create_file_system
    EFSResponse.delete_file_system = delete_file_system
    EFSResponse.delete_file_system_policy = delete_file_system_policy
    EFSResponse.put_backup_policy = put_backup_policy
    described = EFSResponse.describe_backup_policy

    @functools.wraps(described)
    def describe_backup_policy(self: Any) -> Any:
        known = store(self.efs_backend, "backup_policies").get(self._get_param("FileSystemId"))
        # moto forgets a policy that was switched off, which the cloud goes on to show as DISABLED.
        return (json.dumps({"BackupPolicy": known}), _JSON) if known else described(self)

    EFSResponse.describe_backup_policy = describe_backup_policy


def delete_file_system_policy(request: Any) -> Any:
    """DeleteFileSystemPolicy."""
    request.efs_backend.file_systems_by_id[request._get_param("FileSystemId")].file_system_policy = None
    return "{}", _JSON


def put_backup_policy(request: Any) -> Any:
    """PutBackupPolicy; nothing is ever backed up."""
    policy = request._get_param("BackupPolicy")
    store(request.efs_backend, "backup_policies")[request._get_param("FileSystemId")] = policy
    return json.dumps({"BackupPolicy": policy}), _JSON
