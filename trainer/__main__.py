"""Trains a recipe: `python -m trainer RECIPE_OR_TOML [key=value ...]`, alone or under a launcher."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from trainer.config import Config, ConfigError, load_config, recipe_names
from trainer.configs.printed import config_text
from trainer.launch.ahead import lasting

OPTIONS = {
    "--list": "print the names of the bundled recipes and exit",
    "--print-config": "print every setting as TOML, with where it is from, and exit",
    "--dry-run": "print what auto becomes and what each process needs, after a trial step, and exit",
}
EXIT_FAILED = 1
EXIT_USER_MISTAKE = 2
EXIT_PREEMPTED = 75
"""Told to stop, checkpoint saved: run the same command again (EX_TEMPFAIL of sysexits.h)."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 trained, 1 failed, 2 the user's mistake, 75 stopped and saved, 76 out of memory."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("recipe", nargs="?", help="a bundled recipe's name, or a .toml file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings, as `samples=1000 model.channels=32`"
    )
    for option, what in OPTIONS.items():
        parser.add_argument(option, action="store_true", help=what)
    parser.add_argument("--ranks", type=int, help="with --dry-run: processes to plan for (default 1)")
    parser.add_argument(
        "--device-gib",
        type=float,
        default=80.0,
        help="with --dry-run device=cuda: a GPU's memory (default 80)",
    )
    options = parser.parse_intermixed_args(arguments)
    if options.list:
        print("\n".join(recipe_names()))
        return 0
    if options.recipe is None:
        parser.error("name a recipe: " + ", ".join(recipe_names()))
    if options.ranks is not None and (options.ranks < 1 or not options.dry_run):
        parser.error("--ranks: a positive number, together with --dry-run")
    try:
        config = load_config(options.recipe, options.overrides)
        if options.print_config:
            print(config_text(config, options.recipe, options.overrides), end="")
        if options.dry_run:
            from trainer.dry_run import dry_run

            print(dry_run(config, options.ranks or 1, options.device_gib), end="")
        return 0 if options.print_config or options.dry_run else run(config)
    except ConfigError as error:
        # Every process finds the same mistakes; one of them tells.
        return fail(*(error.problems if os.environ.get("RANK", "0") == "0" else ()), code=EXIT_USER_MISTAKE)


def run(config: Config) -> int:
    """Join the other processes, train, and write the summary; returns the exit code."""
    # torch takes seconds to import: not for --list, --print-config or a mistyped key.
    with lasting():
        from trainer.train import start

    run_dir = run_directory(config)
    try:
        engine = start(config, run_dir)
    except OSError as error:
        return fail(f"the run directory cannot be used: {error}", code=EXIT_FAILED)
    try:
        if engine.world.is_main:
            processes = f"{engine.world.world_size} x {engine.device.type}"
            print(f"{config.recipe}: {processes}, run directory {run_dir}", flush=True)
        return attempt(config, engine)
    finally:
        engine.close()


def attempt(config: Config, engine: Any) -> int:
    """Train with an engine that has joined the others; returns the exit code."""
    from trainer.data.errors import DatasetError
    from trainer.engine.failures import DivergedError, NotSavedError, is_out_of_memory
    from trainer.train import train

    is_main = engine.world.is_main
    try:
        result = train(config, engine)
    except Exception as error:
        engine.around.pulse.cause(f"{type(error).__name__}: {error}")  # the launcher's word for it
        if isinstance(error, DivergedError | NotSavedError):
            return fail(*([str(error)] if is_main else []), code=EXIT_FAILED)
        if isinstance(error, DatasetError):
            return fail(str(error), code=EXIT_USER_MISTAKE)
        if isinstance(error, OSError):
            return fail(f"the run directory or the data cannot be used: {error}", code=EXIT_FAILED)
        if not is_out_of_memory(error):
            raise
        line, code = engine.out_of_memory()
        print(line, file=sys.stderr, flush=True)
        return int(code)
    if result.finished and is_main:
        tell_result(engine.run_dir, result.summary, written=result.written)
    return 0 if result.finished else EXIT_PREEMPTED


def run_directory(config: Config) -> Path:
    """Return $FLEETFORM_RUN_DIR, else a new folder below ./runs named after the recipe and the time."""
    given = os.environ.get("FLEETFORM_RUN_DIR")
    return Path(given) if given else Path("runs") / f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}"


def tell_result(run_dir: Path, summary: dict[str, Any], *, written: bool) -> None:
    """Print the result; that of an attempt with nothing left to do was told by the one before."""
    if not written:
        print(f"already trained: {run_dir / 'summary.json'} is left as it is", flush=True)
        return
    shown = {name: value for name, value in summary["metrics"].items() if isinstance(value, int | float)}
    metrics = "  ".join(f"{name} {value:.5g}" for name, value in shown.items())
    train, wall = summary["train_seconds"], summary["wall_seconds"]
    print(f"done: {metrics}  train {train:.1f} s, wall {wall:.1f} s", flush=True)


def fail(*problems: str, code: int) -> int:
    """Print what is wrong and return the exit code."""
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr, flush=True)
    return code


def leave(code: int) -> NoReturn:
    """End the process at once, its output written and nothing taken apart.

    Taking apart a process group aborts now and then, and torchrun then calls a finished run failed. Seen with
    torch 2.13 over gloo among about a dozen runs of two processes: "terminate called without an active
    exception" once for certain; two more ended the same way, but their logs were not saved.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
