"""`/receipts/NAME`: what a teardown has left as its proof, read from the receipt's own file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Response

from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit
from console.words.reader import Reader
from fleet import commands
from fleet.policy import EVERY_TEAM
from templates.console.home import Figure
from templates.console.receipt import ReceiptPage, StackLine, ThingLine

_NAME = re.compile(r"[a-z][a-z0-9-]{1,39}-[0-9]{8}T[0-9]{6}", re.ASCII)

router = APIRouter()


@router.get("/receipts/{name}")
def show(visit: AnyVisit, name: str) -> Response:
    """Show the receipt of a teardown of an environment that this person may see."""
    body = _read(visit, name)
    return visit.page(_page(visit, name, json.loads(body), hashlib.sha256(body).hexdigest()))


@router.get("/receipts/{name}/receipt.json")
def take(visit: AnyVisit, name: str) -> Response:
    """Answer with the file, to the byte: its digest is in the ledger."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.json"'}
    return Response(_read(visit, name), media_type="application/json", headers=headers)


def _read(visit: Visit, name: str) -> bytes:
    """Return a receipt's file; raises NotThereError where there is none, or it is not theirs to see."""
    if not _NAME.fullmatch(name):
        raise NotThereError
    visit.environment(name.rpartition("-")[0])
    try:
        return (visit.services.settings.project.root / "receipts" / name / "receipt.json").read_bytes()
    except FileNotFoundError as error:
        raise NotThereError from error


def _page(visit: Visit, name: str, receipt: Mapping[str, Any], digest: str) -> ReceiptPage:
    reader = visit.reader
    _ = reader.gettext
    verdict = _("Nothing is left") if receipt["proven"] else _("Not proven that nothing is left")
    return ReceiptPage(
        frame=visit.frame(
            _("Receipt of the teardown of {name}").format(name=receipt["environment"]),
            command=commands.line(
                commands.read_record(target=receipt["environment"], event="environment.down")
            ),
        ),
        verdict=verdict,
        tone="good" if receipt["proven"] else "bad",
        figures=_figures(reader, receipt),
        anyway=receipt["anyway"],
        overridden=tuple(receipt["overridden"]),
        stacks=tuple(_stack(reader, each) for each in receipt["stacks"]),
        left=_things(reader, receipt["left"]),
        kept=_things(reader, receipt["kept"]),
        unseen=tuple(f"{each['title']}: {each['why']}" for each in receipt["not_looked"]),
        digest=digest,
        file=f"/receipts/{name}/receipt.json",
        leftovers=_leftovers(visit, receipt["environment"]),
    )


def _leftovers(visit: Visit, environment: str) -> str:
    """Return where it is shown what is left over of the environment now, "" to who may not see that."""
    return f"/leftovers?environment={environment}" if visit.may("account.look", EVERY_TEAM) else ""


def _figures(reader: Reader, receipt: Mapping[str, Any]) -> tuple[Figure, ...]:
    _ = reader.gettext
    cost = sum(each["usd_estimated"] or 0.0 for each in receipt["stacks"])
    return (
        Figure(label=_("Torn down"), value=reader.moment(receipt["ended"]).shown, note=receipt["actor"]),
        Figure(label=_("Estimated cost"), value=reader.usd(cost), note=receipt["prices"]),
        Figure(label=_("Cloud"), value=receipt["cloud"], note=receipt["region"]),
    )


def _stack(reader: Reader, stack: Mapping[str, Any]) -> StackLine:
    _ = reader.gettext
    fates = {
        "destroyed": _("destroyed"),
        "kept on purpose": _("kept on purpose"),
        "was not there": _("was not there"),
    }
    hours, cost = stack["hours_lived"], stack["usd_estimated"]
    return StackLine(
        stack=stack["stack"],
        fate=fates[stack["fate"]],
        resources=reader.number(len(stack["resources"])),
        lived="" if hours is None else reader.span(hours * 3600),
        cost="" if cost is None else reader.usd(cost),
    )


def _things(reader: Reader, things: Sequence[Mapping[str, Any]]) -> tuple[ThingLine, ...]:
    return tuple(
        ThingLine(
            kind=each["kind"],
            id=each["id"],
            name=each["name"],
            price="" if each["usd_per_hour"] is None else reader.usd(each["usd_per_hour"]),
            note=each["note"],
        )
        for each in things
    )
