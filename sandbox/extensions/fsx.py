"""FSx for Lustre file systems that become available, can be changed, and go when they are deleted.

Seam: `FileSystem.to_dict` and methods on `FSxResponse`. moto's file systems have no lifecycle, so
Terraform's provider waits for ever for AVAILABLE. Drop this when moto has one. No Lustre is emulated: a file
system is a folder (`sandbox/file_systems.py`) that emulated nodes mount.
"""

from __future__ import annotations

import functools
import json
import time
from typing import Any

from moto.ec2.models import ec2_backends
from moto.fsx.exceptions import FileSystemNotFound
from moto.fsx.models import FileSystem
from moto.fsx.responses import FSxResponse

from sandbox.extensions.fsx_data_repositories import AssociationError, associations_of, end_association
from sandbox.extensions.fsx_tasks import is_busy
from sandbox.file_systems import FileSystems
from sandbox.parts import Parts, store

_MERGED = ("LustreConfiguration", "StorageCapacity", "StorageType", "FileSystemTypeVersion")
"""What UpdateFileSystem can change."""


def install(parts: Parts) -> None:
    """Wrap what moto has and add the update."""
    folders = FileSystems(parts.nodes.place)
    shown, create, delete = FileSystem.to_dict, FSxResponse.create_file_system, FSxResponse.delete_file_system

    @functools.wraps(shown)
    def to_dict(self: Any) -> dict[str, Any]:
        return _complete(self, shown(self))

    @functools.wraps(create)
    def create_file_system(self: Any) -> str:
        wanted, tokens = json.loads(self.body), store(self.fsx_backend, "tokens")
        _check_capacity(wanted)
        made = self.fsx_backend.file_systems.get(tokens.get(wanted.get("ClientRequestToken", "")))
        if made is not None:  # the same request, sent again
            return json.dumps({"FileSystem": made.to_dict()})
        file_system_id = json.loads(create(self))["FileSystem"]["FileSystemId"]
        folders.make(file_system_id)
        return _made(self, file_system_id, wanted)

    @functools.wraps(delete)
    def delete_file_system(self: Any) -> str:
        file_system_id = json.loads(self.body)["FileSystemId"]
        if is_busy(self.fsx_backend, file_system_id):
            raise AssociationError("BadRequest", f"a data repository task of {file_system_id} is not over")
        answer: str = delete(self)
        for association_id, each in list(associations_of(self.fsx_backend).items()):
            if each["FileSystemId"] == file_system_id:
                end_association(parts, self.fsx_backend, association_id)
        folders.remove(file_system_id)
        # The provider sleeps for ten minutes after a delete that was accepted, whatever the file system does;
        # for one that is not there it goes on at once.
        if "terraform-provider-aws" in self.headers.get("User-Agent", ""):
            raise FileSystemNotFound(file_system_id)
        return answer

    FileSystem.to_dict = to_dict
    FSxResponse.create_file_system = create_file_system
    FSxResponse.delete_file_system = delete_file_system
    FSxResponse.update_file_system = update_file_system


def _made(response: Any, file_system_id: str, wanted: dict[str, Any]) -> str:
    """Keep what moto does not of a new file system, and return the answer."""
    store(response.fsx_backend, "tokens")[wanted.get("ClientRequestToken", "")] = file_system_id
    version = wanted.get("FileSystemTypeVersion")
    store(response.fsx_backend, "file_systems")[file_system_id] = {
        "CreationTime": time.time(),
        **({"FileSystemTypeVersion": version} if version else {}),
    }
    return json.dumps({"FileSystem": response.fsx_backend.file_systems[file_system_id].to_dict()})


def _check_capacity(wanted: dict[str, Any]) -> None:
    """Refuse a size that FSx for Lustre does not make on SSDs: 1200 GiB, or a multiple of 2400."""
    gib, lustre = wanted.get("StorageCapacity", 0), wanted["FileSystemType"] == "LUSTRE"
    if lustre and gib != 1200 and (gib <= 0 or gib % 2400):
        raise AssociationError("BadRequest", f"no file system can have a storage capacity of {gib}")


def update_file_system(request: Any) -> str:
    """UpdateFileSystem; done at once."""
    wanted = json.loads(request.body)
    found = request.fsx_backend.file_systems.get(wanted["FileSystemId"])
    if found is None:
        raise FileSystemNotFound(wanted["FileSystemId"])
    changed = store(request.fsx_backend, "file_systems")[wanted["FileSystemId"]]
    for name in _MERGED:
        if name in wanted and isinstance(wanted[name], dict):
            changed[name] = {**changed.get(name, {}), **wanted[name]}
        elif name in wanted:
            changed[name] = wanted[name]
    return json.dumps({"FileSystem": found.to_dict()})


def _complete(file_system: Any, shown: dict[str, Any]) -> dict[str, Any]:
    """Add what the cloud fills in, and what an update changed."""
    backend = file_system.backend
    kept = dict(store(backend, "file_systems").get(file_system.file_system_id, {}))
    changed_lustre = kept.pop("LustreConfiguration", {})
    subnet = ec2_backends[backend.account_id][backend.region_name].get_subnet(file_system.subnet_ids[0])
    complete = {
        "OwnerId": backend.account_id,
        "Lifecycle": "AVAILABLE",
        "VpcId": subnet.vpc_id,
        "NetworkInterfaceIds": [f"eni-{file_system.file_system_id.removeprefix('fs-').ljust(17, '0')}"],
        "StorageType": "SSD",
        "KmsKeyId": f"arn:aws:kms:{backend.region_name}:{backend.account_id}:key/aws-fsx",
        "FileSystemTypeVersion": "2.15",
        **shown,
        **kept,
    }
    if file_system.file_system_type == "LUSTRE":
        complete["LustreConfiguration"] = {
            **_lustre(shown.get("LustreConfiguration") or {}),
            **changed_lustre,
        }
    return complete


def _lustre(given: dict[str, Any]) -> dict[str, Any]:
    deployment = given.get("DeploymentType", "SCRATCH_1")
    configuration = {
        "DeploymentType": deployment,
        "MountName": "fsx",
        "WeeklyMaintenanceStartTime": "1:05:00",
        "DataCompressionType": "NONE",
        "CopyTagsToBackups": False,
        "LogConfiguration": {"Level": "DISABLED"},
        **given,
    }
    if deployment.startswith("PERSISTENT"):
        configuration.setdefault("AutomaticBackupRetentionDays", 0)
    if deployment == "PERSISTENT_2":
        configuration["MetadataConfiguration"] = {
            "Mode": "AUTOMATIC",
            "Iops": 1500,
            **(given.get("MetadataConfiguration") or {}),
        }
    return configuration
