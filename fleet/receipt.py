"""The receipt of a teardown: what was made, how long it lived, what it cost and what is left."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fleet.listings.things import NotLooked, Thing
from fleet.terraform_state import StateResource
from fleet.whole_file import write_whole
from stacks.catalog import load_catalog
from templates.engine import render
from templates.receipt_page import ReceiptPage, Section

FORMAT = "fleetform-receipt/1"
Fate = Literal["destroyed", "kept on purpose", "was not there"]
_MOMENTS = frozenset({"began", "ended", "created", "hours_lived", "usd_estimated"})
_THINGS = ("machines", "left", "kept", "ending")


@dataclass(frozen=True, kw_only=True)
class StackReceipt:
    """What became of one stack."""

    stack: str
    fate: Fate
    resources: tuple[StateResource, ...]
    """What Terraform had made."""
    created: datetime.datetime | None
    ended: datetime.datetime | None
    """None for one that still stands."""
    usd_per_hour: float
    """List price of what stood just before the teardown; what costs by use is not in it."""

    @property
    def hours(self) -> float | None:
        """How long it lived, or None where nobody knows when it began."""
        if self.created is None:
            return None
        return ((self.ended or datetime.datetime.now(datetime.UTC)) - self.created).total_seconds() / 3600

    @property
    def usd(self) -> float | None:
        """Estimate: its hourly price for all of its life."""
        return None if self.hours is None else self.hours * self.usd_per_hour


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One teardown."""

    environment: str
    cloud: str
    region: str
    actor: str
    began: datetime.datetime
    ended: datetime.datetime
    anyway: str
    """Why it was done in spite of `overridden`, "" where nothing stood against it."""
    overridden: tuple[str, ...]
    stacks: tuple[StackReceipt, ...]
    machines: tuple[Thing, ...]
    """What cost money by the hour just before: instances, disks, endpoints, ..."""
    left: tuple[Thing, ...]
    kept: tuple[Thing, ...]
    ending: tuple[Thing, ...]
    not_looked: tuple[NotLooked, ...]

    @property
    def proven(self) -> bool:
        """Whether nothing is left and every service was looked at."""
        return not self.left and not self.not_looked

    @property
    def verdict(self) -> str:
        """The receipt in one sentence."""
        if self.left:
            count = "1 thing is" if len(self.left) == 1 else f"{len(self.left)} things are"
            return f"{count} left, at {usd(hourly(self.left))} an hour"
        if self.not_looked:
            return "nothing was found left, but not every service could be looked at"
        return "nothing is left" if not self.kept else "nothing is left but what was kept on purpose"

    def to_dict(self) -> dict[str, Any]:
        """Return everything, derived values too, as JSON has it."""
        stacks = [
            {**asdict(each), "hours_lived": each.hours, "usd_estimated": each.usd} for each in self.stacks
        ]
        derived = {"format": FORMAT, "verdict": self.verdict, "proven": self.proven, "prices": price_note()}
        return {**derived, **asdict(self), "stacks": stacks}


def hourly(things: Iterable[Thing]) -> float:
    """Return the known hourly prices added up."""
    return sum(thing.usd_per_hour or 0.0 for thing in things)


def usd(amount: float | None) -> str:
    """Return an amount of money for a person; "by use" where it is not known."""
    if amount is None:
        return "by use"
    return f"{amount:.2f} USD" if amount >= 0.1 or not amount else f"{amount:.4f} USD"


def duration(hours: float | None) -> str:
    """Return a length of time for a person, "" where it is not known."""
    if hours is None:
        return ""
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def price_note() -> str:
    """Say where the prices come from."""
    source = next(iter(load_catalog().values()))
    return f"{source.price_source}, {source.price_region}, {source.price_date}, on demand, without tax"


