"""The guardrails on the queue and on the teams that share an environment's machines."""

from __future__ import annotations

from collections.abc import Iterator

from stacks import naming
from stacks.case import Case, Rule
from stacks.problems import Problem
from stacks.scheduler_spec import own_team, team_uid

RESERVED_TEAMS = {
    "queue": "documents of the queue are named so",
    "root": "Slurm's accounting has an account of that name",
}
"""Names that no team may have, each with why."""
RESERVED_FURTHER_TEAMS = {
    role: f"its members' role would be named as the {role} role of an environment"
    for role in (
        naming.ROLE_HEAD, naming.ROLE_NODE, naming.ROLE_RUN, naming.ROLE_MEMBER, naming.ROLE_OPERATOR,
        naming.LEASE,
    )
}  # fmt: skip
"""Names that no team beside the own one may have: boundaries know roles of machines by such an ending."""
RESERVED_FLEETS = {"default": "Slurm takes a partition of that name for the defaults of all others"}


def teams_have_names_of_their_own(case: Case) -> Iterator[Problem]:
    """No team is named as a document, an account or a role is already: `queue`, `root`, `head`, others."""
    own = own_team(case.spec.team)
    for name in case.spec.scheduler.teams:
        why = RESERVED_TEAMS.get(name) or (name != own and RESERVED_FURTHER_TEAMS.get(name))
        if why:
            yield case.problem(
                f"scheduler.teams.{name}", f"no team can be named {name}: {why}", "take another name"
            )
    if own in RESERVED_TEAMS and case.spec.scheduler.is_slurm:
        yield case.problem("team", f"no team can be named {own}: {RESERVED_TEAMS[own]}", "take another name")


def the_own_team_names_no_members(case: Case) -> Iterator[Problem]:
    """`members` is given only to further teams: who the environment's own members are, the account says."""
    own = own_team(case.spec.team)
    team = case.spec.scheduler.teams.get(own)
    if team and team.members:
        yield case.problem(
            f"scheduler.teams.{own}.members",
            f"members neither lets anybody in nor keeps anybody out: {own} is the environment's own team, "
            "whose member role is for `people.trusted` of the account",
            "leave it out, or name them in `people.trusted`",
        )


def the_own_team_has_no_limit_of_its_own(case: Case) -> Iterator[Problem]:
    """A team's `usd_per_month` is given only to further teams: the own one pays for all that stands."""
    own = own_team(case.spec.team)
    team = case.spec.scheduler.teams.get(own)
    if team and team.usd_per_month:
        yield case.problem(
            f"scheduler.teams.{own}.usd_per_month",
            f"usd_per_month holds nobody back: {own} is the environment's own team",
            "leave it out, or set `budget.usd_per_month`, which holds for the whole environment",
        )


def limits_of_teams_are_within_the_budget(case: Case) -> Iterator[Problem]:
    """A team's own limit is less than the environment's budget; else it is never reached."""
    whole = case.spec.budget.usd_per_month
    for name in case.spec.further_teams:
        limit = case.spec.scheduler.teams[name].usd_per_month
        if whole and limit > whole:
            yield case.problem(
                f"scheduler.teams.{name}.usd_per_month",
                f"usd_per_month has no effect: the whole environment may cost {whole:g} USD a month",
                "set less, or leave it out",
            )


def teams_have_users_of_their_own(case: Case) -> Iterator[Problem]:
    """No two teams' jobs run as one user: the users' numbers follow from the names, and may meet."""
    taken: dict[int, str] = {}
    for name in sorted({own_team(case.spec.team), *case.spec.scheduler.teams}):
        other = taken.setdefault(team_uid(name), name)
        if other != name:
            yield case.problem(
                f"scheduler.teams.{name if name in case.spec.scheduler.teams else other}",
                f"the users of {other} and {name} would both have the number {team_uid(name)}",
                "take another name for one of the two",
            )


def fleets_may_be_partitions(case: Case) -> Iterator[Problem]:
    """No fleet under Slurm is named `default`, by which Slurm means all partitions."""
    for name in case.spec.fleets:
        if case.spec.scheduler.is_slurm and name in RESERVED_FLEETS:
            yield case.problem(
                f"fleets.{name}",
                f"no fleet can be named {name}: {RESERVED_FLEETS[name]}",
                "take another name",
            )


