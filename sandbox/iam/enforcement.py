"""Every call held against the policies of who makes it; the keys of `sandbox env` are the root user's.

The root user's calls are not evaluated at all: they are the most, and nothing limits them. AssumeRole is, for
whom a role trusts is its own to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

from sandbox.calls import Call
from sandbox.iam.callers import Caller, ExpiredKeyError, UnknownKeyError, caller_of, policies_of
from sandbox.iam.context import NeedContext, caller_keys
from sandbox.iam.decisions import DECISIONS
from sandbox.iam.evaluation import Access, Decision, Policies, decide
from sandbox.iam.needs import Keys, Need
from sandbox.iam.policy import PolicyError
from sandbox.iam.refusals import Refusal, denied, expired_key, unknown_key, unsigned
from sandbox.iam.requests import ApiRequest, read_request
from sandbox.iam.services.s3 import MISSING
from sandbox.iam.stores import policy_of
from sandbox.iam.tables import needs_of
from sandbox.variables import ACCESS_KEY

_MOTOS_OWN = ("/moto-api", "/latest/meta-data/", "/latest/api/")
"""Paths at which moto lets anybody reset it, or hands out keys of its own."""
_MAY_BE_MISSING = ("GetObject", "HeadObject")


class Authority:
    """Decides over calls; asked while no other call is answered."""

    def refuse(self, environ: dict[str, Any], call: Call) -> Refusal | None:
        """Return why the call is refused, None where it may go on."""
        if call.access_key == ACCESS_KEY and call.action != "AssumeRole":
            return None
        environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)  # moto would act in that account
        if environ.get("PATH_INFO", "").startswith(_MOTOS_OWN):
            return unsigned(call.service)
        try:
            caller = caller_of(call.access_key, call.token)
        except UnknownKeyError:
            return unknown_key(call.service)
        except ExpiredKeyError:
            return expired_key(call.service)
        if caller.principal.is_anonymous and call.service != "s3":
            return unsigned(call.service)
        request = read_request(environ, call, caller.principal.account or DEFAULT_ACCOUNT_ID)
        return self._refuse(caller, request, needs_of(request))

    def refuse_missing(self, environ: dict[str, Any], call: Call) -> Refusal | None:
        """Return why the caller may not be told that an object does not exist, None where they may."""
        if call.service != "s3" or call.action not in _MAY_BE_MISSING or call.access_key == ACCESS_KEY:
            return None
        try:
            caller = caller_of(call.access_key, call.token)
        except (UnknownKeyError, ExpiredKeyError):  # it ended meanwhile
            return unknown_key(call.service)
        request = read_request(environ, call, caller.principal.account or DEFAULT_ACCOUNT_ID)
        needs = [Need(f"s3:{MISSING.actions[0]}", arn) for arn in MISSING.resources(request)]
        return self._refuse(caller, request, needs)

    def _refuse(self, caller: Caller, request: ApiRequest, needs: Sequence[Need]) -> Refusal | None:
        common = caller_keys(caller, request)
        try:
            policies = policies_of(caller)
            for need in needs:
                access, decision = _decide(caller, request, need, common, policies)
                DECISIONS.keep(access, decision)
                if not decision.allowed:
                    return denied(request.service, access, decision)
        except PolicyError as error:
            return Refusal("AccessDenied", f"a policy of the caller or of the resource is none: {error}", 403)
        return None


def _decide(
    caller: Caller, request: ApiRequest, need: Need, common: Keys, policies: Policies
) -> tuple[Access, Decision]:
    """Return the decision over one need."""
    keys = dict(need.keys)
    for key, checked in need.checks.items():
        _, decision = _decide(caller, request, checked, common, policies)
        keys[key] = ["true" if decision.allowed else "false"]
    access = Access(
        principal=caller.principal,
        action=need.action,
        resource=need.resource,
        context=NeedContext(common, request, replace(need, keys=keys)),
        resource_policy=_resource_policy(need),
        resource_account=_account_of(need.resource),
        only_resource_policy=_only_resource_policy(need),
    )
    return access, decide(access, policies)


def _only_resource_policy(need: Need) -> bool:
    """Return whether the resource's own policy must allow the need, or hand it to the account."""
    is_key = need.resource.startswith("arn:") and ":kms:" in need.resource and ":key/" in need.resource
    return is_key or (need.action.startswith("sts:") and need.resource != "*")


def _resource_policy(need: Need) -> Any:
    """Return the policy that the resource has; a role's says who may assume it, and nothing else."""
    if ":iam:" in need.resource and not need.action.startswith("sts:"):
        return None
    return policy_of(need.resource)


def _account_of(arn: str) -> str:
    """Return the account in an ARN; "" where there is none (S3's ARNs, AWS's documents, `*`)."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else ""
