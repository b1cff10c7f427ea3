r"""What does a video gain from the mean of denoised frames where nothing moves?

Small videos are made of validation images, with noise that differs in each frame, and coded as a
camera does, or not at all. Their frames are denoised alone, and with ``--temporal``; the PSNR is
that of the later frames. The scenes:

- ``still``: an image that does not move;
- ``slow``, ``fast``: the camera moves by a quarter of a pixel, or by one, from frame to frame;
- ``object``: a part of another image moves over a still one by two pixels from frame to frame.

The packages are those of fits with each seed, called DATASET_seedN.tapetum. A video of 640 x 480
pixels tells how long the mean takes.

    python benchmarks/temporal.py --data-root DATA --packages FOLDER --seeds 0 1 2 \
        --json benchmarks/results/temporal.json
"""

import argparse
import io
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from paced import DATASETS
from result_file import Rows, add_json_option
from tapetum.data import open_dataset
from tapetum.metrics import psnr
from tapetum.runtime import Predictor
from tapetum.runtime.video.temporal import TemporalAverage

IMAGE_PX, FRAME_PX, OBJECT_PX = 128, 96, 32
NUM_FRAMES, FIRST_SCORED, NUM_IMAGES = 16, 8, 12
SPEEDS = {"still": 0.0, "slow": 0.25, "fast": 1.0}  # pixels from frame to frame
SCENES = (*SPEEDS, "object")
SIGMAS = (0.05, 0.1, 0.2)
CODECS = {"not coded": None, "H.264, CRF 18": "18"}
MEANS = ("noisy_db", "alone_db", "temporal_db", "gain_db", "still")

_Pixels = NDArray[np.float32]


def cut(image: _Pixels, left: float = 16.0) -> _Pixels:
    """Return a frame of an image, whose left edge may lie between two columns."""
    whole, part = int(left), left % 1
    rows = image[16 : 16 + FRAME_PX]
    first, second = (rows[:, x : x + FRAME_PX] for x in (whole, whole + 1))
    return (1 - part) * first + part * second


def frames_of(scene: str, image: _Pixels, other: _Pixels) -> Iterator[_Pixels]:
    """Yield the frames of a scene, without noise."""
    for number in range(NUM_FRAMES):
        if scene in SPEEDS:
            yield cut(image, SPEEDS[scene] * number)
            continue
        frame, left = cut(image).copy(), 2 * number
        frame[OBJECT_PX : 2 * OBJECT_PX, left : left + OBJECT_PX] = other[40:72, 40:72]
        yield frame


def coded(frames: Sequence[NDArray[np.uint8]], crf: str) -> list[NDArray[np.uint8]]:
    """Return frames as they come back from a video."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": crf, "threads": "1"}  # with more, equal frames give different files
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    with av.open(io.BytesIO(file.getvalue()), "r") as decoded:
        return [
            np.asarray(one.to_ndarray(format="rgb24"), np.uint8) for one in decoded.decode(video=0)
        ]


def noisy(clean: Sequence[_Pixels], sigma: float, seed: int) -> list[NDArray[np.uint8]]:
    """Return frames of 8 bits with noise."""
    generator = np.random.default_rng(seed)
    spoilt = [generator.normal(frame, sigma).clip(0, 1) for frame in clean]
    return [np.rint(255 * frame).astype(np.uint8) for frame in spoilt]


def scored(
    predictor: Predictor, clean: Sequence[_Pixels], frames: Sequence[NDArray[np.uint8]]
) -> Iterator[tuple[float, ...]]:
    """Yield the scores of the later frames of a video, in the order of :data:`MEANS`."""
    average = TemporalAverage()
    for number, (truth, frame) in enumerate(zip(clean, frames, strict=True)):
        pixels = predictor(frame).pixels
        assert pixels is not None  # noqa: S101  (its mode is ``image``)
        averaged = average(frame, pixels)
        if number >= FIRST_SCORED:
            alone, temporal = psnr_db(pixels, truth), psnr_db(averaged, truth)
            yield psnr_db(frame / 255, truth), alone, temporal, temporal - alone, average.still


def psnr_db(pixels: NDArray[Any], truth: _Pixels) -> float:
    """Return the PSNR of a frame in decibels; a grey network gives one channel."""
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]
    return float(psnr(pixels[np.newaxis], truth[np.newaxis])[0])


def images_of(folder: Path) -> list[_Pixels]:
    """Return some validation images with three channels."""
    images = open_dataset(str(folder), seed=0, size_px=IMAGE_PX).validation
    found = images.take(images.spread(NUM_IMAGES), epoch=0, seed=0, train=False).images
    return [np.repeat(one, 3 // len(one), axis=0).transpose(1, 2, 0) for one in found]


def rows_of(data: Path, package: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each scene, coding and strength of noise."""
    predictor, images = Predictor.open(package, threads=1, mode="image"), images_of(data)
    pairs = list(zip(images[::2], images[1::2], strict=True))
    for (coding, crf), scene, sigma in product(CODECS.items(), SCENES, SIGMAS):
        scores = list[tuple[float, ...]]()
        for number, pair in enumerate(pairs):
            clean = list(frames_of(scene, *pair))
            frames = noisy(clean, sigma, number)
            scores += scored(predictor, clean, coded(frames, crf) if crf else frames)
        means = map(statistics.fmean, zip(*scores, strict=True))
        case = f"{data.name}, {scene}, {coding}, sigma {sigma:g}"
        yield {"case": case, "seed": seed} | dict(zip(MEANS, means, strict=True))


def average_ms() -> float:
    """Return the median processor time of the mean, of frames of 640 x 480 pixels."""
    average, times = TemporalAverage(), list[float]()
    denoised = np.full((480, 640, 3), 0.5, np.float32)
    frames = noisy([denoised] * 12, 0.1, 0)
    for frame in frames:
        begun = time.process_time()
        average(frame, denoised)
        times.append(1000 * (time.process_time() - begun))
    return round(statistics.median(times[2:]), 2)


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True, help="folder of packages")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    add_json_option(parser)
    asked = parser.parse_args()
    rows = Rows(asked.json, MEANS, {"average_ms_of_640x480": average_ms()})
    for name, seed in product(asked.datasets, asked.seeds):
        package = asked.packages / f"{name}_seed{seed}.tapetum"
        for row in rows_of(asked.data_root / name, package, seed):
            rows.add(row)


if __name__ == "__main__":
    main()
