"""The command that does what a page shows or does: click and command are one."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Sequence

PROGRAM = "fleetform"


def line(words: Sequence[str]) -> str:
    """Return the words as one line for a shell, each of them one word whatever is in it."""
    return shlex.join((PROGRAM, *words))


def show_environments() -> tuple[str, ...]:
    """Return the command that looks at every environment's file."""
    return ("check",)


def show_runs(
    environment: str,
    *,
    states: Sequence[str] = (),
    active: bool = False,
    person: str = "",
    before: str = "",
    limit: int | None = None,
) -> tuple[str, ...]:
    """Return the command that lists an environment's runs, or some of them."""
    chosen = [word for state in states for word in ("--state", state)]
    chosen += ["--active"] if active else []
    named = {"--by": person, "--before": before, "--limit": "" if limit is None else str(limit)}
    chosen += [word for option, value in named.items() if value for word in (option, value)]
    return ("runs", "list", environment, *chosen)


def compare_runs(environment: str, run_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the command that shows runs beside each other."""
    return ("runs", "compare", environment, *run_ids)


def show_run(environment: str, run_id: str) -> tuple[str, ...]:
    """Return the command that shows one run."""
    return ("status", environment, run_id)


def build(environment: str) -> tuple[str, ...]:
    """Return the command that builds an environment."""
    return ("up", environment)


def tear_down(environment: str, *, base: bool, anyway: str = "") -> tuple[str, ...]:
    """Return the command that tears an environment down; `anyway` is the reason to do it in spite of all."""
    return ("down", environment, *(["--base"] if base else []), *(["--anyway", anyway] if anyway else []))


def declare(environment: str) -> tuple[str, ...]:
    """Return the command that declares an environment, its team and owner to be filled in."""
    return ("init", environment, "--team", "TEAM", "--owner", "YOU@EXAMPLE.COM")


def submit_recipe(
    environment: str,
    recipe: str,
    overrides: Sequence[str] = (),
    *,
    nodes: int = 1,
    fleet: str | None = None,
    team: str | None = None,
    max_minutes: int = 24 * 60,
) -> tuple[str, ...]:
    """Return the command that trains a recipe; the overrides are `key=value`."""
    fleets, teams = ("--fleet", fleet) if fleet else (), ("--team", team) if team else ()
    size = ("--nodes", str(nodes), *fleets, *teams, "--max-minutes", str(max_minutes))
    return ("run", environment, "--recipe", recipe, *size, *overrides)


def stop_run(environment: str, run_id: str) -> tuple[str, ...]:
    """Return the command that ends a run."""
    return ("cancel", environment, run_id)


def resume_run(environment: str, run_id: str) -> tuple[str, ...]:
    """Return the command that goes on with a run."""
    return ("run", environment, "--resume", run_id)


def take_model(environment: str, run_id: str) -> tuple[str, ...]:
    """Return the command that takes a run's model home."""
    return ("model", environment, run_id)


def try_model(environment: str, run_id: str, *, picture: str = "", text: str = "") -> tuple[str, ...]:
    """Return the command that asks a run's model, about nothing yet unless something is named."""
    shown = [*(["--picture", picture] if picture else []), *(["--text", text] if text else [])]
    return ("try", environment, run_id, *(shown or ["--describe"]))


def check_data(path: str, kind: str, settings: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the command that checks data; the settings are `key=value` of a recipe's [data]."""
    return ("data", path, "--kind", kind, "--check", *(word for each in settings for word in ("--set", each)))


def show_lease(environment: str) -> tuple[str, ...]:
    """Return the command that says when an environment ends."""
    return ("lease", "show", environment)


def extend_lease(environment: str, until: datetime.date, reason: str) -> tuple[str, ...]:
    """Return the command that puts an environment's end off, without asking."""
    return ("lease", "extend", environment, "--until", until.isoformat(), "--reason", reason, "--yes")


def show_nodes(environment: str) -> tuple[str, ...]:
    """Return the command that says what an environment's machines do now."""
    return ("top", environment, "--once")


def show_budget(environment: str) -> tuple[str, ...]:
    """Return the command that says what an environment has cost this month."""
    return ("budget", environment)


def show_cost(environment: str, *, since: str = "", until: str = "", by: str = "") -> tuple[str, ...]:
    """Return the command that says what an environment came to, or for "" all of them."""
    asked = {"--since": since, "--until": until, "--by": by}
    chosen = [word for option, value in asked.items() if value for word in (option, value)]
    return ("cost", *([environment] if environment else []), *chosen)


def declare_begun(environment: str, team: str, owner: str, starter: str) -> tuple[str, ...]:
    """Return the command that declares an environment as a starter has it."""
    return ("init", environment, "--team", team, "--owner", owner, "--starter", starter)


def show_known(name: str) -> tuple[str, ...]:
    """Return the command that shows some of a data set that comes with fleetform."""
    return ("data", name)


def read_record(
    *, target: str = "", event: str = "", person: str = "", since: str = "", last: int | None = None
) -> tuple[str, ...]:
    """Return the command that lists the ledger's entries, or the last of some of them."""
    named = {"--target": target, "--event": event, "--person": person, "--since": since}
    chosen = [word for option, value in named.items() if value for word in (option, value)]
    return ("audit", "log", *chosen, *(["--last", str(last)] if last else []))


def read_entry(number: int) -> tuple[str, ...]:
    """Return the command that shows one entry of the ledger."""
    return ("audit", "entry", str(number))


def show_entered(environment: str, instance: str, since: str = "") -> tuple[str, ...]:
    """Return the command that tells who entered a machine; `since` is a day, "" for when it was started."""
    return ("audit", "entered", environment, instance, *(["--since", since] if since else []))


def enter_machine(environment: str, instance: str) -> tuple[str, ...]:
    """Return the command that opens a shell on a machine, its reason to be filled in."""
    return ("enter", environment, instance, "--reason", "WHAT FOR")


def verify_ledger() -> tuple[str, ...]:
    """Return the command that verifies the ledger."""
    return ("audit", "verify")


def verify_trail(since: str) -> tuple[str, ...]:
    """Return the command that holds CloudTrail's files of the time since that day against their digests."""
    return ("audit", "trail", "--since", since)


def export_pack(environment: str, since: str, until: str) -> tuple[str, ...]:
    """Return the command that writes an evidence pack, of all environments where none is named."""
    named = [environment] if environment else []
    return ("audit", "pack", *named, "--since", since, "--until", until, "--to", "evidence.zip")


def sweep(
    environment: str = "", *, delete: bool = False, data: bool = False, past_lease: bool = False
) -> tuple[str, ...]:
    """Return the command that looks for what is left over in the account, or of one environment."""
    named = ["--environment", environment] if environment else []
    said = {"--delete": delete, "--data": data, "--past-lease": past_lease}
    return ("sweep", *named, *(option for option, on in said.items() if on))
