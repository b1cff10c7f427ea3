"""The split of a folder: it does not move, keeps groups together, and is kept in lists."""

from pathlib import Path

import pytest

from folders import draw, draw_pairs, draw_tree
from tapetum.data.folder import open_folder
from tapetum.data.layout import Ask, ImageFile
from tapetum.data.open import open_dataset
from tapetum.data.splitlist import SplitList
from tapetum.data.splitting import draw as draw_number
from tapetum.data.splitting import stable_split
from tapetum.errors import DataError


def images(names: list[str], class_name: str | None = None) -> list[ImageFile]:
    """Images of one class, each its own group."""
    return [ImageFile(Path(name), None, class_name, group=name) for name in names]


def validating(names: list[str], *, seed: int = 0, fraction: float = 0.2) -> set[str]:
    """The names that validate."""
    sides = stable_split(images(names), fraction=fraction, seed=seed)
    assert len(sides.train) + len(sides.validation) == len(names)
    return {one.group for one in sides.validation}


def names(count: int) -> list[str]:
    """Names of files."""
    return [f"{index:04}.png" for index in range(count)]


def test_other_images_move_none() -> None:
    """Adding and removing images leaves each other image on its side, and order is of no matter."""
    before = validating(names(200))
    after = validating([*reversed(names(200)), *(f"new-{index}.png" for index in range(50))])
    assert before == after & set(names(200))
    assert before & set(names(100)) == validating(names(100))


def test_the_share_and_the_seed_are_kept() -> None:
    """The share that validates is about the fraction, and another seed draws other images."""
    for fraction in (0.1, 0.3):
        assert len(validating(names(2000), fraction=fraction)) / 2000 == pytest.approx(
            fraction, abs=0.03
        )
    assert validating(names(200), seed=1) != validating(names(200), seed=2)
    assert validating(names(200), fraction=0.1) < validating(names(200), fraction=0.3)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_class_of_two_images_is_on_both_sides(fraction: float) -> None:
    """Where the hash leaves a side of a class empty, the nearest image goes there."""
    for seed in range(5):
        drawn = stable_split(images(["a.png", "b.png"], "x"), fraction=fraction, seed=seed)
        first = min(("a.png", "b.png"), key=lambda name: draw_number(seed, name))
        assert [one.group for one in drawn.validation] == [first]
        assert len(drawn.train) == 1


def test_a_lone_image_trains() -> None:
    """A class of one image trains, and that is said."""
    drawn = stable_split(images(["a.png"], "x"), fraction=0.999, seed=0)
    assert (len(drawn.train), drawn.validation) == (1, [])
    assert "'x'" in drawn.notes[0]


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    """Images of one sub-folder, or of one match of an expression, are never divided."""
    for name in "ab":
        for patient in range(8):
            for index in range(3):
                draw(tmp_path / name / f"p{patient}" / f"p{patient}_{index}.png")
    for group_by in ("folder", r"p\d"):
        opened = open_folder(tmp_path, seed=3, ask=Ask(group_by=group_by))
        assert opened.split_list is not None
        sides = [
            {Path(file.path).parent.name for file in side}
            for side in (opened.split_list.train, opened.split_list.validation)
        ]
        assert all(sides)
        assert not sides[0] & sides[1]


def test_the_lists_name_every_file(tmp_path: Path) -> None:
    """The lists of a run hold each file of both parts with its size, and can be read again."""
    draw_tree(tmp_path / "data", {"a": 6, "b": 6})
    lists = open_folder(tmp_path / "data", seed=0).split_list
    assert lists is not None
    files = [*lists.train, *lists.validation]
    assert sorted(file.path for file in files) == sorted(
        f"{name}/{index:02}.png" for name in "ab" for index in range(6)
    )
    assert all((tmp_path / "data" / path).stat().st_size == size for path, size, _ in files)
    lists.write(tmp_path / "split.json")
    assert SplitList.read(tmp_path / "split.json") == lists


def trained(root: Path) -> SplitList:
    """The lists of a training on a folder of twenty images."""
    lists = open_folder(draw_tree(root, {"a": 10, "b": 10}), seed=0).split_list
    assert lists is not None
    return lists


def scored(root: Path, lists: SplitList) -> tuple[set[str], str]:
    """The files that validate with the lists of a training, and what is said."""
    opened = open_folder(root, seed=5, listed=lists)
    assert opened.split_list is not None
    assert opened.summary is not None
    return {file.path for file in opened.split_list.validation}, " ".join(opened.summary.notes)


def test_what_trained_never_validates(tmp_path: Path) -> None:
    """With the lists of a run the same files validate, whatever seed and whatever was added."""
    lists = trained(tmp_path)
    expected = {file.path for file in lists.validation}
    assert scored(tmp_path, lists) == (expected, "")
    draw(tmp_path / "a" / "new.png")
    files, notes = scored(tmp_path, lists)
    assert files == expected
    assert "1 file(s) were added" in notes
    assert "a/new.png" in notes


def test_missing_and_changed_files_are_said(tmp_path: Path) -> None:
    """A file that is missing, and one of another content, are named."""
    lists = trained(tmp_path)
    (tmp_path / lists.train[0].path).unlink()
    draw(tmp_path / lists.validation[0].path, seed=12345)
    _, notes = scored(tmp_path, lists)
    assert f"1 file(s) of the training are missing: {lists.train[0].path!r}" in notes
    assert f"another content than in the training: {lists.validation[0].path!r}" in notes


