"""`make demo`: the whole round trip in the sandbox, as a user would type it, with a table of where time went.

It has a project folder of its own (`.fleetform/demo`), so it never touches anybody's environment or sandbox.
A demo that was killed is gone on with: Terraform finishes what it began, active runs are cancelled, and `up`
brings the environment to what its file says. Only where that fails, everything is thrown away and begun anew.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from node.speedup_lines import speedup_lines
from scripts.console_io import say, table
from scripts.demo_lock import HOME, LOCK, UNFINISHED, end_leftover_command, take_over

ENVIRONMENT = "demo"
RECIPE = "digits"
SAMPLES = os.environ.get("FLEETFORM_DEMO_SAMPLES", "")
"""How many the training looks at, for rehearsals; "" for as many as the recipe says."""


class PhaseError(Exception):
    """A command of the demo ended with an exit code that the demo did not expect."""


class Demo:
    """One run of the demo: its phases, and the seconds that each took."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self.variables = {**os.environ, "FLEETFORM_HOME": str(HOME / ".fleetform"), "PYTHONUNBUFFERED": "1"}
        self.variables.pop("FLEETFORM_CLOUD", None)

    def phase(self, name: str, act: Callable[[], None]) -> None:
        """Run one phase and note its seconds."""
        say(f"\n=== {name}")
        begin = time.monotonic()
        act()
        self.seconds.append((name, time.monotonic() - begin))

    def fleetform(self, *words: str, expect: Sequence[int] = (0,), capture: bool = False) -> str:
        """Run a fleetform command as a user would, and return its standard output when captured."""
        return self.command(
            [sys.executable, "-m", "scripts.cli", *words], ("fleetform", *words), expect, capture
        )

    def command(
        self, argv: list[str], shown: Sequence[str], expect: Sequence[int], capture: bool = False
    ) -> str:
        """Run a program in the demo's project folder; raises PhaseError on an unexpected exit code."""
        say(f"$ {shlex.join(shown)}")
        sys.stdout.flush()
        variables = {**self.variables, "PYTHONPATH": str(Path(__file__).parent.parent)}
        with subprocess.Popen(
            argv, cwd=HOME, env=variables, text=True, stdout=subprocess.PIPE if capture else None
        ) as child:
            UNFINISHED.write_text(json.dumps({"child": child.pid}))
            output, _ = child.communicate()
        if child.returncode not in expect:
            raise PhaseError(f"`{shlex.join(shown)}` ended with exit code {child.returncode}")
        return output or ""

    # ------------------------------------------------------------------------------------------- phases

    def run(self, *, going_on: bool) -> None:
        """Run all phases in order."""
        (HOME / "environments").mkdir(parents=True, exist_ok=True)
        self.phase("start the embedded cloud", lambda: void(self.fleetform("sandbox", "start")))
        if going_on:
            self.phase("settle what the earlier demo left running", self.settle)
        self.phase("declare and check", self.declare)
        self.phase("plan", lambda: void(self.fleetform("plan", ENVIRONMENT)))
        self.phase("up", lambda: void(self.fleetform("up", ENVIRONMENT, "--yes")))
        self.phase(
            "a second plan is empty", lambda: void(self.fleetform("plan", ENVIRONMENT, "--detailed-exitcode"))
        )
        self.phase("train on 1 node", lambda: self.train(1))
        self.phase("train on 2 nodes", lambda: self.train(2))
        self.phase("compare", self.compare)
        self.phase("fetch the model and use it", self.use_model)
        self.phase(
            "down, with a receipt", lambda: void(self.fleetform("down", ENVIRONMENT, "--base", "--yes"))
        )
        self.phase("verify the ledger", self.verify)
        self.phase("stop the embedded cloud", lambda: void(self.fleetform("sandbox", "stop")))

    def settle(self) -> None:
        """Cancel the runs that an interrupted demo left behind, where its environment stands."""
        listing = self.fleetform("runs", ENVIRONMENT, "--json", expect=(0, 1, 2), capture=True)
        for run in json.loads(listing or "[]"):
            if run["active"]:
                self.fleetform("cancel", ENVIRONMENT, run["run_id"])

    def declare(self) -> None:
        """Write the environment's file, as a new team would, and check it."""
        if not (HOME / "environments" / f"{ENVIRONMENT}.toml").exists():
            self.fleetform(
                "init", ENVIRONMENT, "--team", "demo", "--owner", "you@example.com",
                "--instance-type", "g5.xlarge", "--nodes", "2", "--delete-data",
            )  # fmt: skip
        self.fleetform("check")

    def train(self, nodes: int) -> None:
        """Train the digits on that many nodes of one process each, and wait for it."""
        fewer = [f"samples={SAMPLES}"] if SAMPLES else []
        self.fleetform(
            "run", ENVIRONMENT, "--recipe", RECIPE, *fewer,
            "--nodes", str(nodes), "--procs-per-node", "1", "--follow",
        )  # fmt: skip

    def finished_runs(self) -> list[dict[str, object]]:
        """Return the newest successful run for 1 node and for 2."""
        runs = json.loads(self.fleetform("runs", ENVIRONMENT, "--json", capture=True))
        done = [run for run in runs if run["state"] == "SUCCEEDED"]
        newest = {run["nodes"]: run for run in sorted(done, key=lambda run: str(run["submitted"]))}
        return [newest[1], newest[2]]

    def compare(self) -> None:
        """Fetch both runs, print their accuracy and times side by side, and what the receipt says of two."""
        rows = []
        for run in self.finished_runs():
            self.fleetform("fetch", ENVIRONMENT, str(run["run_id"]))
            summary = json.loads((HOME / "runs" / str(run["run_id"]) / "summary.json").read_text())
            rows.append((run, summary))
        (_, single), (_, double) = rows
        cut = 1 - double["train_seconds"] / single["train_seconds"]
        say(
            table(
                ("nodes x processes", "samples", "accuracy", "training s", "process s"),
                [
                    (f"{run['nodes']} x 1", summary["samples"], f"{summary['metrics']['accuracy']:.2%}",
                     f"{summary['train_seconds']:.1f}", f"{summary['wall_seconds']:.1f}")
                    for run, summary in rows
                ],
                right=(1, 2, 3, 4),
            )
        )  # fmt: skip
        say(f"two nodes cut the training time by {cut:.0%}; the receipt, by the median time of a step:")
        receipt = json.loads(
            (HOME / "runs" / str(self.finished_runs()[1]["run_id"]) / "receipt.json").read_text()
        )
        for line in speedup_lines(receipt["speedup"]):
            say(f"  {line}")

    def use_model(self) -> None:
        """Classify a few held-out digits with the model that two nodes trained."""
        run = self.finished_runs()[1]
        model = HOME / "runs" / str(run["run_id"]) / "model"
        argv = [sys.executable, "-m", "trainer.predict", str(model), "--count", "4"]
        self.command(
            argv, ["python", "-m", "trainer.predict", str(model.relative_to(HOME)), "--count", "4"], (0,)
        )

    def verify(self) -> None:
        """Verify the ledger where it lies, export it, and verify the copy offline."""
        self.fleetform("audit", "verify")
        folder = HOME / "ledger-export"
        shutil.rmtree(folder, ignore_errors=True)
        self.fleetform("audit", "export", "--to", folder.name)
        argv = [sys.executable, "-I", "-S", str(folder / "chain.py"), str(folder)]
        self.command(argv, ["python", "ledger-export/chain.py", "ledger-export"], (0,))

    def report(self) -> None:
        """Print where the time went."""
        rows = [(name, f"{seconds:.1f}") for name, seconds in self.seconds]
        total = sum(seconds for _, seconds in self.seconds)
        say("\n" + table(("phase", "seconds"), [*rows, ("total", f"{total:.1f}")], right=(1,)))
        say(f"\nreceipts, runs and the ledger's copy lie in {HOME}")


def void(_: object) -> None:
    """Throw a value away: a phase returns nothing."""


def reset() -> None:
    """Throw away all that an earlier demo left: its sandbox with everything in it, and its files."""
    Demo().fleetform("sandbox", "stop", expect=range(256))
    for entry in HOME.iterdir():
        if entry == LOCK:
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def main() -> int:
    """Run the demo; return 0, or 1 where a phase failed."""
    lock = take_over()
    going_on = UNFINISHED.exists()
    if going_on:
        say("an earlier demo did not finish; this one goes on with what it left")
        end_leftover_command()
    try:
        demo = Demo()
        try:
            demo.run(going_on=going_on)
        except (PhaseError, json.JSONDecodeError, KeyError) as failure:
            if not going_on:
                raise
            say(f"{failure}; what the earlier demo left can't be gone on with: beginning anew")
            reset()
            demo = Demo()
            demo.run(going_on=False)
    except PhaseError as failure:
        say(f"failed: {failure}")
        return 1
    UNFINISHED.unlink(missing_ok=True)
    demo.report()
    lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
