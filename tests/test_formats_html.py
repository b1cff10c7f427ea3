"""The HTML file: a page with the network inside, opened in a real browser where there is one."""

import base64
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from packages import DENOISER, JOINT, package_of, real
from tapetum.arch import find_architecture
from tapetum.errors import MissingExtraError, PackageError
from tapetum.formats import Settings, target_html, write_target
from tapetum.formats.chromium import Page, find_chromium, open_page
from tapetum.formats.target_html import HtmlTarget
from tapetum.images import read_frames
from tapetum.noise import Gaussian, generator_for, parse_noise
from tapetum.runtime import BrightnessRange, Package, Predictor, Preparation
from tapetum.scores import ScoreRow, Scores
from test_formats_precision import lowered

FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
INSTALLED = Path(sys.prefix) / "node_modules" / "onnxruntime-web"
LIGHT = BrightnessRange.of([0.3, 0.6])
PREPARATION = Preparation(size_px=32, channels=3, resize="letterbox", background=0.25)
ROW = ScoreRow(title="gaussian 0.5", noise=Gaussian(sigma=0.5), num_images=4)
SCORES = Scores(protocol="benchmark", seed=0, source="four", rows=(ROW,), mean=ROW)


def scored(package: Package) -> Package:
    """The package with scores, which say what noise it is made for."""
    manifest = package.manifest.model_copy(update={"scores": SCORES})
    return replace(package, manifest=manifest)


def packaged() -> Package:
    """An RGB network of random weights that denoises and classifies."""
    return scored(real(JOINT, boxes=False, channels=3, size_px=32, preparation=PREPARATION))


@pytest.fixture
def stand_in(tmp_path: Path) -> Settings:
    """Files under the names of onnxruntime-web, to write a page that is not opened."""
    folder = tmp_path / "npm" / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"version": "1.2.3"}')
    module = folder / "dist" / "ort.wasm.bundle.min.mjs"
    module.write_text("export default {};\n//# sourceMappingURL=ort.map\n")
    (folder / "dist" / "ort-wasm-simd-threaded.wasm").write_bytes(b"wasm")
    return Settings(web_runtime=tmp_path / "npm", target_ms=7)


def test_a_page_is_whole_and_the_same_each_time(stand_in: Settings) -> None:
    """It names no address, and nothing in it depends on a clock."""
    page = HtmlTarget().contents(packaged(), stand_in)[".html"]
    assert page == HtmlTarget().contents(packaged(), stand_in)[".html"]
    text = page.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert "ONNX Runtime Web 1.2.3, Copyright (c) Microsoft" in text
    assert "7" in text.partition('"target_ms": ')[2][:3]