def test_a_copy_of_a_training_image_does_not_validate(tmp_path: Path) -> None:
    """A validation file that now holds a training image is left out of the scores."""
    lists = trained(tmp_path)
    content = (tmp_path / lists.train[0].path).read_bytes()
    (tmp_path / lists.validation[0].path).write_bytes(content)
    files, notes = scored(tmp_path, lists)
    assert lists.validation[0].path not in files
    assert "hold images that were trained on" in notes


def test_the_noisy_twins_are_listed_and_compared(tmp_path: Path) -> None:
    """The lists hold both files of a pair, and a noisy twin that trained does not validate."""
    draw_pairs(tmp_path, "noisy/{}.png", "clean/{}.png", count=10)
    lists = open_folder(tmp_path, seed=0).split_list
    assert lists is not None
    assert len(lists.train) + len(lists.validation) == 20
    expected = {file.path for file in lists.validation}
    assert {Path(path).parent.name for path in expected} == {"noisy", "clean"}
    files, notes = scored(tmp_path, lists)
    assert files == expected
    assert "file(s)" not in notes
    name = Path(lists.validation[0].path).name
    trained_twin = next(file.path for file in lists.train if file.path.startswith("noisy"))
    (tmp_path / "noisy" / name).write_bytes((tmp_path / trained_twin).read_bytes())
    files, notes = scored(tmp_path, lists)
    assert files == expected - {f"noisy/{name}", f"clean/{name}"}
    assert f"another content than in the training: 'noisy/{name}'" in notes
    assert "hold images that were trained on" in notes


def test_another_folder_is_scored_whole(tmp_path: Path) -> None:
    """A folder of which no file took part in the training validates as a whole, but for copies."""
    lists = trained(tmp_path / "1")
    for name in "ab":
        for index in range(3):
            draw(tmp_path / "2" / name / f"other{index}.png")
    files, notes = scored(tmp_path / "2", lists)
    assert len(files) == 6
    assert "each of them is scored" in notes
    for index, file in enumerate(lists.train):
        target = tmp_path / "3" / Path(file.path).parent / f"copy{index}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "1" / file.path).read_bytes())
    with pytest.raises(DataError, match="no image that may validate"):
        scored(tmp_path / "3", lists)


def test_a_package_divides_alike(tmp_path: Path) -> None:
    """The rule in a package divides the same files alike, and says when they are others."""
    draw_tree(tmp_path, {"a": 10, "b": 10})
    first = open_dataset(str(tmp_path), seed=4, val_fraction=0.4, group_by=r"\d\d")
    rule = first.info.split
    assert rule is not None
    again = open_dataset(str(tmp_path), seed=rule.seed, like=rule)
    assert again.split_list == first.split_list
    assert again.summary == first.summary
    draw(tmp_path / "a" / "new.png")
    more = open_dataset(str(tmp_path), seed=rule.seed, like=rule)
    assert first.split_list is not None
    assert more.split_list is not None
    assert set(first.split_list.validation) <= set(more.split_list.validation)
    assert more.summary is not None
    assert "21 files are not exactly the 20" in more.summary.notes[-1]


def test_a_set_that_lacks_a_class_is_scored(tmp_path: Path) -> None:
    """For scoring a class may be missing, one image is enough, and another class is refused."""
    draw_tree(tmp_path, {"disc": 1, "stripes": 1})
    known = Ask(class_names=("checks", "disc", "stripes"))
    whole = open_folder(tmp_path, seed=0, score_all=True, ask=known)
    labels = whole.validation.take([0, 1], epoch=0, seed=0, train=False).labels
    assert labels is not None
    assert labels.tolist() == [1, 2]
    assert whole.summary is not None
    assert "'checks'" in whole.summary.notes[-1]
    with pytest.raises(DataError, match="has the class 'stripes'"):
        open_folder(tmp_path, seed=0, score_all=True, ask=Ask(class_names=("disc", "ring")))


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_images_of_the_training_are_counted_where_they_are_scored(
    seed: int, tmp_path: Path
) -> None:
    """By the lists of a run whatever a file is called, by the rule in a package in its folder."""
    draw_tree(tmp_path, {"a": 12, "b": 9})
    first = open_dataset(str(tmp_path), seed=3)
    lists, rule = first.split_list, first.info.split
    assert lists is not None
    assert rule is not None
    for score_all in (True, False):
        other = open_dataset(str(tmp_path), seed=seed, score_all=score_all)
        assert other.split_list is not None
        common = {file.path for file in other.split_list.validation}
        common &= {file.path for file in lists.train}
        options = {"seed": seed, "score_all": score_all, "like": rule}
        assert other.num_trained == 0  # of no network
        assert open_dataset(str(tmp_path), **options).num_trained == len(common)
    listed = open_dataset(str(tmp_path), seed=seed, score_all=True, listed=lists)
    assert listed.num_trained == len(lists.train)
    assert open_dataset(str(tmp_path), seed=seed, like=rule, listed=lists).num_trained == 0
    (tmp_path / lists.train[0].path).rename(tmp_path / "a" / "renamed.png")
    renamed = open_dataset(str(tmp_path), seed=seed, score_all=True, listed=lists)
    assert renamed.num_trained == len(lists.train)
