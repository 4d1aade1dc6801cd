"""`fleetform model`: take a run's model home as one zip, or read where it is from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.model_pack import Pack


@click.command()
@environment_argument
@click.argument("run")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="[default: RUN-model.zip]")
@click.option("--card", is_flag=True, help="Print the model card with its lineage, and copy nothing.")
@json_option
@cloud_option
def command(environment: str, run: str, to: Path | None, card: bool, as_json: bool, cloud: str | None) -> int:
    """Copy the model of RUN with its card, lineage and metrics into one zip, every file verified."""
    from fleet import model_pack
    from fleet.lineage import lineage
    from fleet.run_store import open_runs
    from fleet.session import open_session

    session = open_session(environment, cloud)
    assert session.caller
    store = open_runs(session)
    if card:
        found = lineage(store, run)
        if as_json:
            emit_json(found.to_dict())
        else:
            written = store.get(run, "model/README.md") or b""
            say(model_pack.card(found, written.decode(errors="replace")))
        return 0
    with session.recording_refusal("model.take", run):
        session.require_on_run("model.take", store.get_json(run, "run.json") or {})
    packed = model_pack.pack(store, run)
    file = to or Path(packed.name)
    with session.ledger.act("model.take", run, model_sha256=packed.lineage.model_sha256) as act:
        act.details["bytes"] = _write(packed, file)
    live.clear()
    if as_json:
        emit_json({"file": str(file), "lineage": packed.lineage.to_dict()})
        return 0
    say(f"{file}: model {packed.lineage.model_sha256[:12]}, {len(packed.lineage.files)} files")
    for gap in packed.lineage.gaps:
        say(f"not known: {gap}")
    return 0


def _write(packed: Pack, file: Path) -> int:
    """Write the zip under its name once it is whole; return its bytes."""
    part, size = file.with_name(f".{file.name}.{os.getpid()}.part"), 0
    try:
        with part.open("wb") as target:
            for chunk in packed.chunks:
                size += target.write(chunk)
                live.show(f"{file.name}  {size / 1e6:.1f} MB")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return size
