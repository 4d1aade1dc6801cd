"""Scenarios, drawn by a seed: one is known by the seed and its number alone.

Five make a round trip: one in its up, three in its runs, one in its down. The first scenarios of each command
kill it once in every phase; after them come all its faults in turn, each in a phase and at a place that are
drawn.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.faults.injuries import Injury, injuries_of
from benchmarks.faults.phases import PHASES, Phase

SLOTS = ("up", "run", "run", "run", "down")
"""The commands of a round trip that are hit."""
RUNS = SLOTS.count("run")


@dataclass(frozen=True)
class Scenario:
    """One fault in one phase of one command."""

    number: int
    phase: Phase
    injury: Injury
    place: int
    """Which of the phase's calls it hits, from 1 on."""

    @property
    def trip(self) -> int:
        """The round trip that it is part of."""
        return self.number // len(SLOTS)

    def __str__(self) -> str:
        return f"{self.number}: {self.phase.command} {self.phase.name} ({self.place}): {self.injury.name}"


def draw(seed: int, number: int) -> Scenario:
    """Return the scenario of that number."""
    trip, slot = divmod(number, len(SLOTS))
    command = SLOTS[slot]
    phases = PHASES[command]
    ordinal = trip * RUNS + slot - 1 if command == "run" else trip
    chance = random.Random(f"{seed}/{number}")
    if ordinal < len(phases):
        order = random.Random(f"{seed}/{command}").sample(phases, len(phases))
        phase = order[ordinal]
        choice = [each for each in injuries_of(phase) if each.kills]
    else:
        names = sorted({each.name for phase in phases for each in injuries_of(phase)})
        turn = random.Random(f"{seed}/{command}/faults").sample(names, len(names))
        name = turn[(ordinal - len(phases)) % len(turn)]
        phase = chance.choice([each for each in phases if name in {one.name for one in injuries_of(each)}])
        choice = [each for each in injuries_of(phase) if each.name == name]
    return Scenario(number, phase, chance.choice(choice), chance.randint(1, phase.places))


def trips(first: int, count: int) -> list[list[int]]:
    """Return the numbers of so many scenarios from the first on, by round trip."""
    found: dict[int, list[int]] = {}
    for number in range(first, first + count):
        found.setdefault(number // len(SLOTS), []).append(number)
    return list(found.values())
