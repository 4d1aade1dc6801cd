"""The account stack: the state, the record and what guards it, which no teardown reaches."""

from __future__ import annotations

import hashlib
import json

from stacks.account import AccountSpec
from stacks.account_parts import AccountParts
from stacks.account_people import add_account_people, add_boundary
from stacks.alarms import add_alarms, add_topic
from stacks.audit_buckets import add_audit_buckets
from stacks.audit_key import add_audit_key
from stacks.budget_net import add_over_budget
from stacks.cdk import Stack
from stacks.entry_policy import add_entry_policy
from stacks.ledger_key import add_ledger_key
from stacks.place import find_place
from stacks.reaper import add_reaper
from stacks.session_document import add_session_document
from stacks.trail import add_trail

DECLARED_OUTPUT = "declared"
"""By which `up` sees that an account that stands is not what its file says now."""


def fill_account_stack(stack: Stack, account: AccountSpec) -> None:
    """Add the account's resources to the stack, and as an output what they were made from."""
    place = find_place(stack, account.region)
    key = add_audit_key(stack, account, place)
    signing = add_ledger_key(stack, account, place)
    parts = AccountParts(stack=stack, account=account, place=place, key=key, ledger_key=signing)
    add_audit_buckets(parts)
    add_topic(parts)
    add_session_document(parts)
    add_entry_policy(parts)
    add_boundary(parts)
    add_over_budget(parts)
    add_account_people(parts)
    trail_group = add_trail(parts)
    if trail_group is not None:
        add_alarms(parts, trail_group)
    add_reaper(parts)
    stack.output(DECLARED_OUTPUT, _declared(stack, account), "Digest of what the account was declared as")


def _declared(stack: Stack, account: AccountSpec) -> str:
    """Return a digest of the account's file and of the addresses in its stack: another one means a change."""
    declared = [account.model_dump(mode="json"), sorted(stack.sources)]
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()