def fallbacks_are_other_ways(case: Case) -> Iterator[Problem]:
    """The further ways to buy a fleet's nodes are each another one; reserved ones name their reservation."""
    for name, fleet in case.spec.fleets.items():
        path, ways = f"fleets.{name}.fallback_purchases", fleet.fallback_purchases
        twice = sorted({each for each in ways if ways.count(each) > 1 or each == fleet.purchase})
        if twice:
            yield case.problem(
                path,
                f"{', '.join(twice)} is tried already",
                "name each way once, and not that of `purchase`",
            )
        reserved = [each for each in fleet.purchases if each.startswith("capacity_")]
        if len(reserved) > 1:
            yield case.problem(
                path, "a reservation is either a capacity reservation or a capacity block", "leave one out"
            )
        if reserved and not fleet.reserved and not fleet.reservation:
            yield case.problem(
                f"fleets.{name}.reservation",
                f"nodes may come out of a {reserved[0].replace('_', ' ')}, and none is named",
                "write its id, such as cr-0123456789abcdef0",
            )


def queue_settings_have_an_effect(case: Case) -> Iterator[Problem]:
    """Settings of the queue are given only where there is one (`kind = "slurm"`)."""
    scheduler = case.spec.scheduler
    if scheduler.is_slurm:
        return
    for name in sorted(scheduler.model_fields_set - {"kind"}):
        yield case.problem(
            f"scheduler.{name}",
            f"{name} has no effect: runs are not queued where `kind` is `plain`",
            'leave it out, or set `kind` to "slurm"',
        )
    for name, fleet in case.spec.fleets.items():
        if fleet.fallback_purchases:
            yield case.problem(
                f"fleets.{name}.fallback_purchases",
                "fallback_purchases has no effect: no node beyond `nodes` is started without Slurm",
                'leave it out, or set `scheduler.kind` to "slurm"',
            )


def fallbacks_have_nodes(case: Case) -> Iterator[Problem]:
    """Further ways to buy nodes are given only to a fleet that may grow."""
    for name, fleet in case.spec.fleets.items():
        if case.spec.scheduler.is_slurm and fleet.fallback_purchases and fleet.max_nodes <= fleet.nodes:
            yield case.problem(
                f"fleets.{name}.fallback_purchases",
                f"fallback_purchases has no effect: all {fleet.nodes} nodes always stand",
                "raise max_nodes above nodes, or leave it out",
            )


def shares_are_kept(case: Case) -> Iterator[Problem]:
    """Several teams' shares are told from what each has used, which accounting keeps."""
    scheduler = case.spec.scheduler
    if scheduler.is_slurm and scheduler.teams and not scheduler.accounting:
        yield case.problem(
            "scheduler.accounting",
            "without accounting nobody knows what a team has used, so shares have no effect: whoever came "
            "first goes first",
            "leave it true where several teams share the machines",
        )


def runs_may_have_file_systems(case: Case) -> Iterator[Problem]:
    """File systems of single runs are allowed only where runs can have them (`kind = "plain"`)."""
    if case.spec.scheduler.is_slurm and case.spec.fsx.run_max_gib:
        yield case.problem(
            "fsx.run_max_gib",
            "run_max_gib has no effect: runs of the queue have no file system of their own",
            'leave it out, or set `scheduler.kind` to "plain"',
        )


SCHEDULER_ERRORS: tuple[Rule, ...] = (
    teams_have_names_of_their_own,
    the_own_team_names_no_members,
    the_own_team_has_no_limit_of_its_own,
    teams_have_users_of_their_own,
    fleets_may_be_partitions,
    fallbacks_are_other_ways,
)
"""Rules on the queue whose findings stop every act that builds."""
SCHEDULER_WARNINGS: tuple[Rule, ...] = (
    queue_settings_have_an_effect,
    fallbacks_have_nodes,
    shares_are_kept,
    limits_of_teams_are_within_the_budget,
    runs_may_have_file_systems,
)
"""Rules on the queue whose findings are told, and stop nothing."""
