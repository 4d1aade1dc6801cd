"""What `fleetform selftest` runs on every node of a fleet: an all-reduce over them all, and its file systems.

It is sent along as a script and started by the launcher, one process for each GPU. Rank 0 writes
`all_reduce.json`, the first process of each node `files.json`, into the run directory.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MIB = 1024 * 1024
SMALL_FILES = 200
PLACES = {
    "run directory": "FLEETFORM_RUN_DIR",
    "scratch": "FLEETFORM_SCRATCH_DIR",
    "shared (EFS)": "FLEETFORM_SHARED_DIR",
    "fast (FSx)": "FLEETFORM_FSX_DIR",
}
"""The places that a run may write to, by the variables that name them."""


@dataclass(frozen=True)
class FileSpeed:
    """How fast one place is for one process."""

    place: str
    path: str
    mib: int
    write_mb_s: float
    """MB (1e6 bytes) a second, until all is on the disk."""
    read_mb_s: float
    """The same, after the page cache was told to forget the file."""
    small_files_s: float
    """Files of 4 KiB that are made, written through and closed in a second."""


def measure_files(place: str, folder: Path, mib: int, small: int = SMALL_FILES) -> FileSpeed:
    """Write a file of `mib` MiB and read it back, then many small ones; all of it is removed again."""
    path = folder / f".selftest-{os.getpid()}"
    block = os.urandom(4 * MIB)
    try:
        begun = time.perf_counter()
        with path.open("wb") as file:
            for _ in range(max(1, mib // 4)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        written = time.perf_counter() - begun
        size = path.stat().st_size
        begun = time.perf_counter()
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(4 * MIB):
                pass
        read = time.perf_counter() - begun
    finally:
        path.unlink(missing_ok=True)
    rate = small / _small_files_seconds(folder, small)
    write, read = (round(size / seconds / 1e6, 1) for seconds in (written, read))
    return FileSpeed(place, str(folder), size // MIB, write, read, round(rate, 1))


def _small_files_seconds(folder: Path, count: int) -> float:
    below = folder / f".selftest-{os.getpid()}-small"
    below.mkdir()
    body = b"x" * 4096
    try:
        begun = time.perf_counter()
        for number in range(count):
            with (below / str(number)).open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        return max(1e-9, time.perf_counter() - begun)
    finally:
        for path in below.iterdir():
            path.unlink()
        below.rmdir()


def places() -> Iterator[tuple[str, Path]]:
    """Yield the places that this run has."""
    for place, variable in PLACES.items():
        if folder := os.environ.get(variable):
            yield place, Path(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write both results."""
    parser = argparse.ArgumentParser(prog="trainer.selftest", description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the file that is written and read")
    given = parser.parse_args(arguments)
    run_dir = Path(os.environ["FLEETFORM_RUN_DIR"])
    if os.environ.get("LOCAL_RANK", "0") == "0":
        found = [asdict(measure_files(place, folder, given.mib)) for place, folder in places()]
        (run_dir / "files.json").write_text(json.dumps(found, indent=1))
        print(json.dumps(found))
    from trainer import allreduce  # torch comes after the files were measured: it reads gigabytes itself

    return allreduce.main(["--out", str(run_dir / "all_reduce.json")])


if __name__ == "__main__":
    sys.exit(main())
