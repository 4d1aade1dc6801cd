"""What calls of the Key Management Service need, and what another service needs of a key on one's behalf.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moto.kms.models import kms_backends

from sandbox.iam.needs import Keys, Need, Rule, Service, anything, nothing, rules
from sandbox.iam.requests import ApiRequest

_KEY_ID_LENGTH = 36
"""moto's ciphertexts begin with the id of their key."""


def key_arn(request: ApiRequest, key: str) -> str:
    """Return the ARN of a key given by its id, its alias or the ARN of either."""
    if key.startswith("arn:") and ":alias/" not in key:
        return key
    region = key.split(":")[3] if key.startswith("arn:") else request.region
    backend = kms_backends[request.account][region]
    name = backend.get_alias_name(key)
    if name.startswith("alias/") and backend.get_key_id_from_alias(name) is None:
        return request.arn("kms", name, region=region)
    return request.arn("kms", f"key/{backend.any_id_to_key_id(key)}", region=region)


def use_of_key(
    request: ApiRequest, key: str, actions: Sequence[str], *, via: str, encryption_context: Mapping[str, str]
) -> list[Need]:
    """Return the needs of a call whose service uses the key on the caller's behalf and with their rights.

    AWS's own keys (`alias/aws/ssm`) need none: their policies let everybody in the account use them this way.
    """
    if key.startswith("alias/aws/") or ":alias/aws/" in key:
        return []
    keys: Keys = {
        "kms:ViaService": [f"{via}.{request.region}.amazonaws.com"],
        "kms:CallerAccount": [request.account],
        "kms:EncryptionContextKeys": list(encryption_context),
        **{f"kms:EncryptionContext:{name}": [value] for name, value in encryption_context.items()},
        "aws:ViaAWSService": ["true"],
    }
    return [Need(f"kms:{action}", key_arn(request, key), keys, {}) for action in actions]


def _key(request: ApiRequest) -> Sequence[str]:
    """Return the key that is named, or the one that a ciphertext was made with."""
    keys = request.all("KeyId") or request.all("TargetKeyId")
    blob = request.get("CiphertextBlob")
    if not keys and isinstance(blob, bytes) and len(blob) > _KEY_ID_LENGTH:
        keys = [blob[:_KEY_ID_LENGTH].decode("ascii", "replace")]
    return [key_arn(request, key) for key in keys] or ["*"]


def _re_encryption(request: ApiRequest) -> Sequence[Need]:
    """Return what ReEncrypt needs: to read with the one key and to write with the other."""
    source = request.all("SourceKeyId")
    read = [key_arn(request, key) for key in source] or _key(request)
    written = [key_arn(request, key) for key in request.all("DestinationKeyId")]
    keys = _keys(request)
    return [
        *(Need("kms:ReEncryptFrom", arn, keys) for arn in read),
        *(Need("kms:ReEncryptTo", arn, keys) for arn in written),
    ]


def _alias_and_key(request: ApiRequest) -> Sequence[str]:
    """Return both resources of an action on an alias: the alias and the key behind it."""
    alias = request.all("AliasName")
    keys = request.all("TargetKeyId") or alias
    return [*(request.arn("kms", name) for name in alias), *(key_arn(request, key) for key in keys)]


def _keys(request: ApiRequest) -> Keys:
    context = request.get("EncryptionContext") or {}
    return {
        "kms:CallerAccount": [request.account],
        "kms:ResourceAliases": _aliases(request),
        **{f"kms:EncryptionContext:{name}": [str(value)] for name, value in context.items()},
    }


def _aliases(request: ApiRequest) -> Sequence[str]:
    """Return the aliases of the keys that the call names."""
    keys = kms_backends[request.account][request.region].keys
    ids = {arn.rpartition("/")[2] for arn in _key(request)}
    return [alias for key_id in sorted(ids & set(keys)) for alias in keys[key_id].aliases]


KMS = Service(
    "kms",
    {
        **rules(anything, "ListKeys", "ListAliases", "GenerateRandom", "CreateKey"),
        **rules(_alias_and_key, "CreateAlias", "DeleteAlias", "UpdateAlias"),
        "ReEncrypt": Rule(nothing, more=_re_encryption),
    },
    default=Rule(_key),
    keys=_keys,
)
"""Every other action is about the key that it names."""
