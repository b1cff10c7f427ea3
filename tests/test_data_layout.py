"""How folders are understood: parts, classes, pairs and masks, and what is refused."""

import unicodedata
from pathlib import Path

import pytest

from folders import draw, draw_pairs, draw_tree
from tapetum.data.layout import Ask, Layout
from tapetum.data.parts import find_layout
from tapetum.errors import DataError


def counts(layout: Layout) -> tuple[int, int | None]:
    """The number of training and of validation images."""
    return len(layout.train), None if layout.val is None else len(layout.val)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        *(("train", "val"), ("Train", "Val"), ("TRAIN", "VALID"), ("training", "validation")),
        *(("train", "dev"), ("train", "eval"), ("Training", "Testing"), ("train", "test")),
        *(("training_set", "test_set"), ("trainset", "testset"), ("train2017", "val2017")),
        *(("photos_train", "photos_val"), ("train images", "Test-Images")),
        *(("Trainingsdaten", "Validierungsdaten"), ("entraînement", "validation")),
        *(("entrenamiento", "validación"), ("treino", "validacao"), ("addestramento", "test")),
        *(("jeu d'entrainement", "jeu de test"), ("Trainingsbilder", "Testbilder")),
        *(("train_images", "images_val"), ("Träning", "Validering"), ("trainset", "valset")),
    ],
)
def test_parts_have_many_names(tmp_path: Path, train: str, val: str) -> None:
    """Parts are known by the usual names, whatever their case and the words around them."""
    draw_tree(tmp_path, {f"{train}/a": 3, f"{train}/b": 3, f"{val}/a": 2, f"{val}/b": 1})
    layout = find_layout(tmp_path)
    assert counts(layout) == (6, 3)
    assert layout.class_names == ("a", "b")


def test_a_test_part_beside_validation_is_set_aside(tmp_path: Path) -> None:
    """With train, val and test nothing of test is used, and that is said."""
    draw_tree(tmp_path, {f"{part}/{name}": 2 for part in ("train", "val", "test") for name in "ab"})
    layout = find_layout(tmp_path)
    assert counts(layout) == (4, 4)
    assert "4 image(s) are the test part" in dict(layout.left_out)[tmp_path / "test"]


def test_innermost_classes_keep_the_parts(tmp_path: Path) -> None:
    """With --layout leaves, too, validation and test images never train."""
    parts = {"train": 3, "val": 2, "test": 1}
    tree = {f"{part}/{name}": n for part, n in parts.items() for name in ("pet/cat", "car/van")}
    layout = find_layout(draw_tree(tmp_path, tree), Ask(layout="leaves"))
    assert (counts(layout), layout.class_names) == ((6, 4), ("cat", "van"))
    assert {layout.key(one.path)[:6] for one in layout.train} == {"train/"}
    assert "2 image(s) are the test part" in dict(layout.left_out)[tmp_path / "test"]


def test_a_test_part_without_labels_is_set_aside(tmp_path: Path) -> None:
    """Unlabelled images cannot validate labelled ones; those of a test part are set aside."""
    draw_tree(tmp_path, {"train/a": 2, "train/b": 2, "test": 3})
    assert counts(find_layout(tmp_path)) == (4, None)


@pytest.mark.parametrize("above", ["shapes", "a/b/c", "Data", "images"])
def test_folders_above_the_images_are_passed(tmp_path: Path, above: str) -> None:
    """A folder that only contains the dataset is passed, and that is said."""
    draw_tree(tmp_path, {f"{above}/disc": 2, f"{above}/ring": 2})
    layout = find_layout(tmp_path)
    assert layout.class_names == ("disc", "ring")
    assert layout.base == tmp_path / above
    assert any(above in note for note in layout.notes)


def test_parts_with_a_folder_of_their_name_are_passed(tmp_path: Path) -> None:
    """An archive may repeat the name of a part: seg_train/seg_train/CLASS."""
    tree = {f"seg_{part}/seg_{part}/{name}": 2 for part in ("train", "test") for name in "ab"}
    layout = find_layout(draw_tree(tmp_path, tree | {"seg_pred": 3}))
    assert counts(layout) == (4, 4)
    assert layout.class_names == ("a", "b")
    assert tmp_path / "seg_pred" in dict(layout.left_out)


