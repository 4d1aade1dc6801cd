"""Trains a recipe: `python -m trainer RECIPE_OR_TOML [key=value ...]`, alone or under torchrun."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from trainer.config import Config, ConfigError, load_config, recipe_names

EXIT_FAILED = 1
EXIT_USER_MISTAKE = 2
EXIT_PREEMPTED = 75
"""Told to stop, checkpoint saved: run the same command again (EX_TEMPFAIL of sysexits.h)."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 trained, 1 failed, 2 the user's mistake, 75 told to stop and saved."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("recipe", nargs="?", help="a bundled recipe's name, or a .toml file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings, as `samples=1000 model.channels=32`"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the bundled recipes and exit")
    parser.add_argument("--print-config", action="store_true", help="print every setting as TOML and exit")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(recipe_names()))
        return 0
    if options.recipe is None:
        parser.error("name a recipe: " + ", ".join(recipe_names()))
    try:
        config = load_config(options.recipe, options.overrides)
        if options.print_config:
            print(toml_text(config.to_dict()), end="")
            return 0
        return run(config)
    except ConfigError as error:
        # Every process finds the same mistakes; one of them tells.
        return fail(*(error.problems if os.environ.get("RANK", "0") == "0" else ()), code=EXIT_USER_MISTAKE)


def run(config: Config) -> int:
    """Join the other processes, train, and write the summary; returns the exit code."""
    # torch takes seconds to import: not for --list, --print-config or a mistyped key.
    from trainer.data.errors import DatasetError
    from trainer.distributed import NoDeviceError, join_world
    from trainer.loop import DivergedError, StopRequest, train

    stop = StopRequest()
    try:
        world = join_world(config.device)
    except NoDeviceError as error:
        return fail(str(error), code=EXIT_USER_MISTAKE)
    run_dir = run_directory(config)
    try:
        if world.is_main:
            run_dir.mkdir(parents=True, exist_ok=True)
            print(
                f"{config.recipe}: {world.world_size} x {world.device.type}, run directory {run_dir}",
                flush=True,
            )
        result = train(config, world, run_dir, stop)
    except DivergedError as error:
        return fail(*([str(error)] if world.is_main else []), code=EXIT_FAILED)
    except DatasetError as error:
        return fail(str(error), code=EXIT_USER_MISTAKE)
    except OSError as error:
        return fail(f"the run directory or the data cannot be used: {error}", code=EXIT_FAILED)
    if world.is_main and result.finished:
        write_summary(run_dir, result.summary)
    elif world.is_main:
        print(f"told to stop: saved after step {result.summary['steps']}; run again to go on", flush=True)
    return 0 if result.finished else EXIT_PREEMPTED


def run_directory(config: Config) -> Path:
    """Return $FLEETFORM_RUN_DIR, else a new folder below ./runs named after the recipe and the time."""
    given = os.environ.get("FLEETFORM_RUN_DIR")
    return Path(given) if given else Path("runs") / f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}"


def write_summary(run_dir: Path, summary: dict[str, Any]) -> None:
    """Write summary.json and print the result; the summary of an attempt that had steps to do is kept."""
    from trainer.checkpoint import write_durably
    from trainer.metrics import SUMMARY, seconds_since_process_start

    path = run_dir / SUMMARY
    if summary["resumed_from_step"] == summary["steps"] and path.exists():
        print(f"already trained: {path} is left as it is", flush=True)
        return
    summary = summary | {"wall_seconds": seconds_since_process_start()}
    write_durably(path, json.dumps(summary, indent=1) + "\n")
    metrics = "  ".join(f"{name} {value:.5g}" for name, value in summary["metrics"].items())
    print(
        f"done: {metrics}  train {summary['train_seconds']:.1f} s, wall {summary['wall_seconds']:.1f} s",
        flush=True,
    )


def toml_text(table: dict[str, Any]) -> str:
    """Return the configuration as TOML that `python -m trainer FILE.toml` reads back."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for section, inner in table.items():
        if isinstance(inner, dict):
            lines += ["", f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in inner.items())]
    return "\n".join(lines) + "\n"


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
