"""The condition keys of one need: about the caller, the call, and the resource.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html. What a call over
loopback cannot have is absent (`aws:SourceVpc`, `aws:SourceVpce`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sandbox.iam.callers import Caller
from sandbox.iam.needs import Keys, Need
from sandbox.iam.requests import ApiRequest, tag_keys_in, tags_in
from sandbox.iam.stores import tags_of
from sandbox.variables import LOOPBACK


def caller_keys(caller: Caller, request: ApiRequest) -> Keys:
    """Return the keys that are the same for every need of a call."""
    now, principal = datetime.now(UTC), caller.principal
    given = {
        "aws:CurrentTime": _iso(now),
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:PrincipalAccount": principal.account,
        "aws:PrincipalArn": principal.role_arn or principal.arn,
        "aws:PrincipalIsAWSService": "true" if principal.service else "false",
        "aws:PrincipalType": caller.kind,
        "aws:RequestedRegion": request.region,
        # The endpoint stands for one with TLS; only the loopback interface carries the call.
        "aws:SecureTransport": "true",
        "aws:SourceIdentity": caller.source_identity,
        "aws:SourceIp": LOOPBACK,
        "aws:UserAgent": request.headers.get("user-agent", ""),
        "aws:ViaAWSService": "false",
        "aws:userid": caller.user_id,
        "aws:username": caller.username,
    }
    keys: dict[str, Sequence[str]] = {name: [value] for name, value in given.items() if value}
    if caller.issued is not None:
        keys["aws:TokenIssueTime"] = [_iso(caller.issued)]
        keys["aws:MultiFactorAuthPresent"] = ["false"]
    if caller.session is not None and caller.session.service == "ec2.amazonaws.com":
        keys["ec2:SourceInstanceARN"] = [request.arn("ec2", f"instance/{caller.session.name}")]
    return keys | {f"aws:PrincipalTag/{key}": [value] for key, value in caller.tags.items()}


class NeedContext(Mapping[str, Sequence[str]]):
    """The keys of one need, in lower case; the resource's tags are looked up when a policy asks for them."""

    def __init__(self, common: Keys, request: ApiRequest, need: Need) -> None:
        tags = tags_in(request.params) if need.tags is None else need.tags
        names = tag_keys_in(request.params) if need.tags is None else list(tags)
        given = {
            **common,
            **({"aws:TagKeys": names} if names else {}),
            **{f"aws:RequestTag/{key}": [value] for key, value in tags.items()},
            **need.keys,
        }
        self._keys = {name.lower(): list(values) for name, values in given.items()}
        self._resource = need.resource
        self._prefix = f"{need.action.split(':', 1)[0]}:resourcetag/"
        self._keys.setdefault("aws:resourceaccount", [request.account])
        self._has_tags = False

    def __getitem__(self, key: str) -> Sequence[str]:
        """Return a key's values; raises KeyError for one that is absent."""
        if not self._has_tags and key.startswith(("aws:resourcetag/", self._prefix)):
            self._has_tags = True
            for name, value in tags_of(self._resource).items():
                for prefix in ("aws:resourcetag/", self._prefix):
                    self._keys.setdefault(f"{prefix}{name}".lower(), [value])
        return self._keys[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys that are known without looking up the resource's tags."""
        return iter(self._keys)

    def __len__(self) -> int:
        """Return how many keys are known without looking up the resource's tags."""
        return len(self._keys)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
