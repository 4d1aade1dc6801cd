"""Actions of AWS Budgets, and who carries them out: with the action's own role, through the API."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from sandbox.iam.credentials import RoleRefusedError, credentials_for_role
from sandbox.parts import Parts

_REGION = "us-east-1"
"""Where the services that belong to no region are asked."""


@dataclass
class BudgetAction:
    """One action of a budget."""

    id: str
    account: str
    fields: dict[str, Any]
    """As they were given, by the names of the API reference."""
    status: str = "STANDBY"
    error: str = ""
    """Why it failed, for `/_sandbox/budget`."""

    @property
    def arn(self) -> str:
        """The action's ARN."""
        return f"arn:aws:budgets::{self.account}:budget/{self.fields['BudgetName']}/action/{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the shape `Action`."""
        return {**self.fields, "ActionId": self.id, "Status": self.status}

    def is_due(self, usd: float, limit: float) -> bool:
        """Return whether a bill of `usd` passes its threshold, and it has not acted yet."""
        threshold = self.fields["ActionThreshold"]
        value = float(threshold["ActionThresholdValue"])
        most = limit * value / 100 if threshold["ActionThresholdType"] == "PERCENTAGE" else value
        return self.status == "STANDBY" and self.fields["NotificationType"] == "ACTUAL" and usd > most


class Actor:
    """Attaches policies to roles, and takes them off again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.turn = parts.turn

    def bill(self, actions: Sequence[BudgetAction], usd: float, limit: float) -> None:
        """Have done what is due at a bill of `usd`; what asks for approval waits for it."""
        due = [each for each in actions if each.is_due(usd, limit)]
        for each in due:
            each.status = "PENDING"
            if each.fields["ApprovalModel"] == "AUTOMATIC":
                self.act(each, back=False)

    def begin(self, action: BudgetAction, *, back: bool) -> None:
        """Act in the background: the call that asks for it is answered first."""
        action.status = "REVERSE_IN_PROGRESS" if back else "EXECUTION_IN_PROGRESS"
        threading.Thread(target=self.act, args=(action,), kwargs={"back": back}, daemon=True).start()

    def act(self, action: BudgetAction, *, back: bool) -> None:
        """Attach the policy to the action's roles, or take it `back`; the status tells how that went."""
        done = "REVERSE" if back else "EXECUTION"
        given = action.fields["Definition"]["IamActionDefinition"]
        try:
            with self.turn:
                keys = credentials_for_role(
                    action.fields["ExecutionRoleArn"],
                    "AWSBudgets",
                    "budgets",
                    source_arn=action.arn.partition("/action/")[0],
                )
            iam = self._client(*keys)
            change = iam.detach_role_policy if back else iam.attach_role_policy
            for role in given.get("Roles", ()):
                change(RoleName=role, PolicyArn=given["PolicyArn"])
        except (RoleRefusedError, ClientError) as error:
            action.status, action.error = f"{done}_FAILURE", str(error)
            return
        action.status, action.error = f"{done}_SUCCESS", ""

    def _client(self, access_key: str, secret_key: str, token: str) -> Any:
        return boto3.client(
            "iam",
            region_name=_REGION,
            endpoint_url=self._parts.nodes.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
        )
