"""Every way into a machine, each closed or recorded: computed from the synthesized JSON of three stacks.

`python -m stacks.entry_paths ENVIRONMENT [--out cdktf.out] [--json]` prints the table that the synthesis
wrote. docs/entry-paths.md explains the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stacks import naming
from stacks.entry import machine_paths, network_paths, session_paths
from stacks.entry.facts import Facts, Thing
from stacks.entry.verdict import State, Verdict

TABLE_FILE = "entry-paths.json"
"""The table, beside the fleet stack."""
ALL_MACHINES = "all"
"""Machine of a row that concerns every machine of the environment alike."""

PerMachine = Callable[[Facts, Thing], Verdict]
PerEnvironment = Callable[[Facts], Verdict]

MACHINE_PATHS: dict[str, tuple[str, PerMachine]] = {
    "ssh": ("SSH port", lambda facts, machine: network_paths.port(facts, machine, network_paths.SSH)),
    "rdp": ("RDP port", lambda facts, machine: network_paths.port(facts, machine, network_paths.RDP)),
    "other-port": ("Any other port", network_paths.any_port),
    "key-pair": ("Key pair", machine_paths.key_pair),
    "public-address": ("Public address", network_paths.public_address),
    "ssm-shell": ("Session Manager, our document", session_paths.shell),
    "instance-connect": ("EC2 Instance Connect", session_paths.instance_connect),
    "instance-connect-endpoint": ("EC2 Instance Connect Endpoint", session_paths.connect_endpoint),
    "user-data": ("First script (user data)", machine_paths.user_data),
    "borrowed-role": ("Its role, used elsewhere", machine_paths.borrowed_role),
    "disk-elsewhere": ("Its disk, copied or attached elsewhere", machine_paths.disk_elsewhere),
}
"""Ways into one kind of machine: id -> title and how it is judged."""
ENVIRONMENT_PATHS: dict[str, tuple[str, PerEnvironment]] = {
    "ssm-default-document": ("Session Manager, AWS's default document", session_paths.default_document),
    "ssm-tunnel": ("Session Manager, SSH, port forwarding, commands", session_paths.tunnels),
    "serial-console": ("Serial console", machine_paths.serial_console),
    "console-output": ("Console output and screenshot", machine_paths.console_output),
    "run-command": ("Run Command", machine_paths.command_documents),
    "automation": ("Automation, State Manager, maintenance windows", machine_paths.automation),
    "load-balancer": ("Load balancer", network_paths.balanced),
    "joined-network": ("Peering, transit gateway, VPN", network_paths.joined),
    "file-system": ("NFS and Lustre from outside", network_paths.file_systems),
    "unseen-machine": ("A machine that this table does not see", machine_paths.unseen_machines),
}
"""Ways into all machines of an environment alike."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way into one kind of machine."""

    path: str
    title: str
    machine: str
    """`head`, a fleet's name, or `all`."""
    state: State
    by: tuple[str, ...]
    """What closes or narrows it: `stack: address.attribute`."""
    records: tuple[str, ...]
    """Where it is recorded."""
    note: str


class EntryPathError(AssertionError):
    """A way into a machine that is neither closed nor recorded: a mistake of the stacks, not of the user."""

    def __init__(self, environment: str, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        lines = [
            f"  {row.title} ({row.machine}): {row.note}" + (f"; {', '.join(row.by)}" if row.by else "")
            for row in self.rows
        ]
        super().__init__("\n".join([f"{environment} has a way in that nobody would see:", *lines]))


def entry_paths(
    account: Mapping[str, Any],
    base: Mapping[str, Any],
    fleet: Mapping[str, Any],
    *,
    trail_wanted: bool = True,
) -> list[Row]:
    """Return the rows for every kind of machine in the fleet stack, and for all of them together.

    The three are `cdk.tf.json` as synthesized. `trail_wanted` says whether the account's file asks for a
    trail: where it does not, what only a trail would record is `unrecorded`; where it does, it is `open`.
    """
    facts = Facts(account=account, base=base, fleet=fleet, trail_wanted=trail_wanted)
    rows = [
        _row(path, title, template.name, judge(facts, template))
        for template in sorted(facts.templates, key=lambda each: (each.name != naming.ROLE_HEAD, each.name))
        for path, (title, judge) in MACHINE_PATHS.items()
    ]
    rows += [
        _row(path, title, ALL_MACHINES, judge(facts)) for path, (title, judge) in ENVIRONMENT_PATHS.items()
    ]
    return rows


def _row(path: str, title: str, machine: str, verdict: Verdict) -> Row:
    return Row(
        path=path,
        title=title,
        machine=machine,
        state=verdict.state,
        by=tuple(dict.fromkeys(verdict.by)),
        records=verdict.records,
        note=verdict.note,
    )


def write_entry_paths(out: Path, environment: str, *, trail_wanted: bool) -> list[Row]:
    """Write the table of an environment that was synthesized below `out`, beside its fleet stack.

    Raises EntryPathError where a way in is open; the table is written even then.
    """
    stacks = (naming.ACCOUNT_STACK, *naming.environment_stacks(environment))
    account, base, fleet = (_read(out, stack) for stack in stacks)
    rows = entry_paths(account, base, fleet, trail_wanted=trail_wanted)
    table = {"environment": environment, "rows": [asdict(row) for row in rows]}
    _table_file(out, environment).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    if wrong := [row for row in rows if row.state == "open"]:
        raise EntryPathError(environment, wrong)
    return rows


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of these rows (as data) for people; what is alike for several machines stands once."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        own = f".{row['machine']}."
        places = row["records"] or [place.replace(own, ".*.") for place in row["by"]]
        said = "; ".join(each for each in (*places, row["note"]) if each)
        merged.setdefault((row["title"], row["state"], said), []).append(row["machine"])
    return "\n".join(
        f"{title:<48} {state:<10} {', '.join(machines):<20} {said}".rstrip()
        for (title, state, said), machines in merged.items()
    )


def _read(out: Path, stack: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "stacks" / stack / "cdk.tf.json").read_text(encoding="utf-8"))
    return content


def _table_file(out: Path, environment: str) -> Path:
    return out / "stacks" / naming.fleet_stack(environment) / TABLE_FILE


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of one synthesized environment."""
    parser = argparse.ArgumentParser(
        prog="python -m stacks.entry_paths", description="Every way into an environment's machines."
    )
    parser.add_argument("environment")
    parser.add_argument("--out", type=Path, default=Path("cdktf.out"), help="folder of the synthesis")
    parser.add_argument("--json", action="store_true", help="the table as data")
    options = parser.parse_args(arguments)
    file = _table_file(options.out, options.environment)
    if not file.is_file():
        print(f"{file} is not there; synthesize first: python -m stacks.app", file=sys.stderr)
        return 2
    text = file.read_text(encoding="utf-8")
    print(text if options.json else as_text(json.loads(text)["rows"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
