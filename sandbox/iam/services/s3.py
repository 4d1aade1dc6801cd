"""What calls of S3 need: IAM's actions differ from the API's, and encrypted objects need the use of a key.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html and, for keys,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.s3.models import s3_backends

from sandbox.iam.needs import Keys, Need, Rule, Service, anything
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.kms import use_of_key
from sandbox.iam.services.s3_settings import SETTINGS, bucket


def _object(request: ApiRequest) -> Sequence[str]:
    return [f"{bucket(request)[0]}/{request.get('Key')}"]


def _is_version(request: ApiRequest) -> bool:
    return request.get("VersionId") is not None


def _version(action: str) -> str:
    """Return the action's form for a version of an object: `GetObjectTagging`, `GetObjectVersionTagging`."""
    return action.replace("Object", "ObjectVersion", 1)


def _needs(action: str, request: ApiRequest, keys: Keys | None = None) -> list[Need]:
    name = _version(action) if _is_version(request) else action
    return [Need(f"s3:{name}", _object(request)[0], {**_keys(request), **(keys or {})})]


def _get(request: ApiRequest) -> list[Need]:
    """Return what reading an object needs, the use of its key included."""
    found = _needs("GetObject", request)
    return [*found, *_decrypt(request, request.get("Bucket"), request.get("Key"), request.get("VersionId"))]


def _attributes(request: ApiRequest) -> list[Need]:
    return [*_get(request), *_needs("GetObjectAttributes", request)]


def _put(request: ApiRequest) -> list[Need]:
    """Return what writing an object needs, with what its headers ask for and the use of its key."""
    resource = _object(request)[0]
    keys = _keys(request)
    actions = ["PutObject"]
    if request.get("ACL") or any(name.startswith("x-amz-grant-") for name in request.headers):
        actions.append("PutObjectAcl")
    if request.get("Tagging"):
        actions.append("PutObjectTagging")
    if request.get("ObjectLockMode"):
        actions.append("PutObjectRetention")
    if request.get("ObjectLockLegalHoldStatus"):
        actions.append("PutObjectLegalHold")
    return [*(Need(f"s3:{action}", resource, keys) for action in actions), *_encrypt(request)]


def _part(request: ApiRequest) -> list[Need]:
    """Return what a part of an upload needs: an encrypted one is also decrypted when the object is made."""
    needs = _put(request)
    return [
        *needs,
        *(Need("kms:Decrypt", need.resource, need.keys, {}) for need in needs if "kms:" in need.action),
    ]


def _copy(request: ApiRequest) -> list[Need]:
    """Return what copying needs: to read the one and to write the other."""
    source = request.get("CopySource") or ""
    path, _, version = str(source).partition("?versionId=")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    action = "s3:GetObjectVersion" if version else "s3:GetObject"
    read = Need(action, f"arn:{request.partition}:s3:::{bucket}/{key}", _keys(request))
    return [read, *_decrypt(request, bucket, key, version or None), *_put(request)]


def _delete(request: ApiRequest) -> list[Need]:
    return [*_needs("DeleteObject", request), *_bypass(request, _object(request)[0])]


def _delete_many(request: ApiRequest) -> list[Need]:
    found = []
    for each in request.get("Delete.Objects") or []:
        resource = f"{bucket(request)[0]}/{each.get('Key')}"
        action = "DeleteObjectVersion" if each.get("VersionId") else "DeleteObject"
        found += [Need(f"s3:{action}", resource, _keys(request)), *_bypass(request, resource)]
    return found


def _retain(request: ApiRequest) -> list[Need]:
    resource = _object(request)[0]
    return [Need("s3:PutObjectRetention", resource, _keys(request)), *_bypass(request, resource)]


def _bypass(request: ApiRequest, resource: str) -> list[Need]:
    asked = str(request.get("BypassGovernanceRetention") or "").lower() == "true"
    return [Need("s3:BypassGovernanceRetention", resource, _keys(request))] if asked else []


def _decrypt(request: ApiRequest, bucket: str, key: str, version: str | None) -> list[Need]:
    """Return the use of the key that the object was encrypted with."""
    found = _find(request, bucket)
    stored = found and s3_backends[found.account_id][found.partition].get_object(bucket, key, version)
    if not stored or stored.encryption != "aws:kms" or not stored.kms_key_id:
        return []
    return _use(request, bucket, key, stored.kms_key_id, ("Decrypt",))


