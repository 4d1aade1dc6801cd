"""Associations of FSx for Lustre file systems with S3.

Seam: methods on `FSxResponse`, which moto finds by the action's name. moto has none of the four actions;
drop this when it has them. `sandbox/repositories.py` copies between the file systems and the buckets.
"""

from __future__ import annotations

import json
import time
import uuid
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from moto.core.exceptions import ServiceException
from moto.fsx.exceptions import FileSystemNotFound
from moto.fsx.responses import FSxResponse

from sandbox.file_systems import FileSystems
from sandbox.nodes import Nodes
from sandbox.parts import Parts, store
from sandbox.repositories import Repositories
from sandbox.variables import ACCESS_KEY

_GIVEN = (
    "FileSystemId",
    "FileSystemPath",
    "DataRepositoryPath",
    "BatchImportMetaDataOnCreate",
    "ImportedFileChunkSize",
    "S3",
)


class AssociationError(ServiceException):  # type: ignore[misc]
    """An error of FSx, looked up by its code in the service's model."""


def install(parts: Parts) -> None:
    """Give FSx the four actions."""
    links = repositories(parts)

    def create_data_repository_association(request: Any) -> str:
        """CreateDataRepositoryAssociation; available as soon as what it imports at its creation is there."""
        association_id = create_association(request)
        links.link(associations_of(request.fsx_backend)[association_id])
        return json.dumps({"Association": _shown(request.fsx_backend, association_id)})

    def delete_data_repository_association(request: Any) -> str:
        """DeleteDataRepositoryAssociation; gone at once, and the files stay."""
        association_id = json.loads(request.body)["AssociationId"]
        _require(request.fsx_backend, association_id)
        end_association(parts, request.fsx_backend, association_id)
        gone = {"AssociationId": association_id, "Lifecycle": "DELETING", "DeleteDataInFileSystem": False}
        return json.dumps(gone)

    FSxResponse.create_data_repository_association = create_data_repository_association
    FSxResponse.describe_data_repository_associations = describe_associations
    FSxResponse.update_data_repository_association = update_association
    FSxResponse.delete_data_repository_association = delete_data_repository_association


def repositories(parts: Parts) -> Repositories:
    """Return what serves the links of this process's cloud."""
    return _repositories(parts.nodes)


@lru_cache(maxsize=1)
def _repositories(nodes: Nodes) -> Repositories:
    def client() -> Any:
        return boto3.client(
            "s3",
            endpoint_url=nodes.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key="sandbox",  # noqa: S106 - the embedded cloud checks no signatures
            config=Config(retries={"max_attempts": 1}),
        )

    return Repositories(FileSystems(nodes.place), lru_cache(maxsize=1)(client))


def end_association(parts: Parts, backend: Any, association_id: str) -> None:
    """Forget an association."""
    repositories(parts).unlink(association_id)
    del associations_of(backend)[association_id]


def associations_of(backend: Any) -> dict[str, Any]:
    """Return a backend's associations by id."""
    return store(backend, "data_repository_associations")


def create_association(request: Any) -> str:
    """Make the association that is asked for and return its id."""
    wanted, backend = json.loads(request.body), request.fsx_backend
    if wanted["FileSystemId"] not in backend.file_systems:
        raise FileSystemNotFound(wanted["FileSystemId"])
    association_id = f"dra-{uuid.uuid4().hex[:17]}"
    name = f"association/{wanted['FileSystemId']}/{association_id}"
    arn = f"arn:aws:fsx:{backend.region_name}:{backend.account_id}:{name}"
    backend.tag_resource(arn, {tag["Key"]: tag["Value"] for tag in wanted.get("Tags", [])})
    associations_of(backend)[association_id] = {
        "AssociationId": association_id,
        "ResourceARN": arn,
        "Lifecycle": "AVAILABLE",
        "CreationTime": time.time(),
        "ImportedFileChunkSize": 1024,
        **{name: wanted[name] for name in _GIVEN if name in wanted},
    }
    return association_id


def describe_associations(request: Any) -> str:
    """DescribeDataRepositoryAssociations, by id or by file system."""
    asked, backend = json.loads(request.body), request.fsx_backend
    for association_id in asked.get("AssociationIds") or []:
        _require(backend, association_id)
    filters = {each["Name"]: each["Values"] for each in asked.get("Filters") or []}
    chosen = [
        _shown(backend, association_id)
        for association_id, association in associations_of(backend).items()
        if association_id in (asked.get("AssociationIds") or [association_id])
        and association["FileSystemId"] in filters.get("file-system-id", [association["FileSystemId"]])
    ]
    return json.dumps({"Associations": chosen})


def update_association(request: Any) -> str:
    """UpdateDataRepositoryAssociation; done at once."""
    wanted = json.loads(request.body)
    association = _require(request.fsx_backend, wanted["AssociationId"])
    association.update({name: wanted[name] for name in ("ImportedFileChunkSize", "S3") if name in wanted})
    return json.dumps({"Association": _shown(request.fsx_backend, wanted["AssociationId"])})


def _require(backend: Any, association_id: str) -> dict[str, Any]:
    association: dict[str, Any] | None = associations_of(backend).get(association_id)
    if association is None:
        raise AssociationError("DataRepositoryAssociationNotFound", f"{association_id} does not exist")
    return association


def _shown(backend: Any, association_id: str) -> dict[str, Any]:
    association = associations_of(backend)[association_id]
    return {**association, "Tags": backend.list_tags_for_resource(association["ResourceARN"])}
