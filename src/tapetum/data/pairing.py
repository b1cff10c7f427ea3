"""Pairs of a noisy and a clean image, by the names of their files.

Twins have one name in two folders, or names that differ by a part: ``0001_NOISY_SRGB.png`` and
``0001_GT_SRGB.png``, ``im1_real.png`` and ``im1_mean.png``, ``a_noisy.png`` and ``a.png``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tapetum.data.names import meaning, unsided, words
from tapetum.errors import DataError
from tapetum.images import as_colour, display_name, read_image, resample

__all__ = ["SURE", "Pairs", "likeness", "pair_files", "pair_folders"]

_Key = tuple[str, ...]

SURE = 0.9  # correlation from which two images show the same
ENOUGH = 0.5  # share of the smaller side that must have a twin
_NUM_COMPARED = 5  # pairs whose content is compared
_COMPARED_PX = 16


class Pairs(NamedTuple):
    """Twins, the clean file first, and the files without one."""

    twins: tuple[tuple[Path, Path], ...]
    lone_clean: tuple[Path, ...]
    lone_noisy: tuple[Path, ...]

    @property
    def is_convincing(self) -> bool:
        """Whether enough files have a twin."""
        smaller = len(self.twins) + min(len(self.lone_clean), len(self.lone_noisy))
        return bool(self.twins) and len(self.twins) >= ENOUGH * smaller


def pair_folders(
    noisy: Sequence[Path], noisy_root: Path, clean: Sequence[Path], clean_root: Path
) -> Pairs:
    """Pair the files of two folders by their place and name, whatever the ending.

    The first rule that convinces is taken: equal names; equal names without the words for a side;
    equal names without the words that all names of one side share.
    """
    places = _places(noisy, noisy_root), _places(clean, clean_root)
    rules = (_whole, _whole), (unsided, unsided), tuple(map(_without_shared, places))
    tried = [_match(*map(_keyed, places, both)) for both in rules]
    return next((pairs for pairs in tried if pairs.is_convincing), tried[0])


def pair_files(files: Sequence[Path]) -> Pairs:
    """Pair the files of one folder whose names say which side they are.

    Of a pair the noisy one must say so; the clean one may also have the plain name.  Words that
    also name classes make pairs only of images that are alike.
    """
    pairs = _pair_files(files, weak=False)
    if not pairs.twins:
        pairs = _pair_files(files, weak=True)
        if likeness(pairs) < SURE:
            return Pairs((), tuple(files), ())
    return pairs


def _pair_files(files: Sequence[Path], *, weak: bool) -> Pairs:
    sides: dict[str, dict[_Key, list[Path]]] = {"noisy": {}, "clean": {}, "": {}}
    for file in files:
        what = meaning(file.stem)
        side = what.side if what.side and (weak or not what.is_weak) else ""
        sides[side].setdefault(unsided(file.stem), []).append(file)
    clean = {**sides[""], **sides["clean"]}
    plain = [file for key, group in sides[""].items() if key in sides["clean"] for file in group]
    pairs = _match(sides["noisy"], clean)
    return pairs._replace(lone_clean=(*pairs.lone_clean, *plain))


def likeness(pairs: Pairs) -> float:
    """Return the median correlation of some twins at a low resolution; 0 where none is readable."""
    step = max(1, len(pairs.twins) // _NUM_COMPARED)
    values = []
    for clean, noisy in pairs.twins[::step][:_NUM_COMPARED]:
        try:
            ours, theirs = _small(clean), _small(noisy)
        except DataError:
            continue
        if ours.std() > 0 and theirs.std() > 0:
            values.append(float(np.corrcoef(ours, theirs)[0, 1]))
    return float(np.median(values)) if values else 0.0


def _small(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    grey = as_colour(read_image(path).pixels, 1)
    return resample(grey, height=_COMPARED_PX, width=_COMPARED_PX).ravel()


def _places(files: Iterable[Path], root: Path) -> dict[Path, Path]:
    """Return each file by its place below a folder, without its ending."""
    depth = len(root.parts)  # folders of one name may be several on the disk
    return {file: Path(display_name(Path(*file.parts[depth:]).with_suffix(""))) for file in files}


def _keyed(places: dict[Path, Path], rule: Callable[[str], _Key]) -> dict[_Key, list[Path]]:
    """Return the files by their folders and what a rule makes of their names."""
    keyed: dict[_Key, list[Path]] = {}
    for file, place in places.items():
        keyed.setdefault((*place.parts[:-1], *rule(place.name)), []).append(file)
    return keyed


def _whole(name: str) -> _Key:
    return (name,)


def _without_shared(places: dict[Path, Path]) -> Callable[[str], _Key]:
    """Return the rule that leaves out the words that all names share."""
    counts = Counter(word for place in places.values() for word in set(words(place.name)))
    shared = {word for word, count in counts.items() if count == len(places) > 1}
    return lambda name: tuple(word for word in words(name) if word not in shared)


def _match(noisy: dict[_Key, list[Path]], clean: dict[_Key, list[Path]]) -> Pairs:
    """Pair the files of equal keys; a key of several files on one side makes no pair."""
    twins, lone_clean = [], []
    used = set()
    for key, files in clean.items():
        others = noisy.get(key, [])
        if len(files) == len(others) == 1:
            twins.append((files[0], others[0]))
            used.add(key)
        else:
            lone_clean.extend(files)
    lone_noisy = [file for key, files in noisy.items() if key not in used for file in files]
    return Pairs(tuple(twins), tuple(lone_clean), tuple(lone_noisy))
