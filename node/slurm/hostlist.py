"""Slurm's host lists (`gpu-[1-3,7],cpu-2`) and single names, turned into each other."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ITEM = re.compile(r"(?P<prefix>[^,\[\]]*)(?:\[(?P<ranges>[^\[\]]*)\])?(?P<suffix>[^,\[\]]*)")
_NUMBERED = re.compile(r"(.*?)(\d+)")
_NONE = frozenset({"", "(null)", "None", "N/A"})
"""What Slurm's programs print where there is no node."""


def expand(hostlist: str) -> list[str]:
    """Return the names of a host list in its order; none for what Slurm prints where there are none.

    Raises ValueError for what is no host list.
    """
    if hostlist in _NONE:
        return []
    names: list[str] = []
    position = 0
    while position < len(hostlist):
        found = _ITEM.match(hostlist, position)
        if found is None or found.end() == position:
            raise ValueError(f"{hostlist!r} is no host list")
        names += _names(found["prefix"], found["ranges"], found["suffix"])
        position = found.end()
        if position < len(hostlist) and hostlist[position] != ",":
            raise ValueError(f"{hostlist!r} is no host list")
        position += 1
    return names


def _names(prefix: str, ranges: str | None, suffix: str) -> list[str]:
    if ranges is None:
        return [prefix + suffix]
    found = []
    for each in ranges.split(","):
        first, _, last = each.partition("-")
        width = len(first)
        numbers = range(int(first), int(last or first) + 1)
        found += [f"{prefix}{number:0{width}d}{suffix}" for number in numbers]
    return found


def compress(names: Iterable[str]) -> str:
    """Return the host list of the names, `gpu-[1-3,7]`: sorted by prefix and number, each name once."""
    numbers: dict[str, set[int]] = {}
    plain: set[str] = set()
    for name in names:
        found = _NUMBERED.fullmatch(name)
        # A number with a leading zero would lose it.
        if found is None or str(int(found[2])) != found[2]:
            plain.add(name)
        else:
            numbers.setdefault(found[1], set()).add(int(found[2]))
    lists = [f"{prefix}{_ranges(sorted(found))}" for prefix, found in sorted(numbers.items())]
    return ",".join([*lists, *sorted(plain)])


def _ranges(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return f"[{text}]"