def _encrypt(request: ApiRequest) -> list[Need]:
    """Return the use of the key that the object will be encrypted with: the call's, else the bucket's."""
    bucket, key = str(request.get("Bucket")), str(request.get("Key"))
    found = _find(request, bucket)
    rule = (found.encryption or {}).get("Rule", {}) if found else {}
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    algorithm = request.get("ServerSideEncryption") or default.get("SSEAlgorithm")
    key_id = request.get("SSEKMSKeyId") or default.get("KMSMasterKeyID")
    if algorithm != "aws:kms" or not key_id:
        return []
    return _use(request, bucket, key, key_id, ("GenerateDataKey",))


def _use(request: ApiRequest, bucket: str, key: str, key_id: str, actions: Sequence[str]) -> list[Need]:
    found = _find(request, bucket)
    whole = bool(found and (found.encryption or {}).get("Rule", {}).get("BucketKeyEnabled") in (True, "true"))
    arn = f"arn:{request.partition}:s3:::{bucket}" + ("" if whole else f"/{key}")
    return use_of_key(request, key_id, actions, via="s3", encryption_context={"aws:s3:arn": arn})


def _find(request: ApiRequest, name: str) -> Any | None:
    """Return moto's bucket, whoever owns it."""
    for account in list(s3_backends.values()):
        if (bucket := account[request.partition].buckets.get(name)) is not None:
            return bucket
    return None


def _keys(request: ApiRequest) -> Keys:
    """Return S3's own condition keys of a call."""
    given = {
        "s3:prefix": request.get("Prefix"),
        "s3:delimiter": request.get("Delimiter"),
        "s3:max-keys": request.get("MaxKeys"),
        "s3:VersionId": request.get("VersionId"),
        "s3:if-match": request.get("IfMatch"),
        "s3:if-none-match": request.get("IfNoneMatch"),
        "s3:x-amz-acl": request.get("ACL"),
        "s3:x-amz-server-side-encryption": request.get("ServerSideEncryption"),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": request.get("SSEKMSKeyId"),
        "s3:x-amz-storage-class": request.get("StorageClass"),
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        "s3:TlsVersion": "1.3",
    }
    tags = parse_qs(str(request.get("Tagging") or ""), keep_blank_values=True)
    return {
        **{name: [str(value)] for name, value in given.items() if value is not None},
        **({"s3:RequestObjectTagKeys": list(tags)} if tags else {}),
        **{f"s3:RequestObjectTag/{key}": values for key, values in tags.items()},
    }


def _listing(action: str) -> Rule:
    return Rule(bucket, (action,))


def _only(more: Any) -> Rule:
    return Rule(lambda _: [], more=more)


def _object_rules() -> dict[str, Rule]:
    """Return the rules of what belongs to an object and follows its versions."""
    found = {}
    for verb in ("Get", "Put", "Delete"):
        for what in ("Tagging", "Acl"):
            action = f"{verb}Object{what}"
            found[action] = _only(lambda request, action=action: _needs(action, request))
    return found


S3 = Service(
    "s3",
    {
        **SETTINGS,
        **_object_rules(),
        "ListBuckets": Rule(anything, ("ListAllMyBuckets",)),
        "HeadBucket": _listing("ListBucket"),
        "ListObjects": _listing("ListBucket"),
        "ListObjectsV2": _listing("ListBucket"),
        "ListObjectVersions": _listing("ListBucketVersions"),
        "ListMultipartUploads": _listing("ListBucketMultipartUploads"),
        "GetObject": _only(_get),
        "HeadObject": _only(_get),
        "GetObjectAttributes": _only(_attributes),
        "PutObject": _only(_put),
        "CreateMultipartUpload": _only(_put),
        "UploadPart": _only(_part),
        "CompleteMultipartUpload": _only(_part),
        "UploadPartCopy": _only(_copy),
        "CopyObject": _only(_copy),
        "AbortMultipartUpload": Rule(_object),
        "ListParts": Rule(_object, ("ListMultipartUploadParts",)),
        "DeleteObject": _only(_delete),
        "DeleteObjects": _only(_delete_many),
        "PutObjectRetention": _only(_retain),
        **{
            name: Rule(_object) for name in ("GetObjectRetention", "GetObjectLegalHold", "PutObjectLegalHold")
        },
        "RestoreObject": Rule(_object),
    },
    default=Rule(bucket),
    keys=_keys,
)
"""Every other action (CreateBucket, PutBucketPolicy) is about the bucket and named as the API's."""

MISSING = Rule(bucket, ("ListBucket",))
"""What it takes to be told that an object does not exist; without it S3 answers 403 and not 404."""
