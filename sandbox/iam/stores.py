"""What moto's stores know of a resource: its tags and its policy, found by its ARN.

Called while no other call is answered, because the stores change in several steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.backends import get_backend

from sandbox.iam.policy import Policy, parse_policy
from sandbox.store import store

_BACKENDS = {"elasticfilesystem": "efs"}
"""moto's names of backends that differ from the service's name in an ARN."""
_SCANNED = frozenset(
    ("cloudwatch", "elasticfilesystem", "kms", "lambda", "logs", "secretsmanager", "sns", "sqs", "ssm")
)
"""Services whose backend lists its resources with their tags."""
_IAM_KINDS = {
    "role": "roles",
    "user": "users",
    "policy": "managed_policies",
    "instance-profile": "instance_profiles",
}


def backend_of(arn: str) -> Any:
    """Return moto's backend of the resource's service, account and region."""
    _, partition, service, region, account, _ = arn.split(":", 5)
    return get_backend(_BACKENDS.get(service, service))[account][region or partition]


def tags_of(arn: str) -> Mapping[str, str]:
    """Return the tags of a resource; none for one that does not exist, or whose service has no tags here."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or "*" in parts[5] or not parts[4].isdigit():
        return {}
    service = parts[2]
    if service == "ssm" and parts[5].startswith("session/"):
        sessions = store(backend_of(arn), "node_sessions")
        return dict(sessions.get(parts[5].removeprefix("session/"), {}).get("Tags", {}))
    if service in _SCANNED:
        wanted = arn.split(":log-stream:")[0].removesuffix(":*")
        return next((each.tags for each in backend_of(arn).iter_tagged_resources() if each.arn == wanted), {})
    return _TAGS[service](backend_of(arn), parts[5]) if service in _TAGS else {}


def policy_of(arn: str) -> Policy | None:
    """Return the policy of a bucket (also for its objects), key, queue, topic, secret, function or role."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] not in _POLICIES:
        return None
    text = _POLICIES[parts[2]](arn)
    return parse_policy(text, f"the policy of {arn}") if text else None


def _ec2_tags(backend: Any, resource: str) -> Mapping[str, str]:
    kind, _, name = resource.partition("/")
    if kind == "placement-group":
        name = store(backend, "placement_groups").get(name, {}).get("GroupId", "")
    tags: Mapping[str, str] = backend.tags.get(name, {})
    return tags


def _iam_tags(backend: Any, resource: str) -> Mapping[str, str]:
    kind, _, path = resource.partition("/")
    found = getattr(backend, _IAM_KINDS.get(kind, ""), {}).values()
    one = next((each for each in found if each.arn.endswith(f":{kind}/{path}")), None)
    tags = (one.tags if one is not None else None) or []
    listed = tags.values() if isinstance(tags, dict) else tags
    return {tag["Key"]: tag["Value"] for tag in listed}


def _group_tags(backend: Any, resource: str) -> Mapping[str, str]:
    group = backend.autoscaling_groups.get(resource.rsplit("/", 1)[-1])
    return {tag["Key"]: tag["Value"] for tag in group.tags} if group else {}


def _tagged(backend: Any, resource: str, service: str) -> Mapping[str, str]:
    """Return the tags that a backend keeps in moto's own tagging service, by the ARN."""
    arn = f"arn:{backend.partition}:{service}:{backend.region_name}:{backend.account_id}:{resource}"
    service_tags = getattr(backend, "tagger", None) or backend.tagging_service
    tags: Mapping[str, str] = service_tags.get_tag_dict_for_resource(arn)
    return tags


def _by_arn(service: str) -> Callable[[Any, str], Mapping[str, str]]:
    return lambda backend, resource: _tagged(backend, resource, service)


_TAGS: Mapping[str, Callable[[Any, str], Mapping[str, str]]] = {
    "ec2": _ec2_tags,
    "iam": _iam_tags,
    "autoscaling": _group_tags,
    "events": _by_arn("events"),
    "fsx": _by_arn("fsx"),
    "scheduler": _by_arn("scheduler"),
    "cloudtrail": _by_arn("cloudtrail"),
}


def _bucket_policy(arn: str) -> str | None:
    name = arn.split(":::", 1)[-1].split("/", 1)[0]
    bucket = next(
        (found[name] for found in _all("s3", "buckets") if name in found),
        None,
    )
    return bucket.policy.decode() if bucket is not None and bucket.policy else None


def _all(service: str, collection: str) -> list[Any]:
    """Return the collection of a global service's backend of every account."""
    return [
        getattr(backend, collection)
        for account in list(get_backend(service).values())
        for backend in list(account.values())
    ]


def _key_policy(arn: str) -> str | None:
    key = backend_of(arn).keys.get(arn.rsplit("/", 1)[-1])
    return key.policy if key is not None else None


def _queue_policy(arn: str) -> str | None:
    queue = backend_of(arn).queues.get(arn.rsplit(":", 1)[-1])
    return queue.policy if queue is not None else None


def _topic_policy(arn: str) -> str | None:
    topic = backend_of(arn).topics.get(arn)
    return topic.policy if topic is not None else None


def _secret_policy(arn: str) -> str | None:
    return next((each.policy for each in backend_of(arn).secrets.values() if each.arn == arn), None)


def _function_policy(arn: str) -> str | None:
    functions = backend_of(arn).list_functions()
    found = next((each.policy for each in functions if each.function_arn == arn), None)
    return json.dumps(found.get_policy()["Policy"]) if found is not None and found.statements else None


def _trust_policy(arn: str) -> str | None:
    _, _, kind = arn.rpartition(":")
    if not kind.startswith("role/"):
        return None
    # A list, because services ask for their roles while other calls are answered.
    found = next((each for each in list(backend_of(arn).roles.values()) if each.arn == arn), None)
    return found.assume_role_policy_document if found is not None else None


_POLICIES: Mapping[str, Callable[[str], str | None]] = {
    "s3": _bucket_policy,
    "kms": _key_policy,
    "sqs": _queue_policy,
    "sns": _topic_policy,
    "secretsmanager": _secret_policy,
    "lambda": _function_policy,
    "iam": _trust_policy,
}