@pytest.mark.parametrize(
    "names",
    [
        *(("train", "bus"), ("valid", "invalid"), ("noisy", "quiet"), ("good", "bad")),
        *(("0", "1", "10"), ("mask", "no_mask"), ("with mask", "without mask")),
        *(("images of cats", "dogs"), ("class_1", "class_2")),
    ],
)
def test_classes_may_have_any_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A name that also means something else is a class where its neighbours are classes."""
    layout = find_layout(draw_tree(tmp_path, dict.fromkeys(names, 2)))
    assert set(layout.class_names) == set(names)
    assert counts(layout) == (2 * len(names), None)


def test_names_are_compared_without_form_case_and_spaces(tmp_path: Path) -> None:
    """The classes of two parts are the same in another Unicode form, case, or with a space."""
    composed = unicodedata.normalize("NFC", "défaut")
    apart = unicodedata.normalize("NFD", "défaut")
    draw_tree(tmp_path, {f"train/{apart}": 2, "train/Ring": 2, "train/disc ": 2})
    draw_tree(tmp_path, {f"val/{composed}": 1, "val/ring": 1, "val/disc": 1})
    layout = find_layout(tmp_path)
    assert layout.class_names == ("Ring", "disc", composed)
    assert layout.val is not None
    assert {one.class_name for one in layout.val} == {"Ring", "disc", composed}


def test_spaces_around_the_name_of_a_class_are_said(tmp_path: Path) -> None:
    """A class goes without the spaces around the name of its folder, and a note says so."""
    layout = find_layout(draw_tree(tmp_path, {"  two  spaces": 2, "disc": 2}))
    assert layout.class_names == ("disc", "two  spaces")
    assert any("'  two  spaces'" in note for note in layout.notes)


@pytest.mark.parametrize("names", [("lernen", "pruefen"), ("train", "training"), ("val", "test")])
def test_parts_in_doubt_hint_at_their_usual_names(tmp_path: Path, names: tuple[str, str]) -> None:
    """Folders that may be parts are refused with the advice to rename them."""
    draw_tree(tmp_path, {f"{part}/{name}": 2 for part in names for name in "ab"})
    with pytest.raises(DataError) as refused:
        find_layout(tmp_path)
    assert "rename" in refused.value.remedy
    assert "'train'" in refused.value.remedy


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        *(("Noisy/{}.png", "Clean/{}.png"), ("input/{}.png", "target/{}.png")),
        *(("lq/{}.png", "GT/{}.png"), ("noise/{}.png", "gt/{}.png")),
        *(("low/{}.png", "high/{}.png"), ("degraded/{}.png", "reference/{}.png")),
        *(("input/{}.png", "ground truth/{}.png"), ("Input Images/{}.png", "target_images/{}.png")),
        *(("noisy/{}_NOISY_010.png", "clean/{}_GT_010.png"), ("noisy/{}.png", "clean/x{}y.png")),
        *(("{}_noisy.png", "{}_clean.png"), ("noisy_{}.png", "clean_{}.png")),
        *(("{}_NOISY_SRGB.png", "{}_GT_SRGB.png"), ("im{}_real.png", "im{}_mean.png")),
        *(("{}_noisy.png", "{}.png"), ("scene{}/NOISY.png", "scene{}/GT.png")),
        *(("x/noisy/{}.png", "x/clean/{}.png"), ("noisy/{}.bmp", "clean/{}.png")),
    ],
)
def test_pairs_have_many_names(tmp_path: Path, noisy: str, clean: str) -> None:
    """Twins are paired by folders and by names that differ in a part."""
    layout = find_layout(draw_pairs(tmp_path, noisy, clean))
    assert layout.is_paired
    assert not layout.class_names
    expected = {(tmp_path / clean.format(n), tmp_path / noisy.format(n)) for n in range(4)}
    assert {(one.path, one.noisy_path) for one in layout.train} == expected


@pytest.mark.parametrize(
    "names",
    [
        ("{part}/noisy/{{}}.png", "{part}/clean/{{}}.png"),
        ("noisy/{part}/{{}}.png", "clean/{part}/{{}}.png"),
        ("{part}_noisy/{{}}.png", "{part}_clean/{{}}.png"),
    ],
)
def test_pairs_may_have_parts(tmp_path: Path, names: tuple[str, str]) -> None:
    """Parts and sides may lie in each other in both orders, or in one name."""
    for part in ("train", "val"):
        draw_pairs(tmp_path, *(name.format(part=part) for name in names))
    layout = find_layout(tmp_path)
    assert counts(layout) == (4, 4)
    assert layout.is_paired


def test_pairs_may_have_classes(tmp_path: Path) -> None:
    """Pairs by their names in folders of classes are labelled."""
    for name in "ab":
        draw_pairs(tmp_path / name, "{}_noisy.png", "{}_clean.png")
    layout = find_layout(tmp_path)
    assert (layout.is_paired, layout.class_names, len(layout.train)) == (True, ("a", "b"), 8)


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("noisy/clip{clip}/{{}}.png", "clean/clip{clip}/{{}}.png"),
        ("clip{clip}/{{}}_noisy.png", "clip{clip}/{{}}_clean.png"),
    ],
)
def test_clips_of_pairs_are_groups_where_pairs_are_requested(
    tmp_path: Path, noisy: str, clean: str
) -> None:
    """Folders of pairs are classes, which is said with the options that make them groups."""
    for clip in range(3):
        draw_pairs(tmp_path, noisy.format(clip=clip), clean.format(clip=clip))
    layout = find_layout(tmp_path)
    assert layout.class_names == ("clip0", "clip1", "clip2")
    assert any("add --layout pairs --group-by folder" in note for note in layout.notes)
    layout = find_layout(tmp_path, Ask(layout="pairs", group_by="folder"))
    assert (layout.is_paired, layout.class_names, len(layout.train)) == (True, (), 12)
    assert {(one.path.parent.name, one.group) for one in layout.train} == {
        (f"clip{clip}", f"clip{clip}/") for clip in range(3)
    }
    assert not any("are classes" in note for note in layout.notes)
    assert not layout.problems


def test_words_of_pairs_may_be_classes(tmp_path: Path) -> None:
    """Low and high are classes where images of one name show different things."""
    layout = find_layout(draw_pairs(tmp_path, "low/{}.png", "high/{}.png", alike=False))
    assert (layout.is_paired, layout.class_names) == (False, ("high", "low"))


@pytest.mark.parametrize(
    "masks", ["masks", "Labels", "annotations", "ground_truth", "Ground Truth"]
)
def test_masks_are_left_out(tmp_path: Path, masks: str) -> None:
    """Folders of masks beside classes or images are left out and named."""
    layout = find_layout(draw_tree(tmp_path / "1", {"disc": 2, "ring": 2, masks: 4}))
    assert layout.class_names == ("disc", "ring")
    assert "masks by its name" in dict(layout.left_out)[tmp_path / "1" / masks]
    layout = find_layout(draw_tree(tmp_path / "2", {"images": 3, masks: 3}))
    assert (counts(layout), layout.class_names) == ((3, None), ())
    tree = {f"{name}/{kind}": 2 for name in "ab" for kind in ("images", masks)}
    layout = find_layout(draw_tree(tmp_path / "3", tree))
    assert (counts(layout), layout.class_names) == ((4, None), ("a", "b"))


def test_masks_beside_their_images_are_left_out(tmp_path: Path) -> None:
    """A file called like an image with _mask is no image of the class."""
    for name in ("benign", "malignant"):
        for file in ("a.png", "b.png", "a_mask.png", "a_mask_1.png"):
            draw(tmp_path / name / file)
    assert len(find_layout(tmp_path).train) == 4


def mvtec(root: Path) -> Path:
    """The layout of anomaly data: good images train, defects are in the test part alone."""
    tree = {"train/good": 6, "test/good": 2, "test/hole": 3, "ground_truth/hole": 3}
    return draw_tree(root, tree)


def test_classes_that_training_lacks_are_in_doubt(tmp_path: Path) -> None:
    """Where only the test part has a class, both readings are named, and each can be chosen."""
    with pytest.raises(DataError, match=r"two ways.*'hole'.*--layout parts.*--layout pooled"):
        find_layout(mvtec(tmp_path))
    parts = find_layout(tmp_path, Ask(layout="parts"))
    assert (counts(parts), parts.class_names) == ((6, 2), ("good",))
    pooled = find_layout(tmp_path, Ask(layout="pooled"))
    assert (counts(pooled), pooled.class_names) == ((11, None), ("good", "hole"))
    assert tmp_path / "ground_truth" in dict(pooled.left_out)


@pytest.mark.parametrize(
    ("tree", "choices"),
    [
        ({"good": 2, "bad": 2, "test": 2}, ["classes"]),
        ({"train": 2, "val": 2, "other": 2}, ["classes"]),
        ({"train/a": 2, "train/b": 2, "more": 2}, ["classes"]),
        ({"s1/a": 1, "s1/b": 1, "s2/a": 1, "s2/b": 1}, ["classes", "leaves"]),
        ({"batch_1": 2, "batch_2": 2}, ["classes", "flat"]),
        ({"images": 2, "disc": 2}, ["classes", "flat"]),
        ({"images": 2, "gt": 2}, ["pairs", "flat"]),
        ({"noisy": 2, "clean": 2, "other": 2}, ["pairs", "classes"]),
        ({"": 5, "old": 2}, ["classes", "flat"]),
        ({"disc": 2, "mask": 2}, ["classes"]),
        ({"val/a": 2, "test/a": 2}, ["pooled"]),
    ],
)
def test_doubt_is_refused_and_can_be_resolved(
    tmp_path: Path, tree: dict[str, int], choices: list[str]
) -> None:
    """A folder with two readings is refused, and each named option reads it."""
    draw_tree(tmp_path, tree)
    with pytest.raises(DataError, match=r"can be read in (two|three) ways") as caught:
        find_layout(tmp_path)
    for layout in choices:
        assert f"--layout {layout}" in str(caught.value)
        assert find_layout(tmp_path, Ask(layout=layout)).train


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("cat.{}.jpg", "dog.{}.jpg"), "'cat', 'dog'"),
        (("cat_00{}.png", "great_pyrenees_{}.png"), "'cat', 'great pyrenees'"),
        (("IMG_{}.png", "DSC_{}.png"), ""),
        (("p1_{}.png", "p2_{}.png"), ""),
        (("{}.png", "x{}.png"), ""),
    ],
)
def test_classes_in_file_names_are_noted(
    tmp_path: Path, names: tuple[str, ...], classes: str
) -> None:
    """Numbered files of several words may have classes: that is said, and never guessed."""
    for index in range(3):
        for name in names:
            draw(tmp_path / name.format(index))
    layout = find_layout(tmp_path)
    assert (layout.class_names, len(layout.train)) == ((), 6)
    assert [note for note in layout.notes if f"classes {classes}:" in note] == list(layout.notes)
    assert bool(layout.notes) is bool(classes)


def test_two_parts_of_one_kind_are_refused(tmp_path: Path) -> None:
    """With val and valid nobody knows which one validates."""
    draw_tree(tmp_path, {"train/a": 2, "val/a": 2, "valid/a": 2})
    with pytest.raises(DataError, match=r"'val' is the validation part.*'valid' is the"):
        find_layout(tmp_path)


def test_names_that_do_not_fit_make_no_pairs(tmp_path: Path) -> None:
    """Noisy and clean images whose names do not fit together are refused, not taken as classes."""
    for index in range(4):
        draw(tmp_path / "noisy" / f"a{index}.png")
        draw(tmp_path / "clean" / f"{index + 7}b{index * 3}.png")
    with pytest.raises(DataError, match="their file names do not fit together"):
        find_layout(tmp_path)


def test_a_trained_network_decides_what_is_a_class(tmp_path: Path) -> None:
    """A single folder with the name of a known class is that class, for scoring."""
    draw_tree(tmp_path, {"data/disc/monday": 1, "data/disc/tuesday": 1})
    assert find_layout(tmp_path).class_names == ("monday", "tuesday")
    assert find_layout(tmp_path, Ask(class_names=("disc", "ring"))).class_names == ("disc",)


@pytest.mark.parametrize(
    ("group_by", "group"), [("folder", "monday/"), (r"(p\d)_", "p1"), (None, "")]
)
def test_groups_come_from_folders_or_names(
    tmp_path: Path, group_by: str | None, group: str
) -> None:
    """The group of an image is its sub-folder, the match of an expression, or its own path."""
    draw(tmp_path / "a" / "monday" / "p1_x.png")
    draw(tmp_path / "b" / "x.png")
    groups = [one.group for one in find_layout(tmp_path, Ask(group_by=group_by)).train]
    assert groups == [group or "a/monday/p1_x.png", "b/x.png"]


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (Ask(layout="tree"), "no layout 'tree'"),
        (Ask(group_by="("), "no regular expression"),
        (Ask(layout="flat", labels=Path("labels.csv")), "--layout flat has no effect: the table"),
    ],
)
def test_impossible_requests_are_refused(tmp_path: Path, ask: Ask, problem: str) -> None:
    """An unknown layout, a damaged expression, and a layout beside a table of labels."""
    with pytest.raises(DataError, match=problem):
        find_layout(tmp_path, ask)


@pytest.mark.parametrize(("group_by", "said"), [("z(.)", "for 4 of 4"), ("folder", "no group")])
def test_groups_that_are_not_found_are_said(tmp_path: Path, group_by: str, said: str) -> None:
    """A problem names the images for which --group-by finds no group."""
    draw_tree(tmp_path, {"a": 2, "b": 2})
    assert any(said in one for one in find_layout(tmp_path, Ask(group_by=group_by)).problems)


def test_groups_have_no_effect_on_given_parts(tmp_path: Path) -> None:
    """A problem says that --group-by does nothing where the folder has its own parts."""
    draw_tree(tmp_path, {f"{part}/{name}": 2 for part in ("train", "val") for name in "ab"})
    problems = find_layout(tmp_path, Ask(group_by="^(.)")).problems
    assert any("--group-by ^(.) has no effect" in one for one in problems)
