"""What a form for a recipe is made of: the knobs that people turn, and what each of them sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DataKind = Literal["pictures", "table", "text"]
KnobKind = Literal["whole", "choice", "column", "columns"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of the values of a knob."""

    value: str
    label: str
    """As people are asked."""
    settings: tuple[str, ...]
    """What it sets of the recipe."""
    tokens: int = 0
    """For text to be continued: how many tokens make a training sample."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """Something that people choose."""

    key: str
    kind: KnobKind
    """`whole`: a number; `choice`: one of `choices`; `column`, `columns`: of the data."""
    label: str
    why: str
    """What it does, and what it costs."""
    default: str | int = ""
    """"" for a column, which only the data knows."""
    unit: str = ""
    low: int = 0
    high: int = 0
    choices: tuple[Choice, ...] = ()
    setting: str = ""
    """The setting of the recipe that a column goes to."""
    required: bool = True

    @property
    def of_data(self) -> bool:
        """Whether it says how the data is read, and nothing of how it is learned from."""
        sets = [self.setting, *(each for choice in self.choices for each in choice.settings)]
        return any(each.startswith("data.") for each in sets)


@dataclass(frozen=True, kw_only=True)
class RecipeForm:
    """One thing that people may want."""

    key: str
    title: str
    text: str
    data_kind: DataKind
    items: str
    """What its data is counted in: pictures, rows, texts, tokens."""
    recipe: str
    knobs: tuple[Knob, ...]
    settings: tuple[str, ...]
    """What it always sets; what begins with `data` only for data of one's own."""
    known: tuple[str, ...]
    """The bundled data sets that it can be tried with."""

    def knobs_for(self, data: FormData) -> tuple[Knob, ...]:
        """Return what is asked for that data: a bundled set has its columns and sizes chosen already."""
        return tuple(knob for knob in self.knobs if not (data.known and knob.of_data))


@dataclass(frozen=True, kw_only=True)
class FormData:
    """The data that a form is filled in for."""

    items: int
    """How many pictures, rows, texts or tokens are trained on; the form says which."""
    path: str = ""
    """A file or folder of this machine, or s3://bucket/prefix; "" for a bundled set."""
    known: str = ""
    """Name of a bundled set, "" for data of one's own."""
    columns: tuple[str, ...] = ()
    """Of a table, or of texts in one."""
