"""One round trip with its faults: up, runs, down, each hit, repeated plainly, and looked at.

`python -m benchmarks.faults.trip SEED NUMBER...` prints one JSON object a scenario; those of the trip that
are not named go by without a fault. With `--small-disk` it runs where it may mount.

An up that does not come to an end, however often it is given, ends the trip.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.checks import check_account, check_ledger, check_standing, inventory
from benchmarks.faults.ground import NAME, Done, Ground, Running, make_ground
from benchmarks.faults.injuries import rule_of
from benchmarks.faults.results import Row
from benchmarks.faults.scenarios import SLOTS, Scenario, draw
from sandbox.asking import SandboxError

WORDS = {
    "up": ("up", NAME, "--yes"),
    "run": ("run", NAME, "--follow", "--max-minutes", "10", "--", "code/work.py"),
    "down": ("down", NAME, "--base", "--yes", "--json", "--anyway", "the campaign is over"),
}
"""The commands as they are given, the first time and again."""
_REPEATS = 3
_TOLD = 1500
"""Characters of what a command said last that are kept where it did not do what was asked."""


class Trip:
    """One environment from nothing to nothing, with faults on the way."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self.ground, self.seed = ground, seed
        self.succeeded: set[str] = set()
        """The runs that have reported success so far."""

    def go(self, trip: int, numbers: Sequence[int]) -> Iterator[Row]:
        """Lead the environment through; yield what became of the scenarios with these numbers."""
        before, rows, left = inventory(self.ground), list[Row](), list[str]()
        for slot, command in enumerate(SLOTS):
            number = trip * len(SLOTS) + slot
            plain = Row(seed=self.seed, number=number, command=command, phase="", injury="", place=0)
            if number in numbers:
                rows.append(self.suffer(draw(self.seed, number)))
            elif command != "run":
                self.repeat(command, plain)
                left += plain.leftovers
            if command == "up" and 0 not in (rows or [plain])[-1].repeats:
                yield from rows
                return
        left += [*sorted(inventory(self.ground) - before), *check_account(self.ground)]
        for row in rows:
            row.leftovers += [each for each in left if each not in row.leftovers]
        yield from rows

    def suffer(self, scenario: Scenario) -> Row:
        """Give the scenario's command with its fault, then again without, and look at what is there."""
        begun = time.monotonic()
        row = Row(
            seed=self.seed, number=scenario.number, command=scenario.phase.command, phase=scenario.phase.name,
            injury=scenario.injury.name, place=scenario.place,
        )  # fmt: skip
        print(f"{scenario}", file=sys.stderr, flush=True)
        done = self.injure(scenario, row)
        row.first = done.code
        if "Traceback (most recent call last)" in done.said:
            row.notes.append(f"a traceback: {done.said[-_TOLD:]}")
        self.repeat(row.command, row)
        if row.command == "down":
            row.ledger += check_ledger(self.ground)
        else:
            found = check_standing(self.ground, self.succeeded)
            row.ledger, row.lost, row.doubled = found.ledger, found.lost, found.doubled
        row.seconds = round(time.monotonic() - begun, 1)
        return row

    def injure(self, scenario: Scenario, row: Row) -> Done:
        """Give the command while the fault is in force; return how it ended."""
        ground, injury = self.ground, scenario.injury
        if injury.act == "disk" and ground.disk is None:
            row.notes.append("no small disk can be had on this computer: nothing was done")
            return ground.run(*WORDS[row.command])
        machine = ground.machine(injury.machine) if injury.machine else ""
        rule = rule_of(injury, scenario.phase, scenario.place, machine)
        [fault] = ground.admin("POST", "faults", rule)
        running = ground.start(*WORDS[row.command])
        acted = False

        def act_when_held() -> None:
            nonlocal acted
            if injury.act and not acted and _hits(ground, fault["id"]):
                self.act(injury.act, running)
                acted = True

        try:
            done = running.wait(act_when_held)
            row.hit = _hits(ground, fault["id"])
        finally:
            ground.admin("DELETE", "faults")
            if ground.disk is not None:
                ground.disk.empty()
        return done

    def act(self, what: str, running: Running) -> None:
        """Do to the user's machine what the cloud can't."""
        if what == "command":
            running.kill()
        elif what == "everything":
            self.ground.kill_everything()
        elif self.ground.disk is not None:
            self.ground.disk.fill()

    def repeat(self, command: str, row: Row) -> None:
        """Give the command plainly until it does what was asked, and note how that went."""
        for _ in range(_REPEATS):
            done = self.ground.run(*WORDS[command])
            row.repeats.append(done.code)
            if done.code == 0:
                break
            row.notes.append(done.said[-_TOLD:])
        row.converged = row.repeats == [0]
        if command == "up" and row.converged:
            plan = self.ground.run("plan", NAME, "--detailed-exitcode")
            row.converged = plan.code == 0
            row.notes += [] if row.converged else [f"a plan after it is not empty: {plan.said[:_TOLD]}"]
        if command == "down":
            row.leftovers += _left(done)


def _hits(ground: Ground, number: int) -> bool:
    """Return whether the fault of that number has hit."""
    try:
        return any(each["hits"] for each in ground.admin("GET", "faults") if each["id"] == number)
    except SandboxError:
        return False


def _left(done: Done) -> list[str]:
    """Return what a teardown's receipt says is left, or was not looked at."""
    found = re.search(r"^\{.*^\}", done.said, re.DOTALL | re.MULTILINE)
    if not found:
        return ["no receipt"]
    receipt = json.loads(found.group())
    left = [f"{each['kind']} {each['id']}" for each in receipt["left"]]
    return left + [f"not looked at: {each['title']}" for each in receipt["not_looked"]]


def main() -> int:
    """Lead one round trip in a folder of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.trip", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("numbers", type=int, nargs="+", metavar="NUMBER")
    parser.add_argument("--small-disk", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its cloud ends with it
    with tempfile.TemporaryDirectory(prefix="ffc-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        ground = make_ground(folder, small_disk=options.small_disk)
        try:
            for row in Trip(ground, options.seed).go(options.numbers[0] // len(SLOTS), options.numbers):
                print(json.dumps(asdict(row), ensure_ascii=False), flush=True)
        finally:
            ground.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
