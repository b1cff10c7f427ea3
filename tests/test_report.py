"""The report of a run: self-contained, the same every time, honest about wrong answers."""

import base64
import io
import math
import re
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tapetum.errors import InputError, MissingExtraError
from tapetum.report import png_of, write_report
from tapetum.report.content import (
    Bar,
    Curve,
    Diagram,
    Example,
    ExampleGroup,
    ExampleLabel,
    Matrix,
    Mistake,
    Report,
    Series,
    Table,
    task_title,
)
from tapetum.report.plots import draw_matrix, plot
from tapetum.report.write import render

WITHOUT_END = {"img", "meta"}
SIGMAS = (0.0, 0.5, 1.0)


class Reader(HTMLParser):
    """Collects the elements of a page and notices tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element, unless it is of the kind that has no end."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in WITHOUT_END:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element that ends itself, as in SVG."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Closes the element that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Gathers the words between the tags."""
        self.words += data

    def attributes(self, name: str) -> list[str]:
        """The values of one attribute over the whole page, in order."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def pixels(seed: int, shape: tuple[int, int, int] = (1, 12, 16)) -> NDArray[np.float32]:
    """A random image whose values fit 8 bits exactly."""
    levels = np.random.default_rng(seed).integers(0, 256, shape)
    return (levels / 255).astype(np.float32)


@pytest.fixture
def example() -> Example:
    """Two digits, one of them read wrongly."""
    labels = (
        ExampleLabel("7", "7", 0.98, (0, 0, 4, 6)),
        ExampleLabel("3", "8", 0.61, (8, 6, 12, 12)),
    )
    return Example(pixels(1) * 3 - 1, pixels(2), pixels(3), "first", labels, 27.25, 9.5)


@pytest.fixture
def page(example: Example) -> Report:
    """A page that has a bit of everything."""
    curve = Curve(
        "PSNR against the noise",
        "sigma",
        "PSNR (dB)",
        SIGMAS,
        (Series("denoised", (40.0, 30.0, 20.0)), Series("paper", (math.inf, None, 22.0))),
    )
    bars = (Bar("k3: 1 to 8", "32 px", 8, 0), Bar("k5: 8 to 48 to 16", "16 px", 48, 2))
    diagram = Diagram("The network", "channels", bars, ("plain", "kernel 3", "kernel 5", "squeeze"))
    return Report(
        title="Two digits",
        lead="It denoises and names.",
        highlights={"PSNR": "27.0 dB"},
        tables=(Table("Mean", ("network", "PSNR"), (("ours", "27.0"), ("paper", "29.9"))),),
        diagrams=(diagram,),
        curves=(curve, replace(curve, title="Again")),
        examples=(ExampleGroup("σ = 0.5", (example,)),),
        matrices=(
            Matrix("Who is who", "given", "true", ("cat", "dog"), ((0.9, 0.1), (0.0, 1.0)), "Ten."),
        ),
        commands=("tapetum demo",),
        facts={"machine": "two cores"},
    )


def test_the_same_page_gives_the_same_bytes(page: Report) -> None:
    """Neither date nor chance enters a page: what does not change can be compared."""
    assert render(page) == render(page)


def test_a_page_asks_nothing_of_any_server(page: Report) -> None:
    """A page has no script, and loads only what is inside it."""
    text = render(page)
    reader = Reader(text)
    assert not {"base", "embed", "iframe", "link", "object", "script"} & {
        tag for tag, _ in reader.elements
    }
    assert all(source.startswith("data:image/png;base64,") for source in reader.attributes("src"))
    links = reader.attributes("href") + reader.attributes("xlink:href")
    assert all(link.startswith("#") for link in links)
    assert all(inside.startswith("#") for inside in re.findall(r"url\(([^)]*)", text))
    assert "@import" not in text


def test_every_part_is_shown(page: Report) -> None:
    """All words of a page reach its reader."""
    words = Reader(render(page)).words
    expected = ["Two digits", "It denoises and names.", "27.0 dB", "ours", "29.9", "sigma", "Again"]
    expected += [
        "Who is who",
        "given",
        "cat",
        "90.0",
        "Ten.",
        "σ = 0.5",
        "first",
        "tapetum demo",
        "two cores",
        "27.2\N{NO-BREAK SPACE}dB",
    ]
    assert [part for part in expected if part not in words] == []


def test_an_empty_page_has_no_empty_sections() -> None:
    """What a page has not, it does not announce."""
    tags = {tag for tag, _ in Reader(render(Report(title="Nothing", lead="Yet"))).elements}
    assert not {"section", "dl", "table", "svg", "img"} & tags


def test_words_cannot_become_markup(page: Report) -> None:
    """Text from the user (class names, paths) is shown as text."""
    corrupted = replace(page, title="<script>x</script>", commands=("a < b & c",))
    text = render(corrupted)
    assert "<script" not in text
    assert "a &lt; b &amp; c" in text


def test_wrong_answers_differ_by_more_than_colour(page: Report) -> None:
    """A wrong answer has a cross, says that it is wrong and says what is true."""
    reader = Reader(render(page))
    words = " ".join(reader.words.split())
    assert "✓right: 7 98 %" in words
    assert "✗wrong: 3 61 %; true label: 8" in words


def test_a_mistake_shows_both_classes_its_probability_and_its_images(page: Report) -> None:
    """A classifier has no denoised image."""
    one = Mistake(pixels(4), pixels(5), "dog", "cat", 0.97, "image 5")
    with_both = replace(page, examples=(), mistakes=(one,))
    reader = Reader(render(with_both))
    assert len(reader.attributes("src")) == 2
    assert "✗wrong: cat 97 %; true label: dog image 5" in " ".join(reader.words.split())
    alone = replace(with_both, mistakes=(replace(one, denoised=None),))
    assert len(Reader(render(alone)).attributes("src")) == 1


def test_a_matrix_shows_its_shares_and_leaves_out_what_is_zero(page: Report) -> None:
    """Each cell has its percents; the diagonal has another colour."""
    svg = draw_matrix(page.matrices[0], prefix="m-")
    assert re.findall(r">(\d+)</text>", svg) == ["90", "10", "100"]
    assert svg.count("var(--series-0)") == 2
    assert svg.count("var(--series-1)") == 1
    assert "<image" not in svg


def test_images_keep_their_pixels(page: Report, example: Example) -> None:
    """Noisy, denoised and truth stand inside the page, to the last of 8 bits."""
    sources = Reader(render(page)).attributes("src")
    for source, expected in zip(
        sources, (example.noisy, example.denoised, example.truth), strict=True
    ):
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        shown = np.asarray(image, np.float32)[None] / 255
        np.testing.assert_allclose(shown, expected.clip(0, 1), atol=0.5 / 255 + 1e-6)


def test_boxes_lie_where_they_belong(page: Report) -> None:
    """A box is placed in parts of the image, so that it fits at every displayed size."""
    assert "left:50.00%;top:50.00%;width:25.00%;height:50.00%" in render(page)


def test_plots_share_no_ids(page: Report) -> None:
    """Two plots on one page do not use each other's parts, and every part used exists."""
    text = render(page)
    reader = Reader(text)
    ids = Counter(reader.attributes("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    used = {link[1:] for link in reader.attributes("xlink:href")}
    used |= {inside[1:] for inside in re.findall(r"url\(([^)]*)", text)}
    assert used
    assert used <= set(ids)


def test_plots_take_their_colours_from_the_page(page: Report) -> None:
    """No colour of a plot is fixed, so that it can be read by day and by night."""
    svg = re.findall(r"<svg.*?</svg>", render(page), re.DOTALL)
    assert len(svg) == len(page.curves) + len(page.diagrams) + len(page.matrices)
    assert not re.search(r"#[0-9a-f]{6}\b", "".join(svg))


def test_epochs_are_counted_in_whole_numbers() -> None:
    """One epoch or a few: no mark on the axis lies between them."""
    for count in (1, 2, 5, 30):
        epochs = tuple(float(epoch) for epoch in range(1, count + 1))
        drawn = plot(Curve("loss", "epoch", "", epochs, (Series("ours", epochs),)), prefix="a-")
        along = drawn[drawn.index('id="a-matplotlib.axis_1"') : drawn.index("a-matplotlib.axis_2")]
        marks = re.findall(r">([0-9.]+)</text>", along)
        assert marks, count
        assert all(mark.isdigit() for mark in marks), marks


def test_a_network_is_drawn_block_by_block(page: Report) -> None:
    """Each with what it is, the size at which it works, and what its tone means."""
    text = render(page)
    for words in ("k3: 1 to 8", "k5: 8 to 48 to 16", "32 px", "16 px", "plain", "kernel 5"):
        assert words in text
    assert "squeeze" not in text  # no bar has that tone


def test_what_was_not_measured_is_left_blank(page: Report) -> None:
    """No value and an infinite value leave a gap, in the plot and in its numbers."""
    text = render(replace(page, matrices=()))
    numbers = re.search(r"<details>.*?</details>", text, re.DOTALL)
    assert numbers
    assert re.findall(r"<td>(.*?)</td>", numbers[0]) == ["40", "", "30", "", "20", "22"]


def test_a_ragged_table_is_refused() -> None:
    """A row of a table has as many columns as its header."""
    with pytest.raises(InputError, match="row 0 of the table 'Mean' has 1 columns"):
        Table("Mean", ("network", "PSNR"), (("ours",),))


def test_an_image_of_two_channels_is_refused() -> None:
    """Only grey and RGB images can be shown; the error says the shape that was given."""
    with pytest.raises(InputError, match=re.escape("(2, 12, 16)")):
        png_of(pixels(4, (2, 12, 16)))


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_missing_extra_says_what_to_install(
    page: Report, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a package of the extra is missing, the error is the command that brings it."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"{missing}.*pip install '\.\[train\]'"):
        render(page)


def test_a_report_is_written_where_it_is_wanted(tmp_path: Path, page: Report) -> None:
    """The page is written as it is rendered, in a folder that is made for it."""
    path = tmp_path / "runs" / "demo" / "report.html"
    write_report(path, page)
    assert path.read_text(encoding="utf-8") == render(page)


def test_a_warning_comes_before_the_numbers_that_it_is_about(page: Report) -> None:
    """It is the first sentence, and its tiles have a colour of their own; others have none."""
    told = replace(page, highlights={"PSNR": "27", "ms": "8"}, warning="Far too short.")
    reader = Reader(render(replace(told, doubtful=["PSNR"])))
    words = [reader.words.index(text) for text in ("Far too short.", page.lead, "27")]
    assert words == sorted(words)
    assert reader.attributes("class").count("doubtful") == 1
    assert {"doubtful", "lead warning"}.isdisjoint(Reader(render(page)).attributes("class"))


@pytest.mark.parametrize("count", [3, 5, 12])
def test_five_notes_are_open_and_the_others_are_folded(count: int) -> None:
    """In their order, none of them twice."""
    notes = tuple(f"note number {index}." for index in range(count))
    page = render(Report(title="t", lead="l", advice=notes))
    assert re.findall(r"note number \d+\.", page) == list(notes)
    is_open, fold, folded = page.partition(f"<summary>{count - 5} more</summary>")
    assert bool(fold) == (count > 5)
    assert "note number 4." in is_open or count < 5
    assert "note number 5." not in is_open
    assert ("note number 5." in folded) == (count > 5)


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (("cat", "dog"), "pets: cat, dog"),
        (tuple("abcdefghij"), "pets: 10 classes"),
        ((), "pets: denoised images"),
    ],
)
def test_a_title_names_folder_and_classes(names: tuple[str, ...], title: str) -> None:
    """Many classes are counted; without a folder the task is named alone."""
    assert task_title("pets", names) == title
    alone = title.removeprefix("pets: ")
    assert task_title("", names) == alone[0].upper() + alone[1:]
