"""Split the images of a folder into training and validation, with every class in both."""

from collections import Counter
from collections.abc import Sequence

from tapetum.data.dataset import Skipped
from tapetum.data.layout import Layout
from tapetum.data.loading import DecodedFile
from tapetum.errors import DataError
from tapetum.noise import generator_for

__all__ = ["split"]

_MOST_NAMED = 3  # files in one error message


def split(
    layout: Layout,
    loaded: Sequence[DecodedFile],
    skipped: Sequence[Skipped],
    *,
    val_fraction: float,
    seed: int,
) -> tuple[list[DecodedFile], list[DecodedFile]]:
    """Split images into training and validation, as the folder does or else at random.

    Args:
        layout: The layout, with the parts that the folder itself has.
        loaded: The readable files.
        skipped: The other files, for the message of an error.
        val_fraction: Share of each class that validates; at least one image, but not all.
        seed: Random seed of the split.

    Raises:
        DataError: A part, or a class in it, has no readable image.
    """
    if layout.val is None:
        _check(layout, loaded, skipped, at_least=2)
        return _split_by_seed(layout.class_names, loaded, val_fraction, seed)
    val_paths = {file.path for file in layout.val}
    train = [image for image in loaded if image.file.path not in val_paths]
    val = [image for image in loaded if image.file.path in val_paths]
    _check(layout, train, skipped, purpose=" for training")
    _check(layout._replace(class_names=()), val, skipped, purpose=" for validation")
    return train, val


def _split_by_seed(
    class_names: tuple[str, ...], loaded: Sequence[DecodedFile], val_fraction: float, seed: int
) -> tuple[list[DecodedFile], list[DecodedFile]]:
    """Set the same share of every class apart; both parts keep the order of the files."""
    validates: set[int] = set()
    for number, name in enumerate(class_names or (None,)):
        members = [index for index, image in enumerate(loaded) if image.file.class_name == name]
        num_val = min(max(round(val_fraction * len(members)), 1), len(members) - 1)
        order = generator_for(seed, number).permutation(len(members))
        validates.update(members[place] for place in order[:num_val])
    train = [image for index, image in enumerate(loaded) if index not in validates]
    return train, [loaded[index] for index in sorted(validates)]


def _check(
    layout: Layout,
    loaded: Sequence[DecodedFile],
    skipped: Sequence[Skipped],
    *,
    purpose: str = "",
    at_least: int = 1,
) -> None:
    """Raise an error if a class, or a part without classes, has too few readable images."""
    counts = Counter(image.file.class_name for image in loaded)
    poor = [f"{name!r} ({counts[name]})" for name in layout.class_names if counts[name] < at_least]
    if not loaded:
        problem = f"{layout.root} has no readable image{purpose}"
    elif poor:
        problem = (
            f"{layout.root} has classes with fewer readable images{purpose} than {at_least}: "
            f"{', '.join(poor)}"
        )
    elif len(loaded) < at_least:
        problem = f"{layout.root} has {len(loaded)} readable images, fewer than {at_least}"
    else:
        return
    raise DataError(f"{problem}{_name_some(skipped)}", "add images or remove empty class folders")


def _name_some(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return ""
    shown = ", ".join(f"{path} ({reason})" for path, reason in skipped[:_MOST_NAMED])
    more = len(skipped) - _MOST_NAMED
    return f" (skipped: {shown}{f' and {more:,} more' if more > 0 else ''})"
