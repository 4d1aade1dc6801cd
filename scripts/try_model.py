"""`fleetform try`: ask a run's model about a picture, a row or a text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import click

from scripts.console_io import emit_json, say
from scripts.options import cloud_option, environment_argument, json_option


@click.command()
@environment_argument
@click.argument("run")
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with a picture.",
)
@click.option("--row", "rows", multiple=True, metavar="JSON", help='A row: `{"age": 40, "bmi": 24.5}`.')
@click.option("--text", "texts", multiple=True, help="A text to classify, or to go on with.")
@click.option("--describe", is_flag=True, help="Say what an input consists of, and ask nothing.")
@json_option
@cloud_option
def command(
    environment: str,
    run: str,
    pictures: tuple[Path, ...],
    rows: tuple[str, ...],
    texts: tuple[str, ...],
    describe: bool,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Load the model of RUN on this machine and print what it answers to each input.

    The model is copied to the project's working folder first, each file verified, and runs within limits.
    """
    from contextlib import closing

    from fleet.model_copy import bring_model
    from fleet.run_store import open_runs
    from fleet.session import open_session
    from fleet.tries import Answerer
    from stacks.problems import UserError
    from trainer.predictors.show import answers_text

    inputs = [*map(_picture, pictures), *map(_row, rows), *texts]
    if not inputs and not describe:
        raise UserError.of("there is no input", "give --picture FILE, --row JSON or --text TEXT")
    session = open_session(environment, cloud)
    assert session.caller
    store = open_runs(session)
    with session.ledger.act("model.try", run, inputs=len(inputs)):
        session.require_on_run("model.try", store.get_json(run, "run.json") or {})
        folder = bring_model(session.project, store, run)
        with closing(Answerer(folder)) as answerer:
            found: Any = answerer.describe() if describe else answerer.ask(inputs)
    if as_json or describe:
        emit_json(found)
        return 0
    say(answers_text(found))
    return 0


def _picture(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _row(text: str) -> Any:
    from stacks.problems import UserError

    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError.of(
            f"{text!r} is no JSON: {error}", 'write {"column": value, ...}', path="--row"
        ) from None
