"""A model to take home: one zip with the model, its card, its lineage, its metrics and the digests of all."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fleet.errors import ActError
from fleet.lineage import Lineage, lineage
from fleet.run_store import RunStore
from templates.engine import render
from templates.model_card import ModelCard

BESIDE = ("summary.json", "evaluation.json", "data.json", "metrics.jsonl", "receipt.json")
"""Files of the run that go along, where it has them."""
SUMS = "SHA256SUMS"
CHUNK = 2**20
_ZIP64_FROM = 2**31 - 1
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can tell."""


@dataclass(frozen=True)
class Pack:
    """A zip that is made while it is read."""

    name: str
    """A name for the file."""
    lineage: Lineage
    chunks: Iterator[bytes]
    """Its bytes. A file that is not what its node uploaded is an ActError on the way: the zip then has no
    list of its files and is none, so that nobody takes it for whole."""


def pack(store: RunStore, run_id: str) -> Pack:
    """Return the zip of a run's model; raises UserError where there is none, before anything is sent.

    It is not compressed (weights hardly get smaller), takes no room on this machine, and is the same each
    time. `sha256sum -c SHA256SUMS` in its folder proves it without fleetform.
    """
    found = lineage(store, run_id)
    return Pack(f"{run_id}-model.zip", found, _zip(store, found))


def card(found: Lineage, trainer_card: str = "") -> str:
    """Return the model card with the lineage, Markdown; `trainer_card` is what the trainer wrote."""
    return render(
        ModelCard(
            run_id=found.run_id,
            facts=tuple((name, _quoted(value)) for name, value in facts(found) if value),
            gaps=found.gaps,
            files=tuple((file.name, f"{file.size:,}", file.sha256) for file in found.files),
            trainer_card=_below_a_heading(trainer_card),
        )
    )


def facts(found: Lineage) -> list[tuple[str, str]]:
    """Return the lineage as names and values in words; a value is "" where it is not known."""
    program = " ".join((found.program, *found.overrides))
    machines = [f"{found.machines.count(each)} x {each}" for each in dict.fromkeys(found.machines)]
    return [
        ("model, SHA-256", found.model_sha256),
        ("data", found.data_name),
        ("data, SHA-256", found.data_digest),
        ("data from", found.data_source),
        ("data, licence", found.data_licence),
        ("data as uploaded, SHA-256", found.upload_digest),
        ("recipe or script", program),
        ("settings, SHA-256", found.settings_digest),
        ("code, SHA-256", found.code_sha256),
        ("code, commit", found.code_commit),
        ("packages, SHA-256", found.packages_sha256),
        ("torch", found.torch),
        ("run", found.run_id),
        ("environment", found.environment),
        ("machines", ", ".join(machines)),
        ("processes", str(found.processes)),
        ("submitted by", found.actor),
        ("submitted", found.submitted),
        ("ended", found.ended),
        ("cost at list price", "" if found.usd is None else f"{found.usd:.2f} USD"),
    ]


def _quoted(value: str) -> str:
    """Return a value for a table in Markdown, where it can be nothing but itself."""
    return "`" + value.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"


def _below_a_heading(text: str) -> str:
    """Return a page of Markdown with each heading one level lower; what is code in it stays as it is."""
    lines, code = [], False
    for line in text.splitlines():
        code ^= line.startswith("```")
        lines.append(f"#{line}" if line.startswith("#") and not code else line)
    return "\n".join(lines)


def _zip(store: RunStore, found: Lineage) -> Iterator[bytes]:
    sink, sums = _Sink(), list[str]()
    moment = _moment(found.ended)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, size, recorded, body in _contents(store, found):
            entry = zipfile.ZipInfo(f"{found.run_id}/{name}", moment)
            entry.external_attr = 0o644 << 16
            digest = hashlib.sha256()
            with archive.open(entry, "w", force_zip64=size > _ZIP64_FROM) as file:
                for chunk in body:
                    digest.update(chunk)
                    file.write(chunk)
                    yield sink.take()
            if recorded and digest.hexdigest() != recorded:
                raise ActError(f"{name} of the run {found.run_id} is damaged: its SHA-256 is another")
            sums.append(f"{digest.hexdigest()}  {name}\n")
        archive.writestr(zipfile.ZipInfo(f"{found.run_id}/{SUMS}", moment), "".join(sums))
    yield sink.take()


def _contents(store: RunStore, found: Lineage) -> Iterator[tuple[str, int, str, Iterable[bytes]]]:
    """Yield name, size, recorded SHA-256 and the bytes of each file of the zip but the last."""
    told = store.get(found.run_id, "model/README.md") or b""
    text = card(found, told.decode(errors="replace")).encode()
    table = json.dumps(found.to_dict(), indent=1, ensure_ascii=False).encode() + b"\n"
    for name, body in (("MODEL_CARD.md", text), ("lineage.json", table)):
        yield name, len(body), "", [body]
    for name in BESIDE:
        if (written := store.get(found.run_id, name)) is not None:
            yield name, len(written), "", [written]
    for file in found.files:
        key = f"runs/{found.run_id}/{file.name}"
        answer = store.s3.get_object(Bucket=store.bucket, Key=key)
        yield file.name, file.size, file.sha256, answer["Body"].iter_chunks(CHUNK)


def _moment(time: str) -> tuple[int, int, int, int, int, int]:
    """Return a time in ISO 8601 as a zip tells it."""
    if not time:
        return _EPOCH
    ended = datetime.datetime.fromisoformat(time)
    return ended.year, ended.month, ended.day, ended.hour, ended.minute, ended.second


class _Sink(io.RawIOBase):
    """What the zip is written to: it can't be sought in, and gives up what it has."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Keep what is written."""
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken
