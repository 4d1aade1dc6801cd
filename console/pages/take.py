"""`/environments/NAME/runs/RUN/card` and `.../model.zip`: what a run's model came of, and itself."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from console.pages.model_seen import model_config
from console.pages.seen import SeenRun, seen_run
from console.web.visit import AnyVisit, Visit
from console.words.reader import Reader
from console.words.said import said
from fleet import commands
from fleet.lineage import Lineage, lineage
from fleet.model_pack import pack
from fleet.run_numbers import is_number
from templates.console.card import CardPage, FileLine
from templates.console.home import Figure

router = APIRouter()


@router.get("/environments/{name}/runs/{run_id}/card")
def show(visit: AnyVisit, name: str, run_id: str) -> Response:
    """Show what the model came of, how good it is, and its files."""
    seen = _takeable(visit, name, run_id)
    found, reader = lineage(seen.runs.store, run_id), visit.reader
    page = CardPage(
        frame=visit.frame(
            reader.gettext("Model of {run}").format(run=run_id),
            command=commands.line(commands.take_model(name, run_id)),
        ),
        zip_href=f"{seen.path}/model.zip",
        try_href=f"{seen.path}/try" if visit.may("model.try", seen.team) else "",
        run_href=seen.path,
        size=_size(reader, sum(file.size for file in found.files)),
        metrics=tuple(_metrics(found)),
        facts=tuple(fact for fact in _facts(reader, found) if fact.value),
        gaps=tuple(said(reader, each) for each in found.gaps),
        files=tuple(
            FileLine(name=file.name, size=_size(reader, file.size), sha256=file.sha256)
            for file in found.files
        ),
    )
    return visit.page(page)


@router.get("/environments/{name}/runs/{run_id}/model.zip")
def take(visit: AnyVisit, name: str, run_id: str) -> Response:
    """Send the model with its card, lineage and digests as one zip; who takes it is on record first."""
    seen = _takeable(visit, name, run_id)
    packed = pack(seen.runs.store, run_id)
    details = {"environment": name, "model_sha256": packed.lineage.model_sha256}
    visit.services.recorder.record(visit.asked_by, "model.take", run_id, "recorded", details)
    headers = {"Content-Disposition": f'attachment; filename="{packed.name}"'}
    return StreamingResponse(packed.chunks, media_type="application/zip", headers=headers)


def _takeable(visit: Visit, name: str, run_id: str) -> SeenRun:
    """Return a run whose model the person may take; raises RefusedError where it has none."""
    seen = seen_run(visit, name, run_id)
    visit.require("model.take", seen.team)
    model_config(visit, seen)
    return seen


def _metrics(found: Lineage) -> Iterator[Figure]:
    """Yield what was measured on held-out data; the names are those of the trainer."""
    for name, value in found.metrics.items():
        if is_number(value):
            yield Figure(label=name.replace("_", " "), value=f"{value:.4g}", note="")


def _facts(reader: Reader, found: Lineage) -> Iterator[Figure]:
    """Yield what the model came of."""
    _ = reader.gettext
    machines = ", ".join(f"{found.machines.count(each)} x {each}" for each in dict.fromkeys(found.machines))
    yield Figure(label=_("Model, SHA-256"), value=found.model_sha256, note="")
    yield Figure(label=_("Data set"), value=found.data_name, note=found.data_licence)
    yield Figure(label=_("Data, SHA-256"), value=found.data_digest, note="")
    yield Figure(label=_("Recipe or script"), value=" ".join((found.program, *found.overrides)), note="")
    yield Figure(label=_("Settings, SHA-256"), value=found.settings_digest, note="")
    yield Figure(label=_("Code, SHA-256"), value=found.code_sha256, note=found.code_commit)
    yield Figure(label=_("Machines"), value=machines, note=f"torch {found.torch}" if found.torch else "")
    yield Figure(label=_("Submitted by"), value=found.actor.rpartition("/")[2], note="")
    if found.ended:
        yield Figure(label=_("Finished"), value=reader.moment(found.ended).shown, note="")
    if found.usd is not None:
        yield Figure(label=_("Cost at list price"), value=reader.usd(found.usd), note="")


def _size(reader: Reader, size: int) -> str:
    if size < 1000:
        return f"{size} B"
    if size < 1e5:
        return f"{reader.number(size / 1e3, 1)} kB"
    return f"{reader.number(size / 1e6, 2 if size < 1e7 else 0)} MB"
