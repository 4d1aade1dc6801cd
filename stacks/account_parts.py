"""What the parts of the account stack are made from, and what they find of each other."""

from __future__ import annotations

from dataclasses import dataclass

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import kms
from stacks.aws.layer import Ref
from stacks.cdk import Stack
from stacks.place import Place


@dataclass(frozen=True, kw_only=True)
class AccountParts:
    """The account stack in the making."""

    stack: Stack
    account: AccountSpec
    place: Place
    key: kms.KmsKey
    """The audit key: of the trail, the log groups, the sessions and the alerts."""
    ledger_key: kms.KmsKey
    """The key that signs the checkpoints of the ledger."""

    def named(self, name: str) -> str:
        """Return the name in the cloud of one of the account's things, `acme-ai-fleetform-trail`."""
        return naming.account_name(self.account.organization, name)

    @property
    def audit_bucket(self) -> str:
        """Name of the locked bucket of ledger, trail and transcripts."""
        return naming.ledger_bucket(self.account.organization, self.account.region)

    @property
    def trail_arn(self) -> str:
        """ARN of the trail, known before it is made: its key and its bucket admit it alone."""
        return self.place.arn("cloudtrail", f"trail/{self.named(naming.TRAIL)}")

    @property
    def topic_arn(self) -> Ref:
        """ARN of the topic of alerts; a reference, so that what publishes to it is made after it."""
        return Ref("${aws_sns_topic.alerts.arn}")
