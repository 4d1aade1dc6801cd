"""`fleetform top`: what an environment's nodes and their GPUs do now."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, say, table
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.top import NodeNow

_HEADERS = (
    "node",
    "state",
    "run",
    "CPU",
    "load",
    "memory",
    "GPUs",
    "GPU memory",
    "net in/out",
    "disk r/w",
    "free",
)
_CLEAR = "\033[H\033[2J"


@click.command()
@environment_argument
@click.option("--once", is_flag=True, help="Show it once; so it is, too, where the output is no terminal.")
@click.option("--every", type=click.FloatRange(min=1), default=5.0, show_default=True, help="Seconds.")
@json_option
@cloud_option
def command(environment: str, once: bool, every: float, as_json: bool, cloud: str | None) -> int:
    """Show what the nodes of ENVIRONMENT do now: state, run, CPU, memory, GPUs, network, disk.

    What a node says of itself is up to 15 s old.
    """
    from fleet.session import open_session
    from fleet.top import look_at_nodes, snapshot

    session = open_session(environment, cloud)
    if as_json:
        emit_json(snapshot(look_at_nodes(session)))
        return 0
    while True:
        lines = page(environment, look_at_nodes(session))
        if once or not sys.stdout.isatty():
            say(lines)
            return 0
        click.echo(_CLEAR + lines)
        time.sleep(every)


def page(environment: str, nodes: Sequence[NodeNow]) -> str:
    """Return the nodes as a table, and behind it the reasons of those that do not work."""
    standing = [node for node in nodes if node.instance_id]
    if not standing:
        asleep = f"; {len(nodes)} can be started" if nodes else ""
        return f"no nodes of {environment} run{asleep}"
    lines = [table(_HEADERS, [_row(node) for node in standing], right=(3, 4, 5, 6, 7, 8, 9, 10))]
    reasons = dict.fromkeys(node.reason for node in standing if node.reason)
    lines += [
        f"{', '.join(node.name for node in standing if node.reason == reason)}: {reason}"
        for reason in reasons
    ]
    if len(nodes) > len(standing):
        lines.append(f"{len(nodes) - len(standing)} more can be started")
    return "\n".join(lines)


def _row(node: NodeNow) -> tuple[str, ...]:
    runs = ", ".join(node.runs[:2]) + (f" +{len(node.runs) - 2}" if len(node.runs) > 2 else "")
    said = node.stats
    if said is None:
        return (node.name, node.state, runs or "-", *["-"] * 8)
    gpus = list(said.get("gpus") or ())
    return (
        node.name,
        node.state,
        runs or "-",
        _number(said, "cpu_percent", "{:.0f}%"),
        _number(said, "load", "{:.1f}"),
        _part(said.get("memory_mib"), said.get("memory_total_mib")),
        " ".join(f"{gpu['busy_percent']:.0f}%" for gpu in gpus) or "-",
        _part(sum(gpu["memory_mib"] for gpu in gpus), sum(gpu["memory_total_mib"] for gpu in gpus)),
        f"{_number(said, 'received_mb_s')}/{_number(said, 'sent_mb_s')} MB/s",
        f"{_number(said, 'read_mb_s')}/{_number(said, 'written_mb_s')} MB/s",
        _number(said, "disk_free_gib", "{:.0f} GiB"),
    )


def _number(said: Mapping[str, Any], name: str, form: str = "{:.0f}") -> str:
    value = said.get(name)
    return "-" if value is None else form.format(float(value))


def _part(used: float | None, total: float | None) -> str:
    """Return memory as `12/24 GiB`, of MiB."""
    return f"{(used or 0) / 1024:.0f}/{total / 1024:.0f} GiB" if total else "-"
