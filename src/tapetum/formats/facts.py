"""What every format says about the network in it, as texts by their key."""

import json

from tapetum.noise import Noise
from tapetum.runtime import Manifest

__all__ = ["facts_of", "noise_text", "noises_of"]

_ORIGIN = ("tapetum", "commit", "date", "seed", "pretrained")  # no paths and no machine


def facts_of(manifest: Manifest) -> dict[str, str]:
    """Return the metadata of a written file.

    Lists and records are JSON: the class names in the order of the probabilities, the preparation
    of images, and the origin. ``licences`` names the parts of others; the weights are the user's.
    """
    origin = {name: manifest.provenance[name] for name in _ORIGIN if name in manifest.provenance}
    return {
        "name": manifest.name,
        "class_names": json.dumps(manifest.class_names, ensure_ascii=False),
        "preparation": manifest.preparation.model_dump_json(),
        "noise": noise_text(manifest),
        "licences": json.dumps(_licences(manifest)),
        "provenance": json.dumps(origin, ensure_ascii=False),
    }


def noises_of(manifest: Manifest) -> tuple[Noise, ...]:
    """Return the noise levels that a network was scored at, which span those of its training."""
    rows = () if manifest.scores is None else manifest.scores.rows
    return tuple(row.noise for row in rows if row.noise is not None)


def noise_text(manifest: Manifest) -> str:
    """Return the noise that a network is made for, such as ``gaussian 0 to gaussian 0.5``."""
    noises = noises_of(manifest)
    if not noises:
        return "not known"
    ends = dict.fromkeys(noise.describe() for noise in (noises[0], noises[-1]))
    protocol = "" if manifest.scores is None else f", protocol {manifest.scores.protocol}"
    return f"{' to '.join(ends)}{protocol}"


def _licences(manifest: Manifest) -> dict[str, str]:
    """Return the licence of each part that others made."""
    weights = manifest.provenance.get("pretrained")
    if not isinstance(weights, dict):
        return {}
    return {f"{weights['name']} {weights['version']}": str(weights["licence"])}
