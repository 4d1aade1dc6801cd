"""G1, G2: tokens a second and MFU of our engine, of the same model by hand, and of a nanoGPT-style loop.

All take turns in one process, each in blocks of steps of a synchronised device; the median block counts. A
model that leaves no room for others is trained alone, one contestant after the other.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.on_gpu.cases import Case
from benchmarks.on_gpu.ceiling import Ceiling, device_name
from benchmarks.trainer.hand_gpt import HandGPT
from benchmarks.trainer.results import Row
from trainer.models.gpt import GPT
from trainer.numbers.flops import find_peak

Step = Callable[[], Any]
WARM_STEPS, BLOCK_STEPS, BLOCKS = 10, 10, 4
GOAL_OVER_NANOGPT, GOAL_OF_HAND = 1.3, 0.99
BETAS = (0.9, 0.95)


def measure(case: Case, device: torch.device, ceiling: Ceiling, *, blocks: int = BLOCKS) -> list[Row]:
    """Return the rows of one case."""
    makers: dict[str, Callable[[Case, torch.device], Step]] = {"ours": ours, "by hand": by_hand}
    if case.hand is not None:
        makers["nanoGPT-style"] = nanogpt_style
    rates: dict[str, float] = {}
    for name, make in makers.items():
        rates[name] = _rate(make(case, device), case, device, blocks)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return _rows(case, rates, device, ceiling)


def _rows(case: Case, rates: dict[str, float], device: torch.device, ceiling: Ceiling) -> list[Row]:
    with torch.device("meta"):
        parameters = sum(each.numel() for each in GPT(case.model, case.vocabulary).parameters())
    flops = case.flops(parameters)
    peak = find_peak(device_name(device), "bf16")
    reached = rates["ours"] / case.model.shape.context * flops.forward_backward_per_sample
    mfu = None if peak is None else reached / peak.flop_per_s
    figure = f"{rates['ours']:,.0f} tok/s, {reached / 1e12:.1f} TFLOP/s"
    rows = [
        Row(
            id=case.id,
            what=f"{case.what}: MFU of ours",
            value=figure
            + (", no known peak" if mfu is None else f", {mfu:.1%} of {peak and peak.flop_per_s / 1e12:.0f}"),
            baseline=f"{case.reference}; {reached / ceiling.flops:.1%} of the measured ceiling",
            ratio=mfu,
            goal=f">= {case.goal_mfu:.0%}",
            met=None if mfu is None else mfu >= case.goal_mfu,
        ),
        _against("G2", case, rates, "by hand", GOAL_OF_HAND),
    ]
    if "nanoGPT-style" in rates:
        rows.append(_against(case.id, case, rates, "nanoGPT-style", GOAL_OVER_NANOGPT))
    return rows


def _against(name: str, case: Case, rates: dict[str, float], other: str, goal: float) -> Row:
    ratio = rates["ours"] / rates[other]
    return Row(
        id=name,
        what=f"{case.what}: rate of ours",
        value=f"{rates['ours']:,.0f} tok/s",
        baseline=f"{other} {rates[other]:,.0f} tok/s",
        ratio=ratio,
        goal=f">= {goal}",
        met=ratio >= goal,
    )


def _rate(step: Step, case: Case, device: torch.device, blocks: int) -> float:
    """Return the tokens a second of the median block."""
    for _ in range(WARM_STEPS):
        step()
    seconds = []
    for _ in range(blocks):
        synchronize(device)
        begin = time.perf_counter()
        for _ in range(BLOCK_STEPS):
            step()
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return BLOCK_STEPS * case.tokens / statistics.median(seconds)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def batches(case: Case, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of random tokens, copied from pinned memory while the device works."""
    generator = torch.Generator().manual_seed(1)
    length = case.model.shape.context + 1
    text = torch.randint(0, case.vocabulary, (case.batch * length * 8,), generator=generator)
    places = torch.arange(length)
    while True:
        starts = torch.randint(0, len(text) - length, (case.batch, 1), generator=generator)
        windows = text[starts + places]
        if device.type == "cuda":
            windows = windows.pin_memory().to(device, non_blocking=True)
        yield windows[:, :-1], windows[:, 1:]


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer that all of them use."""
    return torch.optim.AdamW(model.parameters(), lr=3e-4, betas=BETAS, weight_decay=0.1, fused=True)


def ours(case: Case, device: torch.device) -> Step:
    """Return a step of our engine, with its defaults."""
    from trainer.run import Run

    folder = Path(tempfile.mkdtemp(prefix="gpu-run-"))
    torch.manual_seed(1)
    run = Run(run_dir=folder, steps=10**6, device=device.type, gradient_clip=1.0, memory_snapshot="off")
    model: Any = GPT(case.model, case.vocabulary).to(device)
    optimizer: Any = adamw(model)
    model, optimizer, data = run.setup(model, optimizer, batches(case, device))
    steps = run.steps(data)

    def step() -> None:
        inputs, targets = next(steps)
        run.backward(model(inputs, targets), terms=targets.numel())
        run.step(optimizer)

    return step


def by_hand(case: Case, device: torch.device) -> Step:
    """Return a step of a loop by hand over our model."""
    torch.manual_seed(1)
    return _hand_step(GPT(case.model, case.vocabulary).to(device), batches(case, device), device)


def nanogpt_style(case: Case, device: torch.device) -> Step:
    """Return a step as nanoGPT's train.py does it, over a model of the same size as it has."""
    assert case.hand is not None
    torch.manual_seed(1)
    return _hand_step(HandGPT(case.hand).to(device), batches(case, device), device)


def _hand_step(model: nn.Module, data: Iterator[tuple[Tensor, Tensor]], device: torch.device) -> Step:
    optimizer = adamw(model)
    called: Any = torch.compile(model) if device.type == "cuda" else model

    def step() -> None:
        inputs, targets = next(data)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = called(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
