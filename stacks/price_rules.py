"""The guardrails on money: what environments cost an hour, against their team's limit and their budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stacks.account import ACCOUNT_FILE, AccountSpec
from stacks.case import Case
from stacks.catalog import HOURS_PER_MONTH, load_catalog, load_other_prices
from stacks.endpoint_services import interface_services
from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec, HeadSpec
from stacks.problems import Problem, nearest
from stacks.spec_file import shown

_PATHS = {"machines": "fleets", "disks": "fleets", "fast file system": "fsx.size_gib"}
"""Where in the file the parts are asked for that somebody would lower; the others follow from the network."""


def costs_per_hour(spec: EnvironmentSpec, account_region: str, *, grown: bool = True) -> dict[str, float]:
    """Return what an environment may cost an hour in US dollars at list price, by part.

    All that costs as long as it stands, with as many nodes as may run: under Slurm any run may bring a
    fleet to its `max_nodes`, without it `nodes` run; where it is not `grown`, `nodes` run everywhere. A test
    holds it against the estimate of the synthesized stacks, which `fleetform plan` shows ("at most"). A node
    counts at its full price however it is bought, even out of a block that was paid beforehand. A type that
    the catalog lacks counts nothing: another rule refuses it. What is paid by use counts nothing either, nor
    the file systems of single runs.
    """
    machines = _machines(spec, grown=grown)
    known = load_catalog()
    prices = load_other_prices()
    network, fsx = spec.network, spec.fsx
    gateways = {"none": 0, "one": 1, "per_zone": network.zone_count}[
        network.nat if network.is_own else "none"
    ]
    gateway = prices["nat_gateway"].usd_per_hour() + prices["public_ipv4"].usd_per_hour()
    endpoints = len(interface_services(spec, account_region)) * network.zone_count
    lustre = (
        "fsx_lustre_scratch" if fsx.kind == "scratch" else f"fsx_lustre_persistent_2_ssd_{fsx.throughput}"
    )
    queued = spec.scheduler.is_slurm
    disks = sum(each.root_volume_gib for each in machines)
    return {
        "machines": sum(
            known[each.instance_type].price_usd_per_hour for each in machines if each.instance_type in known
        ),
        "disks": prices["ebs_gp3"].usd_per_hour(disks + queued * spec.scheduler.state_volume_gib),
        "fast file system": prices[lustre].usd_per_hour(fsx.size_gib) if fsx.kind != "none" else 0.0,
        "NAT": gateways * gateway,
        "endpoints": prices["interface_endpoint"].usd_per_hour(endpoints),
        "keys": prices["kms_key"].usd_per_hour() + queued * prices["secret"].usd_per_hour(),
        "budget": prices["budget_with_actions"].usd_per_hour(int(spec.budget.stops)),
    }


def _machines(spec: EnvironmentSpec, *, grown: bool) -> list[HeadSpec | FleetSpec]:
    """Return the machines that may run without anybody's changing the file, each as it is declared."""
    queued = grown and spec.scheduler.is_slurm
    nodes = {name: max(each.nodes, each.max_nodes * queued) for name, each in spec.fleets.items()}
    return [spec.head, *(fleet for name, fleet in spec.fleets.items() for _ in range(nodes[name]))]


def teams_stay_within_their_limits(
    specs: Mapping[Path, EnvironmentSpec], account: AccountSpec | None, wanted: set[Path] | None = None
) -> Iterator[Problem]:
    """All that a team's environments may run costs no more an hour than the account allows the team.

    Told once for a team, of its dearest environment; with `wanted`, of the dearest of these.
    """
    if account is None:
        return
    for team, limit in account.teams.items():
        mine = {file: spec for file, spec in specs.items() if spec.team == team}
        parts = {file: costs_per_hour(spec, account.region) for file, spec in mine.items()}
        costs = {file: sum(each.values()) for file, each in parts.items()}
        concerned = [file for file in mine if wanted is None or file in wanted]
        total = sum(costs.values())
        if not concerned or total <= limit.max_usd_per_hour:
            continue
        dearest = max(concerned, key=lambda file: costs[file])
        shares = ", ".join(
            f"{mine[file].name} {costs[file]:.2f} ({_told(parts[file])})"
            for file in sorted(costs, key=lambda each: -costs[each])
        )
        yield Problem(
            file=shown(dearest),
            path=_PATHS.get(max(parts[dearest], key=lambda part: parts[dearest][part]), "network"),
            what=f"what the team {team} declares would cost {total:.2f} USD an hour at list price where "
            f"{limit.max_usd_per_hour:g} are allowed: {shares}",
            do="ask for less (where runs are queued, a fleet counts with its max_nodes: any run may start "
            f"them), or have teams.{team}.max_usd_per_hour raised in {ACCOUNT_FILE}",
        )


def budget_lasts_for_a_month(case: Case) -> Iterator[Problem]:
    """The budget is more than what stands costs in a month without any run."""
    limit = case.spec.budget.usd_per_month
    if not limit or case.account is None:
        return
    hourly = sum(costs_per_hour(case.spec, case.account.region, grown=False).values())
    if hourly * HOURS_PER_MONTH >= limit:
        yield case.problem(
            "budget.usd_per_month",
            f"what always runs costs {hourly:.2f} USD an hour at list price: {limit:g} USD are used up after "
            f"{limit / hourly / 24:.1f} days of standing there, and then no run starts",
            "keep fewer nodes (`nodes`), tear it down after work (`fleetform down`), or set a larger budget",
        )


def _told(parts: Mapping[str, float]) -> str:
    """Return the parts of a cost in words, dearest first, without those below a cent."""
    dear_first = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{part} {usd:.2f}" for part, usd in dear_first if usd >= 0.01)


def limited_teams_have_an_environment(
    environments_dir: Path, account: AccountSpec | None, specs: Sequence[EnvironmentSpec]
) -> Iterator[Problem]:
    """A limit on a team is that of a team which has an environment; else nothing is limited by it."""
    teams = sorted({spec.team for spec in specs})
    for team in account.teams if account else ():
        if team in teams:
            continue
        near = nearest(team, teams)
        yield Problem(
            file=shown(environments_dir / ACCOUNT_FILE),
            path=f"teams.{team}",
            what=f"it has no effect: no environment is of the team {team}",
            do=f"did you mean `{near}`?" if near else f"teams with one: {', '.join(teams) or 'none'}",
        )
