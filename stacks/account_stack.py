"""The account stack: the buckets of the Terraform state and of the ledger, which no teardown reaches."""

from __future__ import annotations

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import s3
from stacks.buckets import private_bucket
from stacks.cdk import Stack


def fill_account_stack(stack: Stack, account: AccountSpec) -> None:
    """Add the account's resources to the stack.

    Both buckets must exist before Terraform can run and before the first act is recorded, so they are made
    bare over the API; here they are taken over and hardened.
    """
    state_name = naming.state_bucket(account.organization, account.region)
    ledger_name = naming.ledger_bucket(account.organization, account.region)
    state = private_bucket(stack, "state", state_name, lasting=True)
    ledger = private_bucket(stack, "ledger", ledger_name, object_lock=True, lasting=True)
    s3.S3BucketObjectLockConfiguration(
        stack,
        "ledger",
        bucket=ledger.id,
        rule={
            "default_retention": {
                "mode": account.ledger.retention_mode.upper(),
                "days": account.ledger.retention_days,
            }
        },
    )
    stack.take_over(state.address, state_name)
    stack.take_over(ledger.address, ledger_name)
    stack.output("state_bucket", state.bucket, "Bucket of every stack's Terraform state")
    stack.output("ledger_bucket", ledger.bucket, "Write-once bucket of the ledger")
