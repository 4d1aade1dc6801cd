"""`fleetform status`: show one run."""

from __future__ import annotations

import click

from scripts.console_io import emit_json, say
from scripts.options import cloud_option, environment_argument, json_option


@click.command()
@environment_argument
@click.argument("run")
@json_option
@cloud_option
def command(environment: str, run: str, as_json: bool, cloud: str | None) -> int:
    """Show how RUN of ENVIRONMENT stands: its events, nodes, phases and what is not safe yet."""
    from fleet.run_control import settle_one
    from fleet.run_store import open_runs
    from fleet.runs import left_out, outputs_safe, read_events
    from fleet.session import open_session
    from scripts.run_output import duration, event_text, node_name, receipt_lines, size_text

    session = open_session(environment, cloud)
    assert session.caller
    store = open_runs(session)
    found = settle_one(store, session.ledger, run)
    events, receipt = read_events(store, run), store.get_json(run, "receipt.json")
    unsafe = [] if found.active else outputs_safe(store, found)
    left = left_out(store, found)
    if as_json:
        more = {"events": events, "receipt": receipt, "not_safe": unsafe, "left_out": left}
        emit_json({**found.to_dict(), **more})
        return 0
    say(f"{found.run_id}  {found.state}{': ' if found.cause else ''}{found.cause}")
    where = f"on {size_text(found)} (nodes x processes) of the fleet {found.fleet}"
    say(f"  {found.program} {where}, by {found.actor}")
    say(f"  ran {duration(found.seconds)}")
    for event in events:
        say(f"  {event['time']}  {event_text(event['event'], event['detail'])}")
    for node in found.placed:
        say(f"  node {node['rank']}: {node_name(node)}  {node['instance_type']}  {node['address']}")
    for phase, seconds in (receipt or {}).get("seconds", {}).items():
        say(f"  {phase}: {duration(seconds)}")
    for line in receipt_lines(receipt):
        say(f"  {line}")
    for each in left:
        say(f"  not uploaded: {each['path']} of node {each['rank']}: {each['why']}")
    for sentence in unsafe:
        say(f"  not safe: {sentence}")
    return 0
