"""The meaning of folder names: parts, sides of a pair, masks, and names that say nothing.

Names are compared word by word, whatever their case: ``Train``, ``training_set`` and ``train2017``
are one part.  Words may also be written together, as in ``groundtruth``.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

__all__ = ["Meaning", "Part", "class_words", "meaning", "renaming", "same_name", "unsided", "words"]

Part = Literal["train", "val", "test"]
Side = Literal["noisy", "clean"]

_PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn", "trainings", "trainieren", "trening"), "train"),
    **dict.fromkeys(("entrainement", "apprentissage", "entrenamiento", "treino"), "train"),
    **dict.fromkeys(("treinamento", "addestramento", "allenamento", "traning"), "train"),
    **dict.fromkeys(("træning", "treningowe", "treningowy", "trenovaci"), "train"),
    **dict.fromkeys(("validierung", "validierungs", "validieren", "validacion"), "val"),
    **dict.fromkeys(("validacao", "validazione", "convalida", "validatie", "validering"), "val"),
    **dict.fromkeys(("walidacja", "walidacyjne", "walidacyjny", "validace", "validacni"), "val"),
    **dict.fromkeys(("testen", "teste", "testes", "prueba", "pruebas", "testowe"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating"), "val"),
    **dict.fromkeys(("dev", "devel", "development", "eval", "evaluation", "holdout"), "val"),
    **dict.fromkeys(("test", "testing", "tests", "tst"), "test"),
}
_STRONG: dict[str, Side] = {
    **dict.fromkeys(("noisy", "noise", "noised", "degraded", "corrupted", "corrupt"), "noisy"),
    **dict.fromkeys(("distorted", "lq", "lowquality", "input", "inputs", "inp"), "noisy"),
    **dict.fromkeys(("ldct", "lowdose", "quarterdose", "observed", "observation"), "noisy"),
    **dict.fromkeys(("clean", "cleaned", "gt", "gts", "groundtruth", "truth"), "clean"),
    **dict.fromkeys(("target", "targets", "tgt", "reference", "references", "ref"), "clean"),
    **dict.fromkeys(("hq", "highquality", "ndct", "fulldose", "noisefree", "denoised"), "clean"),
}
# Words that also name classes: they make a pair only where the images agree.
_WEAK: dict[str, Side] = {
    **dict.fromkeys(("low", "lowlight", "lr", "lowres", "lowresolution", "dark"), "noisy"),
    **dict.fromkeys(("before", "short", "blur", "blurry", "blurred", "hazy", "rainy"), "noisy"),
    **dict.fromkeys(("source", "src", "raw", "damaged", "dirty", "real"), "noisy"),
    **dict.fromkeys(("high", "highlight", "hr", "highres", "highresolution", "normal"), "clean"),
    **dict.fromkeys(("after", "long", "sharp", "clear", "original", "orig", "bright"), "clean"),
    **dict.fromkeys(("output", "outputs", "label", "labels", "mean", "good"), "clean"),
}
_MASKS = frozenset(
    {"masks", "labels", "annotations", "annotation", "groundtruth", "segmentation", "segmentations"}
    | {"trimaps", "segmentationmasks", "labelmaps", "segmentationclass", "segmentationobject"}
)
_MAYBE_MASKS = frozenset({"mask", "label", "seg", "segs", "trimap", "labelmap", "gt"})
_PLAIN = frozenset(
    {"image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pic", "pics"}
    | {"data", "dataset", "datasets", "frame", "frames", "file", "files", "jpegimages"}
    | {"jpg", "jpeg", "png", "tif", "tiff"}
)
# Words around those of parts, such as ``Bilder``, ``jeu de`` and ``conjunto de``.
_AROUND = frozenset(
    {"daten", "datensatz", "bilder", "bild", "jeu", "donnees", "conjunto", "datos", "imagenes"}
    | {"dados", "imagens", "dati", "immagini", "beelden", "de", "d", "des", "di", "do", "da"}
)
_FILLERS = _PLAIN | {"set", "sets", "folder", "split", "part", "sample", "samples", "subset"}
_COUNTED = frozenset(
    {"batch", "session", "day", "week", "month", "fold", "run", "patient", "subject", "camera"}
    | {"cam", "folder", "dir", "scene", "video", "sequence", "seq", "take", "lot"}
)
_NEARLY = 0.9  # of all names
_CAMERAS = frozenset({"dsc", "dscn", "dscf", "pxl", "gopr", "mvimg", "dji", "p", "screenshot"})
_GLUED = ("set", "data", "dataset", "images", "image", "imgs", "img", "daten", "satz", "bilder")


class Meaning(NamedTuple):
    """The meaning of a name."""

    part: Part | None
    side: Side | None
    is_weak: bool  # the side is a word that may as well name a class
    is_mask: bool
    may_be_mask: bool  # or a class
    is_plain: bool  # it only says that there are images
    is_counted: bool  # it numbers sessions, batches or the like
    rest: tuple[str, ...]  # the other words


def meaning(name: str) -> Meaning:
    """Return the meaning of the name of a file or folder."""
    given = _joined(words(_unaccented(name)))
    numbers = [word for word in given if word.isdigit()]
    spoken = [word for word in given if not word.isdigit()]
    telling = [word for word in spoken if word not in _FILLERS]
    parts = {_PARTS[word] for word in telling if word in _PARTS}
    sided = [word for word in telling if word in _STRONG or word in _WEAK]
    sides = {_STRONG.get(word) or _WEAK[word] for word in sided}
    rest = [word for word in telling if word not in _PARTS and word not in sided]
    rest = [word for word in rest if not parts or word not in _AROUND]
    lone = [word for word in telling if word not in _PARTS]
    return Meaning(
        part=parts.pop() if len(parts) == 1 else None,
        side=sides.pop() if len(sides) == 1 else None,
        is_weak=not any(word in _STRONG for word in sided),
        is_mask=len(lone) == 1 and lone[0] in _MASKS,
        may_be_mask=lone == telling and len(lone) == 1 and lone[0] in _MAYBE_MASKS,
        is_plain=bool(spoken) and all(word in _PLAIN for word in spoken),
        is_counted=len(spoken) == 1 and spoken[0] in _COUNTED and bool(numbers),
        rest=tuple(rest),
    )


def _unaccented(name: str) -> str:
    """Return a name without accents."""
    letters = unicodedata.normalize("NFD", name)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def words(name: str) -> list[str]:
    """Return the words and numbers of a name in lower case: ``0001_NoisyImage`` has three."""
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"\d+|[^\W\d_]+", text.casefold())


def unsided(name: str) -> tuple[str, ...]:
    """Return the words of a name without those that say a side of a pair."""
    known = _STRONG.keys() | _WEAK.keys()
    return tuple(word for word in _joined(words(name)) if word not in known)


def same_name(name: str) -> str:
    """Return the form in which names of classes are compared between parts."""
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def class_words(stems: Iterable[str]) -> list[str]:
    """Return what looks like classes in numbered names, such as ``cat.0`` and ``dog.1``.

    Nearly every name has a number and a word that others have, too; there are several such words.
    """
    counts: Counter[str] = Counter()
    for stem in stems:
        spoken = [word for word in words(stem) if not word.isdigit() and word not in _FILLERS]
        is_numbered = any(letter.isdigit() for letter in stem)
        is_class = is_numbered and spoken and not _CAMERAS & set(spoken)
        counts[" ".join(spoken) if is_class else ""] += 1
    found = {name: count for name, count in counts.items() if name and count > 1}
    is_clear = len(found) > 1 and sum(found.values()) >= _NEARLY * counts.total()
    return sorted(found) if is_clear else []


def renaming(names: Sequence[str], ours: Sequence[str]) -> dict[str, str | None]:
    """Return what we call each of some classes; None for a class that we do not have."""
    known = {same_name(name): name for name in ours} | {name: name for name in ours}
    return {name: known.get(name) or known.get(same_name(name)) for name in names}


def _joined(given: list[str]) -> list[str]:
    """Join ``ground truth`` and the like, and separate ``trainset`` and the like."""
    known = _PARTS.keys() | _STRONG.keys() | _WEAK.keys() | _MASKS
    joined: list[str] = []
    for word in given:
        if joined and joined[-1] + word in known:
            joined[-1] += word
            continue
        ending = next((end for end in _GLUED if word.removesuffix(end) in _PARTS), "")
        joined.append(word.removesuffix(ending))
    return joined
