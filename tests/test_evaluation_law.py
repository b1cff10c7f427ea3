"""The law: what validation says is what ``tapetum predict`` does, to the bit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tapetum import metrics
from tapetum.arch import find_architecture
from tapetum.data import open_dataset
from tapetum.evaluation import Answer, PackageSubject, score
from tapetum.formats import pack
from tapetum.images import DecodedImage, read_image
from tapetum.nn import build
from tapetum.noise import Gaussian
from tapetum.runtime import Manifest, Package, Predictor, Preparation, bulk, write_package

SIZE_PX = 24
CLASSES = ("bright", "dark", "striped")


def drawn(label: int, shape: tuple[int, ...], white: int, seed: int) -> NDArray[Any]:
    """A noisy image whose class can be seen."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(0, 0.3, shape) + (0.6 if label == 0 else 0.1)
    if label == 2:
        values[:, ::4] += 0.3
    kind = np.uint8 if white == 255 else np.uint16
    return (values.clip(0, 1) * white).round().astype(kind)


FORMS = {
    "smaller": ((16, 16), 255),
    "equal": ((SIZE_PX, SIZE_PX), 255),
    "larger": ((70, 70), 255),
    "wide": ((30, 77), 255),
    "tall": ((50, 21), 255),
    "RGB": ((40, 36, 3), 255),
    "alpha": ((40, 36, 4), 255),
    "16 bits": ((33, 45), 65535),
}


def folder_of(root: Path, shape: tuple[int, ...], white: int) -> Path:
    """A folder with a training and a validation part."""
    for part, count in (("train", 2), ("val", 4)):
        for label, name in enumerate(CLASSES):
            place = root / part / name
            place.mkdir(parents=True)
            for index in range(count):
                image = drawn(label, shape, white, 10 * label + index)
                Image.fromarray(image).save(place / f"{index}.png")
    return root


def packed(
    channels: int, resize: str = "squash", name: str = "dc-net-reduced-integrated"
) -> Package:
    """A network with random weights; whatever it answers, both have to agree."""
    name = "dc-net-reduced-integrated"
    architecture = find_architecture(name, channels=channels, num_classes=3, boxes=False)
    network = build(architecture, seed=3).eval()
    preparation = Preparation(size_px=SIZE_PX, channels=channels, resize=resize)
    manifest = Manifest.of(
        architecture, size_px=SIZE_PX, preparation=preparation, class_names=CLASSES
    )
    return pack(network, manifest)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
def test_predict_and_evaluate_agree(form: str, resize: str, tmp_path: Path) -> None:
    """Accuracy, calibration error, PSNR and SSIM of both are equal, without noise."""
    shape, white = FORMS[form]
    channels = 1 if len(shape) == 2 else 3
    package = packed(channels, resize)
    folder = folder_of(tmp_path / "data", shape, white)
    dataset = open_dataset(str(folder), seed=0, size_px=SIZE_PX, resize=resize)
    row = score(PackageSubject(package, threads=1), dataset, [Gaussian(sigma=0)]).rows[0]

    predictor, preparation = Predictor(package, threads=1), package.manifest.preparation
    right, psnr_db, ssim = [], [], []
    for path, answer in predictor.folder(folder / "val"):
        clean = preparation.colours(read_image(path))[np.newaxis]
        pixels = answer.pixels if answer.pixels.ndim == 3 else answer.pixels[:, :, np.newaxis]
        pixels = np.moveaxis(pixels, 2, 0)[np.newaxis]
        right.append(answer.label == path.parent.name)
        psnr_db.append(metrics.psnr(pixels, clean)[0])
        ssim.append(metrics.ssim(pixels, clean)[0])
    assert row.num_images == len(right) == 12
    assert row.accuracy == sum(right) / len(right)
    assert row.psnr_db == np.mean(psnr_db)
    assert row.ssim == np.mean(ssim)


def test_predict_and_evaluate_agree_with_noise(tmp_path: Path) -> None:
    """Probabilities and noisy images are equal, whatever shard or process predicts an image."""
    package = packed(1)
    folder = folder_of(tmp_path / "data", (40, 33), 255)
    dataset = open_dataset(str(folder), seed=0, size_px=SIZE_PX)
    subject = Recorder(package)
    score(subject, dataset, [Gaussian(sigma=0.2)], seed=7)

    path = tmp_path / "p.tapetum"
    write_package(path, package.graph_bytes, package.manifest, package.card)
    job = bulk.Job(
        package=path,
        paths=[folder / "val"],
        out=tmp_path / "out",
        noise=Gaussian(sigma=0.2),
        seed=7,
        probabilities=True,
    )
    for index in (1, 2, 3):
        bulk.run_job(job, bulk.Execution(threads=1), shard=bulk.Shard(index, 3))
    rows = list(bulk.read_rows(job.out))
    assert len(rows) == len(subject.given) == 12
    for row, given, probabilities in zip(rows, subject.given, subject.probabilities, strict=True):
        assert [row.by_class[0][name] for name in CLASSES] == probabilities[0].tolist()
        stored = np.rint(given.pixels.clip(0, 1) * 255)
        np.testing.assert_array_equal(read_image(Path(str(row.noisy))).pixels * 255, stored)