def substance(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a receipt says as JSON has it, times aside: its moments, and what follows from them.

    Two of the same substance say the same of what was destroyed, kept and left, at what hourly price, and for
    which reasons; when each look was, and so how long a stack lived and what that cost, may differ. Nor does
    it count until when something ends by itself, nor in which order the listings came.
    """
    without = {name: value for name, value in receipt.items() if name not in _MOMENTS}
    stacks = [{name: each[name] for name in each if name not in _MOMENTS} for each in receipt["stacks"]]
    things = {field: sorted(map(_known_by, receipt[field]), key=str) for field in _THINGS}
    return {**without, "stacks": stacks, **things}


def _known_by(thing: Mapping[str, Any]) -> list[Any]:
    return [thing[name] for name in ("kind", "id", "name", "stack", "usd_per_hour")]


def write_receipt(receipt: Receipt, folder: Path) -> str:
    """Write receipt.json and receipt.html to the folder; return the SHA-256 of receipt.json.

    One folder is of one teardown. Where an earlier attempt wrote a receipt of the same substance there, that
    one stays as it is. One of another substance stays too, under the beginning of its digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, text = folder / "receipt.json", _as_text(receipt.to_dict())
    if file.is_file():
        before = file.read_bytes()
        known = hashlib.sha256(before).hexdigest()
        if _is_same(before, text):
            return known
        (folder / f"receipt-{known[:12]}.json").write_bytes(before)
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_whole(folder / "receipt.html", render(receipt_page(receipt, digest)))
    write_whole(file, text)  # last: where it is, its page is
    return digest


def _is_same(before: bytes, text: str) -> bool:
    """Return whether a file has a receipt of the same substance; not so where it is half a file."""
    try:
        return substance(json.loads(before)) == substance(json.loads(text))
    except (ValueError, KeyError, TypeError):
        return False


def _as_text(receipt: Mapping[str, Any]) -> str:
    return json.dumps(receipt, indent=2, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: object) -> str:
    assert isinstance(value, datetime.datetime), f"a receipt holds no {type(value)}"
    return value.isoformat(timespec="seconds")


def receipt_page(receipt: Receipt, digest: str) -> ReceiptPage:
    """Return the receipt as its page shows it."""
    facts = [
        ("environment", receipt.environment),
        ("cloud", f"{receipt.cloud}, {receipt.region}"),
        ("by", receipt.actor),
        ("from", _moment(receipt.began)),
        ("to", _moment(receipt.ended)),
        ("estimated cost", usd(sum(each.usd or 0.0 for each in receipt.stacks))),
        ("prices", price_note()),
        ("SHA-256 of receipt.json", digest),
    ]
    if receipt.anyway:
        facts.append(("done anyway, because", receipt.anyway))
    return ReceiptPage(
        title=f"Teardown of {receipt.environment}",
        verdict=receipt.verdict,
        good=receipt.proven,
        facts=tuple(facts),
        overridden=receipt.overridden,
        sections=tuple(_sections(receipt)),
    )


def _sections(receipt: Receipt) -> Iterable[Section]:
    if receipt.left:
        yield _things("Left behind", "Delete each of these by hand, or find out whose it is.", receipt.left)
    if receipt.not_looked:
        unseen = tuple((each.title, each.why) for each in receipt.not_looked)
        note = "These could not be listed, so nothing is known about them."
        yield Section(title="Not looked at", note=note, headers=("what", "why"), rows=unseen)
    rows = tuple(
        (
            each.stack,
            each.fate,
            _moment(each.created),
            _moment(each.ended),
            duration(each.hours),
            usd(each.usd_per_hour),
            "" if each.usd is None else usd(each.usd),
        )
        for each in receipt.stacks
    )
    headers = ("stack", "what became of it", "created", "ended", "lived", "an hour", "estimated cost")
    yield Section(title="Stacks", note="", headers=headers, rows=rows, amounts=(4, 5, 6))
    if receipt.kept:
        yield _things(
            "Kept on purpose", "What stands with the base, or what its file says to retain.", receipt.kept
        )
    if receipt.ending:
        yield _things("Ending by themselves", "These cost nothing and need nobody.", receipt.ending)
    if receipt.machines:
        yield _things("What cost money by the hour before", "", receipt.machines)
    made = tuple(
        (each.stack, resource.address, resource.id) for each in receipt.stacks for resource in each.resources
    )
    yield Section(title="What had been made", note="", headers=("stack", "resource", "id"), rows=made)


def _things(title: str, note: str, things: tuple[Thing, ...]) -> Section:
    rows = tuple((each.kind, each.id, each.name, usd(each.usd_per_hour), each.note) for each in things)
    total = usd(hourly(things))
    return Section(
        title=title,
        note=f"{note} Together {total} an hour.".strip(),
        headers=("kind", "id", "name", "an hour", "note"),
        rows=rows,
        amounts=(3,),
    )


def _moment(value: datetime.datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value else ""
