"""AccountSpec: what all environments of a company share, as `environments/account.toml` says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from stacks.fields import Spec, setting
from stacks.spec_file import load_spec

ACCOUNT_FILE = "account.toml"
"""The account's file among the environments' files."""


class LedgerSpec(Spec):
    """The write-once record of every act."""

    retention_days: Annotated[
        int,
        setting(
            "Days that an entry of the ledger can be neither changed nor deleted",
            unit="days",
            change="free",
            why="entries keep the retention that they were written with",
            ge=1,
            le=36500,
        ),
    ] = 365
    retention_mode: Annotated[
        Literal["governance", "compliance"],
        setting(
            "Who may lift the retention: `governance` a principal with that permission, `compliance` nobody",
            unit="",
            change="free",
            why="entries keep the mode that they were written with",
        ),
    ] = "governance"


class LimitsSpec(Spec):
    """What an environment may ask for at most."""

    max_nodes_per_environment: Annotated[
        int,
        setting(
            "Most nodes that the fleets of one environment may grow to, together",
            unit="nodes",
            change="free",
            ge=1,
        ),
    ] = 16


class AccountSpec(Spec):
    """What the whole account shares."""

    organization: Annotated[
        str,
        setting(
            "Prefix of every bucket's name; these are unique in the whole world, so take the company's own",
            unit="",
            change="refused",
            why="buckets cannot be renamed",
            form="3 to 20 lowercase letters, digits and hyphens, a letter first",
            pattern=r"^[a-z][a-z0-9-]{2,19}$",
        ),
    ]
    region: Annotated[
        str,
        setting(
            "AWS region of the Terraform state and the ledger",
            unit="",
            change="refused",
            why="buckets cannot move between regions",
            form="an AWS region such as `eu-central-1`",
            pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        ),
    ]
    ledger: Annotated[LedgerSpec, setting("The ledger", unit="", change="free")] = LedgerSpec()
    limits: Annotated[LimitsSpec, setting("Limits on every environment", unit="", change="free")] = (
        LimitsSpec()
    )


def load_account(environments_dir: Path) -> AccountSpec:
    """Read the account's file from the folder. Raises UserError with every problem that the file has."""
    return load_spec(AccountSpec, environments_dir / ACCOUNT_FILE)