class Recorder(PackageSubject):
    """Keeps what it is given, and its probabilities."""

    def __init__(self, package: Package) -> None:
        super().__init__(package, threads=1)
        self.given: list[DecodedImage] = []
        self.probabilities: list[NDArray[np.float32]] = []

    def predict(
        self, image: DecodedImage, boxes: NDArray[np.float32] | None, *, with_image: bool = True
    ) -> Answer:
        """Answer as a package does."""
        answer = super().predict(image, boxes, with_image=with_image)
        assert answer.probabilities is not None
        self.given.append(image)
        self.probabilities.append(answer.probabilities)
        return answer


def test_predict_and_evaluate_agree_on_boxes(tmp_path: Path) -> None:
    """A box of a table of labels is a sample: its label comes from the box in the whole image."""
    folder, rows = tmp_path / "data", ["file,label,split,left,top,right,bottom"]
    folder.mkdir()
    for index in range(9):
        image = drawn(index % 3, (40, 60), 255, index)
        Image.fromarray(image).save(folder / f"{index}.png")
        part = "val" if index % 2 else "train"
        rows.append(f"{index}.png,{CLASSES[index % 3]},{part},{index},2,{index + 20},30")
        rows.append(f"{index}.png,{CLASSES[(index + 1) % 3]},{part},30,{index},59.5,40")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    dataset = open_dataset(str(folder), seed=0, size_px=32)
    assert dataset.info.has_boxes
    assert len(dataset.validation) == 8

    network = build(
        find_architecture("dc-net-reduced-integrated", channels=1, num_classes=3), seed=3
    )
    manifest = Manifest.of(
        network.architecture,
        size_px=32,
        preparation=dataset.info.preparation,
        class_names=CLASSES,
    )
    package = pack(network.eval(), manifest)
    row = score(PackageSubject(package, threads=1), dataset, [Gaussian(sigma=0)]).rows[0]
    predictor = Predictor(package, threads=1)
    right, psnr_db = [], []
    for index in range(1, 9, 2):
        path = folder / f"{index}.png"
        boxes = [[index, 2, index + 20, 30], [30, index, 59.5, 40]]
        answer = predictor(path, boxes=boxes)
        right += [name == CLASSES[(index + k) % 3] for k, name in enumerate(answer.labels)]
        clean = read_image(path).pixels[np.newaxis]
        psnr_db += [metrics.psnr(answer.pixels[np.newaxis, np.newaxis], clean)[0]] * 2
    assert row.accuracy == sum(right) / len(right)
    assert row.psnr_db == pytest.approx(np.mean(psnr_db), rel=1e-12)


def write(package: Package, path: Path) -> Path:
    """Writes a package to a file."""
    write_package(path, package.graph_bytes, package.manifest, "a test")
    return path


BLOCKED = ("torch", "torchvision", "accelerate", "jaxtyping", "safetensors")
BLOCK_TORCH = f"""
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, NoTorch())
"""


def run_without_torch(code: str, *arguments: str | Path) -> str:
    """What a process prints in which importing torch fails."""
    result = subprocess.run(
        [sys.executable, "-c", BLOCK_TORCH + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_the_commands_agree_where_torch_is_missing(tmp_path: Path) -> None:
    """``evaluate`` and ``predict`` of a package run without torch, with the same accuracy."""
    package = write(packed(1), tmp_path / "p.tapetum")
    folder = folder_of(tmp_path / "data", (30, 44), 255)
    code = "from tapetum.cli import main; sys.argv[0] = 'tapetum'; main()"
    data = ("--data", folder, "--json", "--noise", "0", "--threads", "1")
    scores = json.loads(run_without_torch(code, "evaluate", package, *data))
    out = ("--out", tmp_path / "out", "--json", "--threads", "1")
    rows = json.loads(run_without_torch(code, "predict", package, folder / "val", *out))["images"]
    right = [row["labels"][0] == Path(row["image"]).parent.name for row in rows]
    assert scores["rows"][0]["accuracy"] == sum(right) / len(right)
    assert scores["rows"][0]["num_images"] == len(right) == 12


def test_the_public_function_needs_no_torch(tmp_path: Path) -> None:
    """``tapetum.evaluate`` of a package works where torch is not installed."""
    package = write(packed(1), tmp_path / "p.tapetum")
    folder = folder_of(tmp_path / "data", (30, 44), 255)
    code = "import tapetum; print(tapetum.evaluate(*sys.argv[1:], noise=0.1).mean.num_images)"
    assert run_without_torch(code, package, folder).strip() == "12"


def test_torch_really_is_blocked() -> None:
    """The same way of importing fails for what needs torch, so the tests above mean something."""
    code = (
        "try:\n    import tapetum.nn\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    )
    assert run_without_torch(code).strip() in BLOCKED
