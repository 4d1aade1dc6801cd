"""Guardrails that must ask the cloud: every finding at once, before Terraform changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleet.preflights.addresses import subnets_hold_max_nodes, subnets_hold_the_nodes
from fleet.preflights.case import LiveCase, LiveRule, NotAskedError
from fleet.preflights.images import images_are_supported, images_are_there, images_suit_their_machines
from fleet.preflights.network_quotas import quota_holds_the_nat_addresses, quota_holds_the_vpc
from fleet.preflights.networks import (
    block_is_no_other_environments,
    block_is_no_other_vpcs,
    machines_reach_what_they_need,
    subnets_are_private,
    subnets_are_usable,
    vpc_is_there,
    way_out_is_there,
)
from fleet.preflights.packages import machines_can_install_slurm
from fleet.preflights.places import types_are_offered, types_are_offered_everywhere, zones_are_there
from fleet.preflights.quotas import quota_holds_max_nodes, quota_holds_the_nodes
from fleet.preflights.reservations import (
    reservations_are_free,
    reservations_fit,
    reservations_stand,
    reservations_stand_for_later,
)
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report
from stacks.problems import Problem, UserError

LIVE_ERRORS: tuple[LiveRule, ...] = (
    quota_holds_the_nodes,
    quota_holds_the_vpc,
    quota_holds_the_nat_addresses,
    zones_are_there,
    types_are_offered,
    reservations_fit,
    reservations_stand,
    block_is_no_other_environments,
    vpc_is_there,
    subnets_are_usable,
    subnets_are_private,
    machines_reach_what_they_need,
    way_out_is_there,
    subnets_hold_the_nodes,
    images_are_there,
    images_suit_their_machines,
)
"""Rules whose findings stop every act that builds."""
LIVE_WARNINGS: tuple[LiveRule, ...] = (
    quota_holds_max_nodes,
    types_are_offered_everywhere,
    reservations_are_free,
    reservations_stand_for_later,
    block_is_no_other_vpcs,
    subnets_hold_max_nodes,
    images_are_supported,
    machines_can_install_slurm,
)
"""Rules whose findings are told, and stop nothing."""
_AT_ONCE = 8
"""Questions under way at a time."""


@dataclass(frozen=True)
class Findings:
    """What the live rules found."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    """What stops nothing, and each question that could not be asked."""


def preflight(session: Session) -> Findings:
    """Hold the environment against the cloud, all rules side by side; changes nothing.

    A question that the cloud refuses is a warning that says what was not looked at. Raises UserError where
    the cloud does not answer at all.
    """
    assert session.caller, "the cloud has answered"
    return check(LiveCase(session.cloud, session.account, session.spec))


def require_preflight(session: Session, report: Report) -> None:
    """Tell the warnings of `preflight`. Raises UserError with every error."""
    found = preflight(session)
    for warning in found.warnings:
        report(ProgressEvent(kind="warning", stack="", text=str(warning)))
    if found.errors:
        raise UserError(found.errors)


def check(case: LiveCase) -> Findings:
    """Run every rule on the case."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        errors = list(pool.map(lambda rule: _run(case, rule), LIVE_ERRORS))
        warnings = list(pool.map(lambda rule: _run(case, rule), LIVE_WARNINGS))
    refused = {str(each): each for _, unasked in (*errors, *warnings) for each in unasked}
    return Findings(
        errors=tuple(problem for found, _ in errors for problem in found),
        warnings=(
            *(problem for found, _ in warnings for problem in found),
            *(_not_asked(case, refused[text]) for text in sorted(refused)),
        ),
    )


def _run(case: LiveCase, rule: LiveRule) -> tuple[list[Problem], list[NotAskedError]]:
    """Return what one rule finds, and the question that kept it from finding more."""
    found: list[Problem] = []
    unasked: Sequence[NotAskedError] = ()
    try:
        for problem in rule(case):
            found.append(problem)
    except NotAskedError as error:
        unasked = (error,)
    return found, list(unasked)


def _not_asked(case: LiveCase, error: NotAskedError) -> Problem:
    return Problem(
        path=case.spec.region,
        what=f"{error}, so nothing that depends on it was checked",
        do=f"allow {error.action} to whoever builds, or see to it yourself before you build",
    )
