"""Tags that everything in the cloud carries: who it belongs to, and until when it may stand."""

from __future__ import annotations

from stacks import naming
from stacks.account import AccountSpec
from stacks.environment import EnvironmentSpec


def environment_tags(spec: EnvironmentSpec, stack: str) -> dict[str, str]:
    """Return the tags of everything in one stack of an environment."""
    return {
        naming.TAG_TEAM: spec.team,
        naming.TAG_ENVIRONMENT: spec.name,
        naming.TAG_OWNER: spec.owner,
        naming.TAG_STACK: stack,
        naming.TAG_LEASE_ENDS: spec.lease_ends.isoformat(),
    }


def account_tags(account: AccountSpec) -> dict[str, str]:
    """Return the tags of the account stack, which is the whole organization's and has no end.

    No environment can be named `account`, because its file would be the account's.
    """
    return {
        naming.TAG_TEAM: account.organization,
        naming.TAG_ENVIRONMENT: naming.ACCOUNT_STACK,
        naming.TAG_OWNER: account.organization,
        naming.TAG_STACK: naming.ACCOUNT_STACK,
        naming.TAG_LEASE_ENDS: "never",
    }
