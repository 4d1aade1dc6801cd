"""torch.compile for a model's blocks or all of it, with what it made carried over to the next start."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.configs.settings import RunSettings
from trainer.distributed import World
from trainer.engine.failures import is_out_of_memory
from trainer.engine.parallel import Device, Placed, device_of

CACHE = "compile-cache"
"""Folder of the run directory with what torch.compile made."""


def choose_compile(settings: RunSettings, has_blocks: bool, device: Device) -> str:
    """Return off, blocks or whole; auto compiles on a GPU, by blocks where the model repeats them."""
    if settings.compile != "auto":
        if settings.compile == "blocks" and not has_blocks:
            warnings.warn("compile: the model has no four blocks alike: all of it is compiled", stacklevel=4)
            return "whole"
        return settings.compile
    if device.kind != "cuda":
        return "off"
    return "blocks" if has_blocks else "whole"


class Compiling:
    """Compiles a placed model, and keeps what was made in the run directory.

    One block's code serves all that are alike, which makes the first step several times shorter than that of
    the whole model. Where compiling fails the model goes on as it is, with a warning.
    """

    def __init__(self, placed: Placed, settings: RunSettings, world: World, run_dir: Path) -> None:
        self.mode = choose_compile(settings, bool(placed.blocks), device_of(world))
        self._world = world
        name = f"torch-{torch.__version__}-{world.device_name()}".replace(" ", "-").replace("/", "-")
        self._file = run_dir / CACHE / name
        if self.mode == "off":
            return
        self._load()
        for module in placed.blocks if self.mode == "blocks" else [placed.module]:
            compile_in_place(module)

    def keep(self) -> None:
        """Write what was made in the first steps, once, from rank 0."""
        if self.mode == "off" or not self._world.is_main or self._file.exists():
            return
        save = getattr(torch.compiler, "save_cache_artifacts", None)
        made = save() if save is not None else None
        if made is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f".{self._file.name}.partial")
        partial.write_bytes(made[0])
        partial.replace(self._file)

    def _load(self) -> None:
        """Take what an earlier start made, on every process of this machine that finds it."""
        load = getattr(torch.compiler, "load_cache_artifacts", None)
        if load is None or not self._file.is_file():
            return
        try:
            load(self._file.read_bytes())
        except Exception as error:  # a cache is never worth a run
            warnings.warn(f"compile: {self._file} cannot be used ({error}): compiling anew", stacklevel=2)
            if self._world.is_main:
                self._file.unlink(missing_ok=True)


def compile_in_place(module: nn.Module) -> None:
    """Compile the module's call; its parameters keep their names. A failing compiler leaves it as it was."""
    module.compile()
    compiled: Callable[..., Any] | None = getattr(module, "_compiled_call_impl", None)
    assert compiled is not None, "nn.Module.compile sets the call"

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(*args, **kwargs)
        except Exception as error:
            if not _by_compiler(error):
                raise
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(f"compile: it failed, going on without ({reason})", stacklevel=2)
            module._compiled_call_impl = None
            return module._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]

    module._compiled_call_impl = call


def _by_compiler(error: BaseException) -> bool:
    """Return whether torch's compiler has failed, and not the model or the memory."""
    if is_out_of_memory(error):
        return False
    name = type(error).__module__
    return name.startswith(("torch._dynamo", "torch._inductor", "torch._functorch"))
