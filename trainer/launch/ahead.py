"""What the zygote imports before it forks, so that it is imported once and not by every rank again."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LATER = ("numpy", "torch.distributed.checkpoint", "torch._dynamo")
"""Imported while the first ranks of any script run, for those of a restart. The first step of torch's own
optimizers imports the last one, compiled or not: half a second, or two on a busy machine."""
_RUN = ("torch._dynamo", "trainer.run")
_OURS = (*_RUN, "trainer.train")
_READ_AT_IMPORT = re.compile(rb"TORCH(DYNAMO|INDUCTOR|_COMPILE|_LOGS|_TRACE)")
"""Variables that those modules read when they are imported: a script that sets one imports them itself."""
_SCRIPT_BYTES = 1 << 20
_ASK_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Take what is imported meanwhile for what stays: Python's garbage collector looks at none of it.

    It would go through all of torch again and again, which is a quarter of the time that the import takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def ours(target: str, is_module: bool) -> tuple[str, ...]:
    """Return the modules of ours that the program will import: `-m trainer`, or a script that names Run.

    Nothing for a program beside which another `trainer` lies: it means that one.
    """
    if is_module and (target == "trainer" or target.startswith("trainer.")):
        return _OURS
    path = _source(target) if is_module else Path(target)
    if path is None or not path.is_file():
        return ()
    own = [path.parent / "trainer.py", path.parent / "trainer", Path("trainer.py"), Path("trainer")]
    if any(each.exists() and each.resolve() != ROOT / "trainer" for each in own):
        return ()
    with path.open("rb") as file:
        return _RUN if b"trainer.run" in file.read(_SCRIPT_BYTES) else ()


def later(target: str, is_module: bool) -> tuple[str, ...]:
    """Return the modules to import while the first ranks run."""
    path = _source(target) if is_module else Path(target)
    if path is not None and path.is_file():
        with path.open("rb") as file:
            if _READ_AT_IMPORT.search(file.read(_SCRIPT_BYTES)):
                return ()
    return LATER


def _source(module: str) -> Path | None:
    """Return a module's file without importing its packages; None where it is not found so simply."""
    for folder in (Path.cwd(), *(Path(entry) for entry in sys.path if entry)):
        base = folder.joinpath(*module.split("."))
        for file in (base.with_suffix(".py"), base / "__main__.py"):
            if file.is_file():
                return file
    return None


def import_all(names: Sequence[str]) -> bool:
    """Import them; returns whether it worked. Where it did not, the ranks meet the same error and tell it."""
    sys.path.insert(0, str(ROOT))
    # What asks on import whether there is a GPU asks the management library, and starts no CUDA.
    given = os.environ.get(_ASK_NVML)
    os.environ[_ASK_NVML] = "1"
    try:
        for name in names:
            importlib.import_module(name)
    except ImportError:
        return False
    finally:
        sys.path.remove(str(ROOT))
        if given is None:
            del os.environ[_ASK_NVML]
        else:
            os.environ[_ASK_NVML] = given
    return True


def gpu_is_open() -> bool:
    """Whether this process has started CUDA after all: then nothing that it forks can use a GPU."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own descriptor is gone by now
            links.append(str(entry.readlink()))
    return any(link.startswith("/dev/nvidia-uvm") for link in links)
