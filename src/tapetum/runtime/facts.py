"""What files, pages and servers say about a network, from its manifest."""

import json
from typing import Self

from tapetum.noise import Noise, Protocol
from tapetum.records import Record
from tapetum.runtime.manifest import Manifest

__all__ = ["AddedNoise", "facts_of", "noise_text"]

_SYMBOLS = {"salt-and-pepper": "fraction"}
_ORIGIN = ("tapetum", "commit", "date", "seed", "pretrained")  # no paths and no machine


class AddedNoise(Record):
    """The noise that a network was scored with, for a page that adds it to a clean image.

    Attributes:
        kind: Kind of the noise, as in :mod:`tapetum.noise`.
        highest: The largest value of its number.
        symbol: Name of this number.
        gain: Value of one photon, where the noise has photons.
        protocol: Whether values are clipped to 8 bits.
    """

    kind: str
    highest: float
    symbol: str
    gain: float | None
    protocol: Protocol

    @classmethod
    def of(cls, manifest: Manifest) -> Self | None:
        """Return the noise of a network; None where it is not known, as for noisy pairs."""
        noises, scores = _noises_of(manifest), manifest.scores
        if not noises or scores is None:
            return None
        numbers = [noise.model_dump(exclude={"kind", "gain"}) for noise in noises]
        highest = max(value for each in numbers for value in each.values())
        if highest == 0:
            return None
        kind = noises[-1].kind
        return cls(
            kind=kind,
            highest=highest,
            symbol=_SYMBOLS.get(kind, "sigma"),
            gain=getattr(noises[-1], "gain", None),
            protocol=scores.protocol,
        )


def facts_of(manifest: Manifest) -> dict[str, str]:
    """Return the metadata of a written file.

    Lists and records are JSON: the class names in the order of the probabilities, the preparation
    of images, the brightness of those of the training, the origin, and how int8 was calibrated.
    ``licences`` names the parts of others; the weights are the user's.
    """
    origin = {name: manifest.provenance[name] for name in _ORIGIN if name in manifest.provenance}
    int8, light = manifest.provenance.get("int8"), manifest.brightness
    return {
        "name": manifest.name,
        "class_names": json.dumps(manifest.class_names, ensure_ascii=False),
        "preparation": manifest.preparation.model_dump_json(),
        **({} if light is None else {"brightness": light.model_dump_json()}),
        "noise": noise_text(manifest),
        "licences": json.dumps(_licences(manifest)),
        "provenance": json.dumps(origin, ensure_ascii=False),
        **({} if int8 is None else {"int8": json.dumps(int8)}),
    }


def _noises_of(manifest: Manifest) -> tuple[Noise, ...]:
    """Return the noise levels that a network was scored at, which span those of its training."""
    rows = () if manifest.scores is None else manifest.scores.rows
    return tuple(row.noise for row in rows if row.noise is not None)


def noise_text(manifest: Manifest) -> str:
    """Return the noise that a network is made for, such as ``gaussian 0 to gaussian 0.5``."""
    noises = _noises_of(manifest)
    if not noises:
        return "not known"
    ends = dict.fromkeys(noise.describe() for noise in (noises[0], noises[-1]))
    protocol = "" if manifest.scores is None else f", protocol {manifest.scores.protocol}"
    return f"{' to '.join(ends)}{protocol}"


def _licences(manifest: Manifest) -> dict[str, str]:
    """Return the licence of each part that others made."""
    weights = manifest.pretrained
    return {f"{weights['name']} {weights['version']}": weights["licence"]} if weights else {}
