"""What moto looks up anew for every call, though it stays the same, is looked up once.

Seams: `TaggedEC2Resource.get_tags`, asked for each resource by every filter and every listing, which
matches the resource's id as a pattern against all tags of the region; `method_names_from_class`, which lists
all actions of a service; `DomainDispatcherApplication.get_backend_for_host`, which lists moto's own folder;
`get_account_id_from`, which makes an IAM of each partition there is, with a thousand policies of AWS in each.
A cloud with a few hundred tagged resources answers several times as fast. Drop an entry when moto keeps it.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID, responses
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.iam import models as iam
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from sandbox.parts import Parts

_HOSTS = 1024
"""Most hosts that are remembered: a region's, of each service."""


def install(parts: Parts) -> None:
    """Replace the lookups; the other extensions' actions are there before the first call is answered."""
    TaggedEC2Resource.get_tags = get_tags
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    iam.get_account_id_from = account_of
    find = DomainDispatcherApplication.get_backend_for_host
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(maxsize=_HOSTS)(find)


def get_tags(self: Any) -> list[dict[str, str]]:
    """Return the resource's own tags as `TagBackend.describe_tags` has them."""
    if not self.id:
        return []
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
    tags = self.ec2_backend.tags.get(self.id, {})
    return [
        {"resource_id": self.id, "key": key, "value": value, "resource_type": kind}
        for key, value in list(tags.items())
    ]


def account_of(access_key: str) -> str:
    """Return the account that a key was made in, moto's own one where none knows it."""
    for account, partitions in list(iam.iam_backends.items()):
        if any(access_key in each.access_keys for each in list(partitions.values())):
            return str(account)
    return str(DEFAULT_ACCOUNT_ID)
