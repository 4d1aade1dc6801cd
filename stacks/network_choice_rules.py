"""The guardrails on choices of an environment's network that need, exclude or overrule each other."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case, Rule
from stacks.problems import Problem


def an_existing_vpc_comes_with_subnets(case: Case) -> Iterator[Problem]:
    """An existing VPC is named together with the subnets to use in it, and its endpoints only with it."""
    network = case.spec.network
    if network.vpc_id and not network.subnet_ids:
        yield case.problem(
            "network.subnet_ids",
            f"no subnet of {network.vpc_id} is named",
            "name its private subnets, one a zone",
        )
    if network.subnet_ids and not network.vpc_id:
        yield case.problem(
            "network.vpc_id", "subnets are named, but not the VPC that they are in", "name it, or no subnets"
        )
    if network.endpoints == "existing" and not network.vpc_id:
        yield case.problem(
            "network.endpoints",
            "a VPC of the environment's own has no endpoints but those that are made",
            'set it to "made", or name the VPC in `vpc_id`',
        )


def a_closed_network_has_no_way_out(case: Case) -> Iterator[Problem]:
    """A closed network has no NAT."""
    network = case.spec.network
    if network.closed and network.reaches_out:
        yield case.problem(
            "network.nat",
            "a closed network with a way out would not be closed",
            'set it to "none", or `closed` to false',
        )


def a_closed_network_is_the_environments_own(case: Case) -> Iterator[Problem]:
    """A closed network is the environment's own: endpoints with its policies would close others out too."""
    network = case.spec.network
    if network.closed and network.vpc_id:
        yield case.problem(
            "network.closed",
            f"the policies of its endpoints would hold for everything else in {network.vpc_id}",
            "leave out `vpc_id`, or have that VPC's owner close it and set `closed` to false",
        )


def zone_count_has_an_effect(case: Case) -> Iterator[Problem]:
    """`zones` is left out where names of zones or ids of subnets say how many there are."""
    network = case.spec.network
    by = "subnet_ids" if network.subnet_ids else "zone_names" if network.zone_names else ""
    if by and "zones" in network.model_fields_set and network.zones != network.zone_count:
        yield case.problem(
            "network.zones",
            f"zones = {network.zones} has no effect: `{by}` says that there are {network.zone_count}",
            "leave it out",
        )


def flow_logs_have_an_effect(case: Case) -> Iterator[Problem]:
    """Flow logs are of the environment's own VPC, and their days are set where there are any."""
    network = case.spec.network
    if network.flow_logs != "none" and network.vpc_id:
        yield case.problem(
            "network.flow_logs",
            f"flow_logs has no effect: {network.vpc_id} is not the environment's, nor what others do in it",
            "have its owner record it, and leave this out",
        )
    if network.flow_logs == "none" and "flow_log_days" in network.model_fields_set:
        yield case.problem(
            "network.flow_log_days",
            "flow_log_days has no effect without flow logs",
            'leave it out, or set `flow_logs` to "rejected" or "all"',
        )


NETWORK_CHOICE_ERRORS: tuple[Rule, ...] = (
    an_existing_vpc_comes_with_subnets,
    a_closed_network_has_no_way_out,
    a_closed_network_is_the_environments_own,
)
NETWORK_CHOICE_WARNINGS: tuple[Rule, ...] = (zone_count_has_an_effect, flow_logs_have_an_effect)
