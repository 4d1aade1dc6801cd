"""The account stack: the state, the record and what guards it, which no teardown reaches."""

from __future__ import annotations

from stacks.account import AccountSpec
from stacks.account_parts import AccountParts
from stacks.alarms import add_alarms, add_topic
from stacks.audit_buckets import add_audit_buckets
from stacks.audit_key import add_audit_key
from stacks.cdk import Stack
from stacks.entry_policy import add_entry_policy
from stacks.place import find_place
from stacks.reaper import add_reaper
from stacks.session_document import add_session_document
from stacks.trail import add_trail


def fill_account_stack(stack: Stack, account: AccountSpec) -> None:
    """Add the account's resources to the stack."""
    place = find_place(stack, account.region)
    key = add_audit_key(stack, account, place)
    parts = AccountParts(stack=stack, account=account, place=place, key=key)
    add_audit_buckets(parts)
    add_topic(parts)
    add_session_document(parts)
    add_entry_policy(parts)
    trail_group = add_trail(parts)
    if trail_group is not None:
        add_alarms(parts, trail_group)
    add_reaper(parts)
