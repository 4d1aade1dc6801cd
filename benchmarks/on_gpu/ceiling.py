"""G5: the fastest bf16 matrix product that this device does, the ceiling under any training's FLOP/s.

Square and training-like shapes, each warmed up, then repeated and timed by the device's own clock; the best
of all is the ceiling, as the sweep of the ML Engineering Open Book does it (github.com/stas00/ml-
engineering, mamf-finder).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

SHAPES = tuple(
    (m, n, k)
    for m in (4096, 8192, 16384)
    for n in (2048, 4096, 8192, 10240)
    for k in (1024, 2048, 4096, 8192)
)
"""Rows, columns and inner size of the products."""
SMOKE_SHAPES = ((128, 128, 128), (256, 128, 64))


@dataclass(frozen=True)
class Ceiling:
    """The best product."""

    flops: float
    """FLOP a second: 2 m n k over the seconds of one product."""
    shape: tuple[int, int, int]
    device: str

    def text(self) -> str:
        """Return it in a line."""
        shape = " x ".join(map(str, self.shape))
        return f"{self.device}: best bf16 matmul {self.flops / 1e12:.1f} TFLOP/s at {shape}"


def device_name(device: torch.device) -> str:
    """Return the device's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def find_ceiling(device: torch.device, repeats: int, shapes: tuple[tuple[int, int, int], ...]) -> Ceiling:
    """Return the best of all the shapes."""
    best, best_shape = 0.0, shapes[0]
    for m, n, k in shapes:
        a = torch.randn(m, k, device=device, dtype=torch.bfloat16)
        b = torch.randn(n, k, device=device, dtype=torch.bfloat16)
        out = torch.empty(m, n, device=device, dtype=torch.bfloat16)
        seconds = seconds_each(lambda a=a, b=b, out=out: torch.mm(a, b.t(), out=out), repeats, device)
        if 2 * m * n * k / seconds > best:
            best, best_shape = 2 * m * n * k / seconds, (m, n, k)
    return Ceiling(best, best_shape, device_name(device))


def seconds_each(act: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Return the seconds of one call, the median of `repeats`, after five that are not counted."""
    for _ in range(5):
        act()
    if device.type != "cuda":
        begin = time.perf_counter()
        for _ in range(repeats):
            act()
        return (time.perf_counter() - begin) / repeats
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        act()
        mark.record()
    torch.cuda.synchronize(device)
    spans = sorted(before.elapsed_time(after) for before, after in pairwise(marks))
    return spans[len(spans) // 2] / 1e3
