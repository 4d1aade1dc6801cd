"""What the zygote imports before it forks, so that it is imported once and not by every rank again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LATER = ("numpy", "torch.distributed.checkpoint")
"""Imported while the first ranks of any script run, for those of a restart; none opens a device."""
_OURS = {"trainer": ("trainer.run", "trainer.train"), "trainer.run": ("trainer.run",)}
_SCRIPT_BYTES = 1 << 20


def ours(target: str, is_module: bool) -> tuple[str, ...]:
    """Return the modules of ours that the program will import: `-m trainer`, or a script that names Run.

    Nothing for a program beside which another `trainer` lies: it means that one.
    """
    if is_module and (target == "trainer" or target.startswith("trainer.")):
        return _OURS["trainer"]
    path = _source(target) if is_module else Path(target)
    if path is None or not path.is_file():
        return ()
    own = [path.parent / "trainer.py", path.parent / "trainer", Path("trainer.py"), Path("trainer")]
    if any(each.exists() and each.resolve() != ROOT / "trainer" for each in own):
        return ()
    with path.open("rb") as file:
        return _OURS["trainer.run"] if b"trainer.run" in file.read(_SCRIPT_BYTES) else ()


def _source(module: str) -> Path | None:
    """Return a module's file without importing its packages; None where it is not found so simply."""
    for folder in (Path.cwd(), *(Path(entry) for entry in sys.path if entry)):
        base = folder.joinpath(*module.split("."))
        for file in (base.with_suffix(".py"), base / "__main__.py"):
            if file.is_file():
                return file
    return None


def import_ours(names: Sequence[str]) -> bool:
    """Import them; returns whether it worked. Where it did not, the ranks meet the same error and tell it."""
    sys.path.insert(0, str(ROOT))
    try:
        for name in names:
            importlib.import_module(name)
    except ImportError:
        return False
    finally:
        sys.path.remove(str(ROOT))
    return True
