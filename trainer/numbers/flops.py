"""Model FLOP utilisation: what a step computes, what the device could, and never a guess at either."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

PALM = "Chowdhery et al., PaLM, arXiv 2204.02311, appendix B"


@dataclass(frozen=True)
class Flops:
    """What the model itself has to compute for one sample; recomputing does not count."""

    forward_backward_per_sample: float
    """Floating-point operations of a sample's forward and backward pass; a multiply-add is two."""
    formula: str
    """How that number came about, with its figures."""
    source: str
    """Where the formula is from."""


@dataclass(frozen=True)
class Peak:
    """The most that one device can compute."""

    flop_per_s: float
    """Dense matrix operations a second, without structured sparsity."""
    device: str
    precision: str
    source: str


_NVIDIA = "https://www.nvidia.com/en-us/data-center/"
_PEAKS: tuple[tuple[str, str, float, str], ...] = (
    (r"B200", "bf16", 2.25e15, "NVIDIA HGX B200 data sheet, half of the sparse 4.5 PFLOP/s"),
    (r"H200 NVL", "bf16", 835.5e12, f"{_NVIDIA}h200/, half of the sparse 1,671 TFLOP/s"),
    (r"H200", "bf16", 989e12, f"{_NVIDIA}h200/, half of the sparse 1,979 TFLOP/s"),
    (r"H100 NVL", "bf16", 835.5e12, f"{_NVIDIA}h100/, half of the sparse 1,671 TFLOP/s"),
    (r"H100 PCIe", "bf16", 756e12, "NVIDIA H100 PCIe product brief, half of the sparse 1,513 TFLOP/s"),
    (r"H100( 80GB HBM3)?", "bf16", 989e12, f"{_NVIDIA}h100/, half of the sparse 1,979 TFLOP/s"),
    (r"A100[-A-Z0-9]*( 80GB PCIe)?", "bf16", 312e12, f"{_NVIDIA}a100/"),
    (r"L40S", "bf16", 362e12, "NVIDIA L40S data sheet: 362.05, and 733 with sparsity"),
    (r"L4", "bf16", 121e12, f"{_NVIDIA}l4/, half of the sparse 242 TFLOP/s"),
    (r"A10G", "bf16", 70e12, "NVIDIA A10G data sheet: 70, and 140 with sparsity; the A10 is another device"),
    (r"V100-SXM[-A-Z0-9]*", "fp16", 125e12, "NVIDIA V100 data sheet, SXM2"),
    (r"T4", "fp16", 65e12, "NVIDIA T4 data sheet"),
)
"""Device by its name as CUDA tells it, without the maker; the first that fits counts."""


def find_peak(device_name: str, precision: str) -> Peak | None:
    """Return the most that the device can compute in the precision (`bf16`, `fp16`), None where unknown."""
    model = re.sub(r"^(NVIDIA|Tesla)\s+", "", re.sub(r"^NVIDIA\s+", "", device_name.strip()))
    for pattern, known_precision, flop_per_s, source in _PEAKS:
        if re.fullmatch(pattern, model):
            return Peak(flop_per_s, device_name, precision, source) if precision == known_precision else None
    return None


@dataclass(frozen=True)
class Utilization:
    """A run's MFU: its formula and its denominator, or the reason why there is none."""

    flops: Flops | None
    peak: Peak | None
    world_size: int
    why_none: str
    """Why there is no MFU; empty where there is one."""

    def of(self, samples_per_s: float) -> float | None:
        """Return the share of all devices' peak that so many samples a second are."""
        if self.flops is None or self.peak is None:
            return None
        return (
            samples_per_s * self.flops.forward_backward_per_sample / (self.peak.flop_per_s * self.world_size)
        )

    def describe(self, samples_per_s: float | None = None) -> dict[str, Any]:
        """Return what summary.json tells: MFU, formula, denominator, their sources, or why there is none."""
        if self.flops is None or self.peak is None:
            return {"mfu": None, "why_none": self.why_none}
        return {
            "mfu": None if samples_per_s is None else self.of(samples_per_s),
            "flop_per_sample": self.flops.forward_backward_per_sample,
            "formula": self.flops.formula,
            "formula_source": self.flops.source,
            "peak_flop_per_s_per_device": self.peak.flop_per_s,
            "peak_of": f"{self.peak.device}, {self.peak.precision}, dense",
            "peak_source": self.peak.source,
            "devices": self.world_size,
        }


def utilization(flops: Flops | None, device_name: str, precision: str, world_size: int) -> Utilization:
    """Return how a run's MFU is reckoned; none where a figure is unknown."""
    peak = find_peak(device_name, precision)
    why = ""
    if flops is None:
        why = "the model's FLOP per sample are not known"
    elif peak is None:
        why = f"no published peak for {device_name} in {precision}"
    return Utilization(flops, peak, world_size, why)


def transformer_flops(
    *, parameters: int, num_layers: int, width: int, context: int, vocabulary_size: int = 0
) -> Flops:
    """Return what a sample of `context` tokens costs a transformer.

    `parameters` are those of matrices that every token passes through, embeddings and output layer left out;
    `vocabulary_size` is the output layer's, 0 without one. Attention counts in full though it is causal.
    """
    dense, attention, head = 6 * parameters, 12 * num_layers * width * context, 6 * vocabulary_size * width
    formula = (
        f"{context} tokens x (6 N + 12 L d T + 6 V d) = "
        f"{context} x ({dense:.4g} + {attention:.4g} + {head:.4g}); "
        f"N={parameters}, L={num_layers}, d={width}, T={context}, V={vocabulary_size}"
    )
    return Flops(float(context * (dense + attention + head)), formula, PALM)
