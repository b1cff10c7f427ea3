"""What the paper prints, typed once: tables 1, 7 and 8.

Costs are as printed.  They count more than multiply-adds (docs/cost.md), and the paper's latencies
hold for its machine alone: an RTX 3090 at batch 32.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943.
"""

from typing import NamedTuple

__all__ = ["TABLE_1", "TABLE_7", "TABLE_8", "ClassifierRow", "DenoiserRow", "JointRow"]


class JointRow(NamedTuple):
    """A row of table 1: means over the eleven sigmas."""

    cost_millions: float
    latency_ms: float
    psnr_db: float
    ssim: float
    accuracy_percent: float


class ClassifierRow(NamedTuple):
    """A row of table 7: the mean over the eleven sigmas; the cost of one digit."""

    cost_thousands: float
    latency_ms: float
    accuracy_percent: float


class DenoiserRow(NamedTuple):
    """A row of table 8: PSNR in dB and SSIM by sigma."""

    cost_millions: float
    latency_ms: float
    psnr_db: dict[float, float]
    ssim: dict[float, float]


TABLE_1 = {
    "dc-net-baseline-integrated": JointRow(1301.8, 7.14, 32.8, 0.97, 88.1),
    "dc-net-baseline-sequential": JointRow(1302.1, 7.55, 27.1, 0.95, 89.6),
    "dc-net-reduced-integrated": JointRow(51.2, 2.41, 29.9, 0.97, 86.2),
    "dc-net-reduced-sequential": JointRow(51.5, 2.83, 25.2, 0.92, 87.6),
}

TABLE_7 = {
    "conv-l": ClassifierRow(447, 0.336, 63.2),
    "mb1-s": ClassifierRow(177, 0.300, 56.2),
    "mb2.5-m": ClassifierRow(350, 0.384, 64.1),
    "mb4-l": ClassifierRow(424, 0.468, 64.9),
    "mb2.5-s": ClassifierRow(178, 0.390, 58.4),
    "mb4-s": ClassifierRow(188, 0.403, 56.6),
    "conv-s": ClassifierRow(163, 0.281, 55.4),
    "conv-m": ClassifierRow(345, 0.317, 61.4),
}

TABLE_8 = {
    "unet": DenoiserRow(
        1301.8,
        7.10,
        {0.2: 33.9, 0.4: 29.5, 0.8: 23.8, 1.0: 22.3},
        {0.2: 0.99, 0.4: 0.98, 0.8: 0.95, 1.0: 0.92},
    ),
    "unet-s": DenoiserRow(
        51.2,
        2.38,
        {0.2: 33.2, 0.4: 28.7, 0.8: 23.3, 1.0: 22.0},
        {0.2: 0.99, 0.4: 0.98, 0.8: 0.94, 1.0: 0.92},
    ),
}
