"""What the check of an upload has found, kept in its folder: the report, and a few items to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fleet.data_check import Broken, DataReport
from fleet.data_preview import Preview, ShownColumn, ShownPicture, ShownText

_FILE, _PICTURES = "found.json", "pictures"


@dataclass(frozen=True)
class Findings:
    """What was found."""

    report: DataReport
    preview: Preview | None
    """None where there is nothing to show."""


def write_findings(folder: Path, found: Findings) -> None:
    """Keep what was found; it is there whole, or not at all."""
    preview, told = found.preview, None
    if preview is not None:
        (folder / _PICTURES).mkdir(exist_ok=True)
        for number, picture in enumerate(preview.pictures):
            (folder / _PICTURES / f"{number}.png").write_bytes(picture.png)
        bare = tuple(replace(picture, png=b"") for picture in preview.pictures)
        told = asdict(replace(preview, pictures=()))
        told["pictures"] = [
            {key: value for key, value in asdict(each).items() if key != "png"} for each in bare
        ]
    partial = folder / f"{_FILE}.partial"
    about = {"report": found.report.to_dict(), "preview": told}
    partial.write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    partial.replace(folder / _FILE)


def read_findings(folder: Path) -> Findings | None:
    """Return what was found, None where nothing has been looked at."""
    try:
        about = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    preview = about["preview"]
    return Findings(DataReport.from_dict(about["report"]), _preview(folder, preview) if preview else None)


def picture(folder: Path, number: int) -> bytes | None:
    """Return a picture of the preview as PNG, None where there is none of that number, or it is broken."""
    try:
        return (folder / _PICTURES / f"{number}.png").read_bytes() or None
    except FileNotFoundError:
        return None


def _preview(folder: Path, told: Mapping[str, Any]) -> Preview:
    pictures = tuple(
        ShownPicture(**each, png=picture(folder, number) or b"")
        for number, each in enumerate(told["pictures"])
    )
    columns = tuple(
        ShownColumn(**{**each, "values": tuple((value, count) for value, count in each["values"])})
        for each in told["columns"]
    )
    return Preview(
        **{
            **told,
            "pictures": pictures,
            "columns": columns,
            "texts": tuple(ShownText(**each) for each in told["texts"]),
            "broken": tuple(Broken(**each) for each in told["broken"]),
            "rows": tuple(told["rows"]),
        }
    )
