"""What a server sends back: records for JSON, and the denoised image as a file."""

import base64
from collections.abc import Sequence
from typing import Literal, Self
from urllib.parse import quote

from fastapi import Response

from tapetum.errors import DataError
from tapetum.images import DecodedImage, encode_frames
from tapetum.records import Record
from tapetum.runtime import AddedNoise, BrightnessRange, Prediction
from tapetum.serving.limits import Limits
from tapetum.serving.models import ServedModel
from tapetum.serving.problems import refusal

__all__ = ["Answer", "AnswerKind", "ImageAnswer", "ModelFacts", "ModelList", "chosen_kind", "sent"]

AnswerKind = Literal["json", "png", "tiff"]
MEDIA_TYPES: dict[AnswerKind, str] = {
    "json": "application/json",
    "png": "image/png",
    "tiff": "image/tiff",
}
_SUFFIXES = {"image/png": ".png", "image/tiff": ".tif"}


class ImageAnswer(Record):
    """The denoised image, as a file.

    Attributes:
        media_type: ``image/png``, or ``image/tiff`` for floats, which PNG cannot keep.
        base64: The content of the file.
    """

    media_type: str
    base64: str

    @classmethod
    def of(cls, image: DecodedImage) -> Self:
        """Encode an image."""
        media_type = "image/tiff" if image.bit_depth == 32 else "image/png"
        return cls(
            media_type=media_type, base64=base64.b64encode(_file(image, media_type)).decode()
        )


class Answer(Record):
    """The prediction for an image; the fields are those of a row of ``tapetum predict``.

    Attributes:
        model: Name of the model.
        width_px: Width of the image.
        height_px: Height of the image.
        labels: The label of the image, or of each box; empty if not requested.
        confidences: The probability of each label.
        by_class: The probability of each class for each label, the most probable first.
        image: The denoised image; null if not requested.
        latency_ms: Time in the network, in milliseconds.
        prepare_ms: Time to prepare the image for the network, in milliseconds.
        passes: Number of passes of the network.
        tiled: Whether the image was cut into tiles.
        brightness: The mean value of what each label is made from, where white is 1.
        warnings: What was guessed or changed, and what makes the label doubtful.
    """

    model: str
    width_px: int
    height_px: int
    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    by_class: tuple[dict[str, float], ...]
    image: ImageAnswer | None
    latency_ms: float
    prepare_ms: float
    passes: int
    tiled: bool
    brightness: tuple[float, ...]
    warnings: tuple[str, ...]


class ModelFacts(Record):
    """A model that a server has.

    Attributes:
        name: What a request calls it.
        description: The name of the network.
        class_names: The classes; empty where nothing is classified.
        labels: What is classified: the whole image, each given box, or nothing.
        modes: What it can compute: labels, denoised images, or both.
        channels: Channels of its images: 1 for grey, 3 for RGB.
        size_px: Height and width of the training images.
        precision: What the network is computed in.
        provider: What computes.
        threads: Threads that share the work of one image.
        tapetum_version: Version of Tapetum that wrote the package.
        background: The grey level behind transparent pixels, 0 to 1.
        brightness: The means of the training images; null where they are not known.
        noise: The noise that it is made for; null where that is not known.
    """

    name: str
    description: str
    class_names: tuple[str, ...]
    labels: Literal["whole", "boxes", "none"]
    modes: tuple[str, ...]
    channels: int
    size_px: int
    precision: str
    provider: str
    threads: int
    tapetum_version: str
    background: float
    brightness: BrightnessRange | None
    noise: AddedNoise | None

    @classmethod
    def of(cls, model: ServedModel) -> Self:
        """Return what a client needs to know of a model."""
        manifest, modes = model.manifest, tuple(model.predictors)
        return cls(
            name=model.name,
            description=manifest.name,
            class_names=manifest.class_names,
            labels=manifest.labels,
            modes=modes,
            channels=manifest.image_channels,
            size_px=manifest.size_px,
            precision=manifest.precision,
            provider=model.predictors[modes[0]].provider,
            threads=model.threads,
            tapetum_version=manifest.tapetum_version,
            background=manifest.preparation.background,
            brightness=manifest.brightness,
            noise=AddedNoise.of(manifest),
        )


class ModelList(Record):
    """All models of a server, and its limits.

    Attributes:
        models: In the order in which they were named.
        limits: What it accepts.
    """

    models: tuple[ModelFacts, ...]
    limits: Limits


def chosen_kind(accept: str) -> AnswerKind:
    """Return what a client prefers by its ``Accept`` header; JSON if it takes anything.

    Raises:
        HTTPException: 406, as it takes nothing of what there is.
    """
    best: tuple[float, AnswerKind] = (0.0, "json")
    for kind, media_type in MEDIA_TYPES.items():
        quality = max((_quality(part, media_type) for part in accept.split(",")), default=0.0)
        if quality > best[0]:
            best = (quality, kind)
    if best[0] == 0.0:
        raise refusal(406, f"a response is one of {', '.join(MEDIA_TYPES.values())}; accept one")
    return best[1]


def _quality(part: str, media_type: str) -> float:
    """Return how much a part of an ``Accept`` header wants a type, from 0 to 1."""
    wanted, *parameters = (piece.strip().lower() for piece in part.split(";"))
    if wanted not in ("*/*", media_type, f"{media_type.partition('/')[0]}/*"):
        return 0.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def sent(
    kind: AnswerKind,
    model: str,
    image: DecodedImage,
    prediction: Prediction,
    top_k: int | None,
) -> Response:
    """Return the response with a prediction.

    Raises:
        HTTPException: 406, as the type cannot keep the image.
    """
    denoised = prediction.denoised
    if kind != "json" and denoised is not None:
        return _image_response(MEDIA_TYPES[kind], model, prediction, denoised)
    height, width = image.pixels.shape[1:]
    answer = Answer(
        model=model,
        width_px=width,
        height_px=height,
        labels=prediction.labels,
        confidences=prediction.confidences,
        by_class=tuple(dict(list(each.items())[:top_k]) for each in prediction.by_class),
        image=None if denoised is None else ImageAnswer.of(denoised),
        latency_ms=prediction.latency_ms,
        prepare_ms=prediction.prepare_ms,
        passes=prediction.passes,
        tiled=prediction.tiled,
        brightness=prediction.brightness,
        warnings=prediction.warnings,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _image_response(
    media_type: str, model: str, prediction: Prediction, denoised: DecodedImage
) -> Response:
    try:
        content = _file(denoised, media_type)
    except DataError as error:
        raise refusal(406, f"{error.problem}; accept application/json or image/tiff") from error
    headers = {
        "Tapetum-Model": model,
        "Tapetum-Labels": _in_a_header(prediction.labels),
        "Tapetum-Confidences": ",".join(map(repr, prediction.confidences)),
        "Tapetum-Warnings": _in_a_header(prediction.warnings),
    }
    filled = {name: value for name, value in headers.items() if value}
    return Response(content, media_type=media_type, headers=filled)


def _in_a_header(texts: Sequence[str]) -> str:
    """Return texts with a comma between them, percent-encoded."""
    return ",".join(quote(text, safe=" ") for text in texts)


def _file(image: DecodedImage, media_type: str) -> bytes:
    return b"".join(encode_frames([image], _SUFFIXES[media_type], 1))
