"""Sentences of `fleet/` about budgets and costs, as patterns for `said.py`."""

from __future__ import annotations

N_ = str
"""Marks a text for the catalogues; what it is in a language is looked up when it is read."""

MONEY_WORDS: tuple[str, ...] = (
    # budget
    N_("the catalog has no price for what it asks for, so it can't be held against the budget"),
    N_("run it on another fleet, or take {settings} out of {file}"),
    N_("it may cost up to {usd} ({said_how}), and {said_left}"),
    N_("{said_less} until active runs end or the month does, or have {setting} raised in {file}"),
    N_("ask for less, which would fit: {fits}; or wait"),
    N_("wait"),
    N_("{said_nodes} for {said_minutes} at {said_price}"),
    N_("{said_left} is left of the {limit} USD of {environment} for {month}: {said_begun}"),
    N_(
        "{said_left} is left of the {limit} USD of the team {team} in {environment} for {month}: {said_begun}"
    ),
    N_("{spent} are spent, {reserved} kept for active runs"),
    N_("machines of types without a price are not counted: {types}"),
    N_("nobody knows what these runs cost: {runs}"),
    N_("runs of other teams, which you may not see, count only with machines that still run"),
    N_("runs that are being submitted just now are not counted: you may not see them"),
    N_("these receipts of teardowns can't be read, and are not counted: {receipts}"),
    N_("your role may not note what the run takes from the budget"),
    N_("have the environment brought up to date: `fleetform up`"),
    # budget: what AWS Budgets has
    N_("AWS Budgets: {said_counted} of {limit} USD by the bill"),
    N_("nothing yet"),
    N_("at {percent} %, {said_how}: head node and operators may start no machine; it {said_state}"),
    N_("by itself"),
    N_("when somebody approves it"),
    N_("stands by"),
    N_("waits for somebody's approval in AWS Budgets"),
    N_("is being carried out"),
    N_("is in force"),
    N_("could not be carried out: machines can still be started"),
    N_("is being taken back"),
    N_("was taken back, and does not act again before it is reset"),
    N_("could not be taken back: it is still in force"),
    N_("is being reset"),
    N_("could not be reset, and does not act again"),
    N_("what AWS Budgets has counted can't be told: {why}"),
    N_("AWS Budgets does not count yet: `fleetform up {name}` puts it under the budget"),
    N_("AWS Budgets counts against {limit} USD and not {declared}: `fleetform up {name}` changes that"),
    N_("{said_why}: `fleetform up {name}` takes the stop off"),
    N_("no machine may be started, though the bill is not over {share}"),
    N_("the trail was not read: of machines that EC2 has forgotten only the time between their runs is idle"),
    N_(
        "the directories of runs that the ledger has ({runs}) were deleted with the artifact bucket: their "
        "{hours} machine-hours{said_maybe_unknown} count as idle or not at all; an evidence pack made before "
        "has who used them (costs.json)"
    ),
    N_(", and of {runs} nobody knows how long"),
    N_("nobody tells when these machines ended, which are not counted: {machines}"),
    N_("the period from {day} ends before it begins"),
    N_("take an earlier --since or a later --until"),
    N_("{text} is no day"),
    N_("write the day as 2026-11-23"),
    N_("nothing"),
)