def test_a_page_is_proved_by_its_graph_without_a_browser(
    stand_in: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph in the file is run, and it is said that the page was not."""
    monkeypatch.setattr(target_html, "find_chromium", lambda: None)
    written = write_target(packaged(), tmp_path / "page.html", HtmlTarget(), stand_in)
    assert written.parity.worst <= 1e-5
    assert "the page itself was not opened" in written.parity.runtime


@pytest.mark.parametrize("does", ["exit 1", "exec sleep 60"])
def test_a_browser_that_does_not_work_counts_as_none(
    does: str, stand_in: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it ends at once or never answers, the graph in the file is run, and it is said."""
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setattr(target_html, "find_chromium", lambda: str(program))
    monkeypatch.setattr("tapetum.formats.chromium.ANSWER_S", 0.2)
    written = write_target(packaged(), tmp_path / "page.html", HtmlTarget(), stand_in)
    assert written.parity.worst <= 1e-5
    assert f"{program} does not work here: the browser" in written.parity.runtime
    assert "the page itself was not opened" in written.parity.runtime


def test_a_class_name_is_no_markup(stand_in: Settings) -> None:
    """Names of folders stand in the page as text."""
    package = packaged()
    names = ("</script><b>", *package.manifest.class_names[1:])
    manifest = package.manifest.model_copy(update={"class_names": names, "name": "<i>x</i>"})
    text = HtmlTarget().contents(replace(package, manifest=manifest), stand_in)[".html"].decode()
    assert "</script><b>" not in text
    assert "<i>x" not in text


def lit(resize: str) -> Package:
    """The package with a range of brightness, and with another way to resize."""
    preparation = PREPARATION.model_copy(update={"resize": resize})
    package, update = packaged(), {"brightness": LIGHT, "preparation": preparation}
    return replace(package, manifest=package.manifest.model_copy(update=update))


def test_a_page_knows_the_light_of_the_training(stand_in: Settings) -> None:
    """The limits and the sentences of the package, and which part of an image counts."""
    for package, light, resize in ((lit("crop"), LIGHT, "crop"), (packaged(), None, "letterbox")):
        page = HtmlTarget().contents(package, stand_in)[".html"].decode()
        found = re.search(r'id="facts">([^<]*)<', page)
        assert found is not None
        told = json.loads(found[1])
        assert told["resize"] == resize
        if light is None:
            assert told["brightness"] is None
        else:
            assert (told["brightness"]["lowest"], told["brightness"]["highest"]) == light.limits
            assert told["brightness"]["darker"] == light.doubt("darker")


def test_what_a_page_cannot_do_is_refused(stand_in: Settings, tmp_path: Path) -> None:
    """Boxes, other channels, and a missing runtime, with the command that installs it."""
    with pytest.raises(PackageError, match="needs boxes, which a page does not have"):
        HtmlTarget().contents(real(JOINT, boxes=True), stand_in)
    other = package_of(find_architecture(DENOISER, channels=2), size_px=32)
    with pytest.raises(PackageError, match="needs other channels than grey or RGB"):
        HtmlTarget().contents(other, stand_in)
    with pytest.raises(MissingExtraError, match=r"npm install --prefix .* onnxruntime-web@"):
        HtmlTarget().require(Settings(web_runtime=tmp_path / "nowhere"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of that network, in a browser with a camera."""
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    if not INSTALLED.is_dir():
        pytest.skip("onnxruntime-web is not installed (make test installs it with npm)")
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_bytes(HtmlTarget().contents(packaged(), Settings(target_ms=7))[".html"])
    with open_page(program, path, *FAKE_CAMERA) as opened:
        opened.wait_for("window.tapetum")
        opened.evaluate("tapetum.ready")
        yield opened


def choose(page: Page, path: Path) -> dict[str, Any]:
    """What the page shows after a file was chosen."""
    page.evaluate("window.earlier = tapetum.numShown")
    root = page.ask("DOM.getDocument")["root"]["nodeId"]
    node = page.ask("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.ask("DOM.setFileInputFiles", files=[str(path)], nodeId=node)
    return shown(page)


def shown(page: Page) -> dict[str, Any]:
    """What the page shows once there is something new."""
    page.wait_for("tapetum.numShown > window.earlier")
    found: dict[str, Any] = page.evaluate("tapetum.shown")
    return found


def values(text: str) -> Any:
    """Float32 values that a page returns."""
    return np.frombuffer(base64.b64decode(text), "<f4")


def slide(page: Page, name: str, value: float) -> None:
    """Move a slider."""
    page.evaluate(
        f"(() => {{ const it = document.getElementById('{name}'); it.value = {value};"
        "it.dispatchEvent(new Event('input')); })()"
    )


def picture(height: int, width: int, channels: int) -> Any:
    """A smooth image, which a JPEG keeps well."""
    waves = np.add.outer(np.sin(np.arange(height) / 5), np.cos(np.arange(width) / 7)) / 4 + 0.5
    return np.uint8(255 * np.stack([np.roll(waves, 3 * c, 0) for c in range(channels)], axis=2))


FILES = {
    "rgb.png": ({}, 3),
    "grey.png": ({}, 1),
    "alpha.png": ({}, 4),
    "rgb.jpg": ({"quality": 90}, 3),
    "turned.jpg": ({"quality": 90, "exif": 6}, 3),
    "rgb.webp": ({"lossless": True}, 3),
}


@pytest.mark.slow
@pytest.mark.usefixtures("page")  # where there is a browser
@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
def test_a_page_warns_of_another_light(resize: str, tmp_path: Path) -> None:
    """As the package does, for the part of an image that the label is made from, with a border."""
    program, path, package = find_chromium(), tmp_path / "page.html", lit(resize)
    path.write_bytes(HtmlTarget().contents(package, Settings())[".html"])
    assert program is not None
    with open_page(program, path) as opened:
        opened.wait_for("window.tapetum")
        opened.evaluate("tapetum.ready")
        seen = set()
        # The middle square, and the strips beside it: a fifth, a half and more of an image.
        for middle, beside in ((10, 10), (120, 120), (250, 250), (120, 10), (10, 250), (60, 60)):
            pixels = np.full((20, 60, 3), beside, np.uint8)
            pixels[:, 20:40] = middle
            Image.fromarray(pixels).save(tmp_path / "image.png")
            choose(opened, tmp_path / "image.png")
            told = opened.evaluate("document.getElementById('doubts').textContent")
            warnings = Predictor(package, threads=1)(tmp_path / "image.png").warnings
            assert told == ". ".join(warnings), (middle, beside)
            seen.add(told)
        # Darker, brighter, neither; a wide image with a border is never as bright.
        assert len(seen) == (2 if resize == "letterbox" else 3)


@pytest.mark.parametrize("name", FILES)
def test_a_page_prepares_and_names_as_predict_does(name: str, page: Page, tmp_path: Path) -> None:
    """Values, probabilities and label of a file are those of the package, turned upright."""
    options, channels = FILES[name]
    image = Image.fromarray(picture(45, 60, channels).squeeze())
    if "exif" in options:
        exif = Image.Exif()
        exif[0x0112] = options["exif"]
        options = {**options, "exif": exif}
    image.save(tmp_path / name, **options)
    found, package = choose(page, tmp_path / name), packaged()
    wanted = Predictor(package)(tmp_path / name)
    height, width = wanted.pixels.shape[:2]
    assert (found["height"], found["width"]) == (height, width)
    colours = PREPARATION.colours(next(read_frames(tmp_path / name)))
    given = values(found["noisy"]).reshape(3, height, width)
    # A canvas stores colours multiplied by alpha, in 8 bits; decoders of JPEG may round.
    np.testing.assert_allclose(given, colours, atol=1e-6 if channels < 4 else 2.1 / 255)
    assert found["label"] == wanted.label
    np.testing.assert_allclose(found["probabilities"], wanted.probabilities[0], atol=1e-3)
    denoised = values(found["denoised"]).reshape(3, height, width)
    np.testing.assert_allclose(np.moveaxis(denoised, 0, 2), wanted.pixels, atol=0.02)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_can_be_dropped_and_pasted(way: str, page: Page, tmp_path: Path) -> None:
    """As it can be chosen."""
    width = {"drop": 21, "paste": 22}[way]
    Image.fromarray(picture(17, width, 3)).save(tmp_path / "x.png")
    text = base64.b64encode((tmp_path / "x.png").read_bytes()).decode()
    event = {
        "drop": "new DragEvent('drop', { dataTransfer: held })",
        "paste": "new ClipboardEvent('paste', { clipboardData: held })",
    }[way]
    page.evaluate(
        "(() => { window.earlier = tapetum.numShown; "
        f"const bytes = Uint8Array.from(atob('{text}'), (one) => one.charCodeAt(0)); "
        "const held = new DataTransfer(); "
        "held.items.add(new File([bytes], 'x.png', { type: 'image/png' })); "
        f"dispatchEvent({event}); }})()"
    )
    found = shown(page)
    assert (found["height"], found["width"]) == (17, width)


def test_what_is_no_image_is_said(page: Page, tmp_path: Path) -> None:
    """The page stays as it was."""
    (tmp_path / "notes.txt").write_text("no image")
    root = page.ask("DOM.getDocument")["root"]["nodeId"]
    node = page.ask("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.ask("DOM.setFileInputFiles", files=[str(tmp_path / "notes.txt")], nodeId=node)
    page.wait_for("document.getElementById('message').textContent")
    said = page.evaluate("document.getElementById('message').textContent")
    assert said == "notes.txt is not an image that the browser can read."


def test_noise_and_rejection_have_sliders(page: Page, tmp_path: Path) -> None:
    """Half of the slider is half of the strongest noise; a high threshold says unknown."""
    Image.new("RGB", (64, 64), (128, 128, 128)).save(tmp_path / "flat.png")
    choose(page, tmp_path / "flat.png")
    page.evaluate("window.earlier = tapetum.numShown")
    slide(page, "noise", 50)
    found = values(shown(page)["noisy"])
    assert found.std() == pytest.approx(0.25, rel=0.05)
    assert found.mean() == pytest.approx(128 / 255, abs=0.01)
    slide(page, "reject", 99)
    assert page.evaluate("document.getElementById('label').textContent") == "unknown"
    slide(page, "reject", 0)
    assert page.evaluate("document.getElementById('label').textContent") != "unknown"
    slide(page, "noise", 0)


def test_a_slider_parts_before_from_after(page: Page, tmp_path: Path) -> None:
    """At a quarter, three quarters of the denoised image are shown, and the line lies there."""
    Image.fromarray(picture(40, 60, 3)).save(tmp_path / "x.png")
    choose(page, tmp_path / "x.png")
    slide(page, "split", 25)
    clip = page.evaluate("getComputedStyle(document.getElementById('denoised')).clipPath")
    assert clip == "inset(0px 0px 0px 25%)"
    place, left, width = page.evaluate(
        "(() => { const it = document.getElementById('noisy'); return [parseFloat("
        "document.getElementById('divider').style.left), it.offsetLeft, it.offsetWidth]; })()"
    )
    assert place == pytest.approx(left + width / 4 - 1)


@pytest.mark.parametrize("protocol", ["benchmark", "camera"])
@pytest.mark.parametrize(
    "text", ["gaussian:0.2", "poisson-gaussian:0.02,0.05", "speckle:0.3", "salt-and-pepper:0.1"]
)
def test_the_noise_of_a_page_is_that_of_the_training(text: str, protocol: Any, page: Page) -> None:
    """Mean and variance of every model are those of ``tapetum.noise``, clipped where it clips."""
    clean = np.full(40_000, 0.7, np.float32)
    model = parse_noise(text)
    numbers = model.model_dump()
    level = numbers.get("sigma", numbers.get("fraction"))
    facts = {"kind": model.kind, "gain": numbers.get("gain"), "protocol": protocol}
    sent = base64.b64encode(clean.tobytes()).decode()
    given = values(page.evaluate(f"tapetum.spoil('{sent}', {level}, {json.dumps(facts)})"))
    noisy = model.corrupt(clean, generator_for(0))
    if protocol == "camera":
        noisy = np.rint(255 * np.clip(noisy, 0, 1)) / 255
    assert given.mean() == pytest.approx(noisy.mean(), abs=0.005)
    assert given.std() == pytest.approx(noisy.std(), rel=0.03)


def test_the_result_can_be_saved(page: Page, tmp_path: Path) -> None:
    """The file is the denoised image, as PNG."""
    Image.fromarray(picture(20, 30, 3)).save(tmp_path / "x.png")
    wanted = values(choose(page, tmp_path / "x.png")["denoised"]).reshape(3, 20, 30)
    saved = page.evaluate(
        "new Promise((done) => { HTMLAnchorElement.prototype.click = async function () { "
        "const bytes = new Uint8Array(await (await fetch(this.href)).arrayBuffer()); "
        "done([this.download, btoa(String.fromCharCode(...bytes))]); }; "
        "document.getElementById('save').click(); })"
    )
    (tmp_path / "saved.png").write_bytes(base64.b64decode(saved[1]))
    assert saved[0].endswith(".png")
    stored = np.asarray(Image.open(tmp_path / "saved.png").convert("RGB"), np.float32) / 255
    np.testing.assert_allclose(np.moveaxis(stored, 2, 0), np.clip(wanted, 0, 1), atol=0.6 / 255)


@pytest.mark.slow
def test_the_camera_runs_until_it_is_stopped(page: Page) -> None:
    """Frames of the fake camera of Chromium are shown one after another."""
    page.evaluate("window.earlier = tapetum.numShown")
    page.evaluate("document.getElementById('camera').click()")
    found = shown(page)
    assert found["width"] / found["height"] == pytest.approx(640 / 480, abs=0.02)
    assert page.evaluate("document.getElementById('camera').textContent") == "Stop"
    page.evaluate("window.earlier = tapetum.numShown")
    shown(page)
    page.evaluate("document.getElementById('camera').click()")
    assert page.evaluate("document.getElementById('camera').textContent") == "Camera"


def test_a_phone_shows_the_whole_page(page: Page) -> None:
    """Nothing is wider than a narrow screen, and milliseconds stand beside the budget."""
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.ask("Emulation.setDeviceMetricsOverride", **size)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.ask("Emulation.clearDeviceMetricsOverride")
    assert page.evaluate("document.getElementById('budget').textContent") == "7 ms"
    page.wait_for("document.getElementById('pass').textContent.endsWith(' ms')")


def test_nothing_is_requested_from_anywhere(page: Page) -> None:
    """After all of the above: only the file itself, and what it made. Scripts had no fault."""
    time.sleep(0.2)
    page.evaluate("0")  # reads what has arrived
    kinds = {address.partition(":")[0] for address in page.requests}
    assert kinds <= {"file", "blob", "data"}
    assert sum(address.startswith("file:") for address in page.requests) == 1
    assert page.problems == []
    with pytest.raises(PackageError, match="Failed to fetch"):  # its policy forbids it
        page.evaluate("fetch('http://127.0.0.1:9/')")


@pytest.mark.slow
def test_an_int8_network_runs_in_a_page(page: Page, tmp_path: Path) -> None:
    """Its roundings may fall on the other side, but not more."""
    del page  # which says that there is a browser
    package = lowered(real(JOINT, boxes=False, channels=3, size_px=32))
    written = write_target(package, tmp_path / "page.html", HtmlTarget(), Settings())
    assert written.parity.worst <= written.parity.tolerance == 0.05


def test_the_very_page_is_run(page: Page, tmp_path: Path) -> None:
    """Its network, in the browser, computes what the package computes."""
    del page  # which says that there is a browser
    written = write_target(packaged(), tmp_path / "page.html", HtmlTarget(), Settings())
    assert written.parity.worst <= 1e-5
    assert "with onnxruntime-web" in written.parity.runtime
