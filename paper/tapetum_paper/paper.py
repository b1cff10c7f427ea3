"""What the paper prints, typed once.

Costs are as printed.  They count more than multiply-adds (docs/cost.md), and the paper's latencies
hold for its machine alone: an RTX 3090 at batch 32.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943.
"""

from typing import NamedTuple

__all__ = [
    "TABLE_1",
    "TABLE_2",
    "TABLE_3",
    "TABLE_4",
    "TABLE_5",
    "TABLE_6",
    "TABLE_7",
    "TABLE_8",
    "TABLE_10",
    "UNETS",
    "ClassifierRow",
    "DenoiserRow",
    "JointRow",
    "SearchRow",
    "UNetNumbers",
]


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


class SearchRow(NamedTuple):
    """A row of tables 2 to 6 and 10, on a hundred ImageNet classes; null is what it lacks."""

    latency_ms: float
    accuracy_percent: float | None = None
    psnr_db: float | None = None
    ssim: float | None = None


class UNetNumbers(NamedTuple):
    """The numbers of a UNet (appendix A.2)."""

    base_width: int
    depth: int
    multiplier: float
    convs: int


UNETS = {
    "unet": UNetNumbers(32, 4, 2, 2),
    "unet-m": UNetNumbers(16, 4, 2, 2),
    "unet-s": UNetNumbers(8, 4, 1.5, 2),
}

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

TABLE_2 = {
    "UNet-S": SearchRow(9.2, None, 25.0, 0.69),
    "UNet-M": SearchRow(16.9, None, 25.9, 0.72),
    "D-NAS M": SearchRow(11.6, None, 25.6, 0.71),
}

TABLE_3 = {
    "MobileNetV3 small": SearchRow(4.9, 70.4),
    "C-NAS S": SearchRow(5.9, 73.5),
    "UNet-S": SearchRow(9.2, None, 25.0, 0.69),
    "DC-Net S": SearchRow(10.0, 61.9, 24.5, 0.68),
    "DC-NAS S": SearchRow(10.3, 74.3, 25.4, 0.70),
    "EfficientNetV2-b0": SearchRow(9.0, 75.4),
    "C-NAS M": SearchRow(7.9, 75.5),
    "LPIENet 0.25x": SearchRow(12.7, None, 24.1, 0.65),
    "DC-NAS M": SearchRow(13.7, 76.0, 25.4, 0.70),
    "EfficientNetV2-b1": SearchRow(11.8, 76.7),
    "C-NAS L": SearchRow(12.0, 76.0),
    "UNet-M": SearchRow(16.9, None, 25.9, 0.72),
    "LPIENet 0.5x": SearchRow(19.8, None, 24.7, 0.68),
    "DC-NAS L": SearchRow(17.9, 76.4, 25.2, 0.70),
}

TABLE_4 = {
    "clean images, labels": SearchRow(13.9, 75.7, 25.4, 0.70),
    "noisy images, labels": SearchRow(13.7, 76.0, 25.4, 0.70),
    "noisy images, labels and image": SearchRow(13.8, 75.5, 25.4, 0.70),
}

TABLE_5 = {
    "DC-NAS_seq L": SearchRow(18.3, 76.0, 25.0, 0.69),
    "DC-NAS L": SearchRow(17.9, 76.0, 25.5, 0.70),
}

TABLE_6 = {
    "convolutions": SearchRow(13.7, 76.0, 25.4, 0.70),
    "MBConv": SearchRow(27.7, 75.5, 25.8, 0.71),
    "MBConv, one a level": SearchRow(16.4, 75.4, 25.3, 0.70),
    "MBConv, three levels": SearchRow(22.1, 75.1, 25.4, 0.70),
}

TABLE_10 = {
    "beta removed, search 1": SearchRow(5.85, 86.2),
    "beta removed, search 2": SearchRow(5.81, 86.4),
    "beta learned, search 1": SearchRow(5.04, 84.9),
    "beta learned, search 2": SearchRow(4.47, 83.5),
}
