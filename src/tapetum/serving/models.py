"""The packages that a server answers with, by name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from numpy.typing import ArrayLike

from tapetum.errors import DataError, InputError, PackageError, nearest
from tapetum.images import DecodedImage, inspect_image, looks_like_image, read_image
from tapetum.provenance import within_cores
from tapetum.records import Record
from tapetum.runtime import (
    Manifest,
    Package,
    Prediction,
    Predictor,
    open_package,
    require_labels,
)
from tapetum.serving.limits import Limits
from tapetum.serving.problems import refusal

__all__ = ["Mode", "ModelOptions", "ServedModel", "chosen", "open_models", "predict"]

Mode = Literal["label", "image", "both"]
"""What is computed for an image."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ModelOptions(Record):
    """How packages are opened; the fields are arguments of :class:`tapetum.Predictor`."""

    threads: int | None = None
    memory_mib: int = 1024
    provider: str = "cpu"
    reject_below: float = 0.0


@dataclass(frozen=True)
class ServedModel:
    """A package under a name, with a predictor for each mode that it can.

    Attributes:
        name: What a request calls it.
        manifest: The manifest of the package.
        predictors: One for each mode that the network has.
        threads: Threads that share the work of one image.
    """

    name: str
    manifest: Manifest
    predictors: Mapping[Mode, Predictor]
    threads: int

    @classmethod
    def of(cls, name: str, package: Package, options: ModelOptions) -> Self:
        """Open and warm up the predictors of a package.

        Raises:
            InputError: The package takes no image files, or an option is not possible.
        """
        manifest = package.manifest
        if manifest.colour == "other":
            raise InputError(
                f"{name} takes {manifest.image_channels} channels, which no image file has",
                "serve a package for grey or RGB images",
            )
        modes: tuple[Mode, ...] = ("label",) if manifest.classifies else ()
        modes += ("image",) if manifest.denoises else ()
        modes += ("both",) if len(modes) == 2 else ()
        predictors = {mode: Predictor(package, mode=mode, **options.model_dump()) for mode in modes}
        for predictor in predictors.values():
            predictor.warm_up()
        threads = options.threads or within_cores(manifest.threads)
        return cls(name, manifest, predictors, threads)

    def predictor(self, mode: Mode | None, *, wants_image: bool) -> Predictor:
        """Return the predictor of a mode; without one, of all that is needed for the response.

        Raises:
            HTTPException: 422 where the package cannot do this, 406 where it gives no image.
        """
        if mode is None:
            preferred: tuple[Mode, ...] = ("label", "image")
            preferred = ("both", "image", "label") if wants_image else preferred
            chosen_mode = next(each for each in preferred if each in self.predictors)
            return self.predictor(chosen_mode, wants_image=wants_image)
        if mode not in self.predictors:
            known = " or ".join(self.predictors)
            raise refusal(422, f"{self.name} cannot do mode={mode}; use mode={known}")
        if wants_image and mode == "label":
            why = "was asked for labels alone" if self.manifest.denoises else "gives no image"
            raise refusal(406, f"{self.name} {why}; accept application/json")
        return self.predictors[mode]

    def decode(self, content: bytes, limits: Limits) -> DecodedImage:
        """Decode an image file; its header is looked at first.

        Raises:
            HTTPException: 413 where it has too many pixels, 415 where it is no image, 422 where it
                is damaged or has several frames.
        """
        try:
            if not looks_like_image(content):
                detail = "the content of the file is not a known image format; send a PNG file"
                raise refusal(415, detail)
            facts = inspect_image(content)
            if facts.num_frames > 1:
                frames = f"{facts.num_frames:,} frames"
                raise refusal(422, f"the file has {frames}; send one frame in each request")
            if facts.width_px * facts.height_px > limits.max_pixels:
                raise refusal(
                    413,
                    f"the image has {facts.width_px} x {facts.height_px} pixels, and the limit is "
                    f"{limits.max_megapixels:g} megapixels; make it smaller",
                )
            white = self.manifest.preparation.white
            return read_image(content, white=white, max_megapixels=limits.max_megapixels)
        except DataError as error:
            raise refusal(422, f"the image cannot be read: {error}") from error


def predict(predictor: Predictor, image: DecodedImage, boxes: ArrayLike | None) -> Prediction:
    """Predict an image.

    Raises:
        HTTPException: 422, as the image or the boxes do not fit the network.
        PackageError: The package is damaged.
    """
    try:
        return predictor(image, boxes=boxes)
    except PackageError:
        raise
    except InputError as error:
        raise refusal(422, str(error)) from error


def open_models(packages: Sequence[str], options: ModelOptions) -> dict[str, ServedModel]:
    """Open packages under their names.

    Args:
        packages: Each the path of a ``.tapetum`` file, whose stem is its name, or ``NAME=PATH``.
        options: How they are opened.

    Raises:
        InputError: A package cannot be opened or served, a name is not possible, two are equal, or
            an option of labels is given and none of them computes any.
    """
    models: dict[str, ServedModel] = {}
    for text in packages:
        name, path = _named(text)
        if name in models:
            remedy = f"name one: {name}-2={path}"
            raise InputError(f"two packages are called {name}", remedy)
        models[name] = ServedModel.of(name, open_package(path), options)
    predictors = (each for model in models.values() for each in model.predictors.values())
    outputs = {name for predictor in predictors for name in predictor.outputs}
    require_labels(outputs, {"--reject-below": options.reject_below > 0})
    return models


def chosen(models: Mapping[str, ServedModel], name: str | None) -> ServedModel:
    """Return the model of a name, or the only one there is.

    Raises:
        HTTPException: 404 for an unknown name, 422 for none where there are several.
    """
    if name is None and len(models) == 1:
        return next(iter(models.values()))
    if name is None:
        raise refusal(422, f"there are several models; add ?model= and one of {', '.join(models)}")
    if name not in models:
        raise refusal(404, f"there is no model {name[:100]!r}; {nearest(name[:100], models)}")
    return models[name]


def _named(text: str) -> tuple[str, Path]:
    """Return the name and the path of a package."""
    before, separator, after = text.partition("=")
    if separator and _NAME.fullmatch(before) and not Path(text).exists():
        return before, Path(after)
    path = Path(text)
    if not _NAME.fullmatch(path.stem):
        raise InputError(
            f"{path.stem!r} is no name for requests", f"name the package: photos={text}"
        )
    return path.stem, path
