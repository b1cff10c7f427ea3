"""Tables of labels: which are found, how files are named, and what is refused."""

from pathlib import Path

import pytest

from folders import draw, draw_tree
from tapetum.data.folder import open_folder
from tapetum.data.layout import Ask, Layout
from tapetum.data.parts import find_layout
from tapetum.errors import DataError, InputError


def labelled(root: Path, table: str, *, name: str = "labels.csv", folder: str = "images") -> Layout:
    """The layout of a folder with four images and a table."""
    draw_tree(root, {folder: 4})
    (root / name).write_text(table)
    return find_layout(root)


def classes(layout: Layout) -> dict[str, str | None]:
    """The class of each image by its name."""
    return {one.path.name: one.class_name for one in layout.train}


EXPECTED = {"00.png": "a", "01.png": "b", "02.png": "a", "03.png": "b"}


@pytest.mark.parametrize("folder", ["images", ""])
@pytest.mark.parametrize(
    ("header", "row", "separator"),
    [
        *(("file,label", "{}.png,{}", "\n"), ("Filename;Class", "{}.png;{}", "\r\n")),
        *(("image_id\tdx", "{}\t{}", "\n"), ("Image Name|Category", "{}.png|{}", "\n")),
        *(
            ("label,path", "{1},./images\\{0}.png", "\n"),
            ("\ufefffile,label", '"{}.png","{}"', "\n"),
        ),
    ],
)
def test_tables_have_many_forms(
    tmp_path: Path, header: str, row: str, separator: str, folder: str
) -> None:
    """Columns, separators and names of files may be any of the usual ones."""
    rows = [row.format(name[:-4], label) for name, label in EXPECTED.items()]
    layout = labelled(tmp_path, separator.join([header, *rows, ""]), folder=folder)
    assert classes(layout) == EXPECTED
    assert layout.class_names == ("a", "b")
    assert any("'labels.csv'" in note for note in layout.notes)
    assert not layout.left_out


def test_a_table_may_have_parts(tmp_path: Path) -> None:
    """A column of splits decides which images validate."""
    table = "file,label,split\n00.png,a,train\n01.png,b,Training\n02.png,a,val\n03.png,b,valid\n"
    layout = labelled(tmp_path, table)
    assert layout.val is not None
    assert [one.path.name for one in layout.val] == ["02.png", "03.png"]


def test_a_table_of_a_part_labels_that_part(tmp_path: Path) -> None:
    """With train.csv beside train and test, names mean the images in train."""
    draw_tree(tmp_path, {"train": 4, "test": 2})
    (tmp_path / "train.csv").write_text("id,label\n00,a\n01,b\n02,a\n03,b\n")
    layout = find_layout(tmp_path)
    assert {one.path.parent.name for one in layout.train} == {"train"}
    assert classes(layout) == EXPECTED


@pytest.mark.parametrize(
    ("header", "box"),
    [
        *(("xmin,ymin,xmax,ymax", "1,2,11,12"), ("left,top,right,bottom", "1,2,11,12")),
        *(("x,y,w,h", "1,2,10,10"), ("bbox", '"[1, 2, 11, 12]"')),
    ],
)
def test_a_table_may_have_boxes(tmp_path: Path, header: str, box: str) -> None:
    """Each box is an image of its own, and the boxes of a file stay together."""
    rows = [f"{name},{label},{box}" for name, label in EXPECTED.items()]
    layout = labelled(tmp_path, "\n".join([f"file,label,{header}", *rows, *rows]))
    assert len(layout.train) == 4
    assert {one.box for one in layout.train} == {(1.0, 2.0, 11.0, 12.0)}
    more = [row.replace("00.png,a,", "00.png,b,").replace("1", "3") for row in rows[:1]]
    if header != "bbox":
        (tmp_path / "labels.csv").write_text("\n".join([f"file,label,{header}", *rows, *more]))
        layout = find_layout(tmp_path)
        assert len({one.group for one in layout.train}) == 4
        assert len(layout.train) == 5
        assert open_folder(tmp_path, seed=0).info.has_boxes


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("id,filename,label", "{number},{name},{label}"),  # numbers that are names of images, too
        ("label_id,image,name,class", "7,{name},Anna,{label}"),
    ],
)
def test_a_column_of_files_counts_before_one_of_numbers(
    tmp_path: Path, header: str, row: str
) -> None:
    """The columns that were read are named, since others might do."""
    lines = [
        row.format(number=f"{3 - number:02}", name=name, label=label)
        for number, (name, label) in enumerate(EXPECTED.items())
    ]
    layout = labelled(tmp_path, "\n".join([header, *lines]))
    assert classes(layout) == EXPECTED
    file, label = header.split(",")[1], header.split(",")[-1]
    (note,) = (note for note in layout.notes if "'labels.csv'" in note)
    assert f"file from the column {file!r}" in note or file == "file"
    assert f"label from the column {label!r}" in note or label == "label"


@pytest.mark.parametrize(
    ("header", "box"),
    [
        ("file,x,y,w,h,label", "{name},1,2,10,10,{label}"),
        ("file,label,x,y,width,height", "{name},{label},1,2,10,10"),
        ("file,x,y,width,height,y_pred,label", "{name},1,2,10,10,0,{label}"),
    ],
)
def test_a_label_may_stand_after_the_box(tmp_path: Path, header: str, box: str) -> None:
    """A column y beside x is an edge, and not the label."""
    rows = [box.format(name=name, label=label) for name, label in EXPECTED.items()]
    layout = labelled(tmp_path, "\n".join([header, *rows]))
    assert classes(layout) == EXPECTED
    assert {one.box for one in layout.train} == {(1.0, 2.0, 11.0, 12.0)}


def test_a_part_of_a_box_is_named_and_not_used(tmp_path: Path) -> None:
    """Labels are of whole images then; width and height alone are those of the images."""
    rows = [f"{name},{label},5,5" for name, label in EXPECTED.items()]
    for header, is_named in (("x,y", True), ("width,height", False)):
        layout = labelled(tmp_path, "\n".join([f"file,label,{header}", *rows]))
        assert classes(layout) == EXPECTED
        assert {one.box for one in layout.train} == {None}
        assert any("no whole box" in note for note in layout.notes) == is_named


def test_a_table_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """Among what is left out: its labels would be missed."""
    layout = labelled(tmp_path, "photo,verdict\n00.png,a\n")
    reasons = {path.name: reason for path, reason in layout.left_out}
    assert "no columns for files and labels, but 'photo', 'verdict'" in reasons["labels.csv"]


def test_what_a_table_does_not_say_is_left_out(tmp_path: Path) -> None:
    """Images without a row or a label, and rows without an image, are listed."""
    layout = labelled(tmp_path, "file,label\n00.png,a\n01.png,b\n02.png,\nlost.png,a\n")
    reasons = {path.name: reason for path, reason in layout.left_out}
    assert set(reasons) == {"02.png", "03.png", "labels.csv"}
    assert "no label" in reasons["02.png"]
    assert "no row" in reasons["03.png"]
    assert "row 5: 'lost.png'" in reasons["labels.csv"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("file,label\n00.png,a\n00.png,b\n01.png,b\n", "two labels for '00.png'"),
        ("file,label,split\n00.png,a,train\n01.png,b,\n", "others have none"),
        ("file,label,split\n00.png,a,train\n01.png,b,left\n", "unknown split 'left'"),
        ("file,label,box\n00.png,a,1 2 3 4\n01.png,b,\n", "have a box and others have none"),
        ("file,label,box\n00.png,a,1 2 3\n", "no box of four numbers"),
        ("file,label,box\n00.png,a,1 2 nan 4\n", "no box of four numbers"),
        ("name,age\n00.png,3\n", "no columns for files and labels"),
        ("file,label\nx.png,a\n", "names no image"),
        ("", "is empty"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, table: str, problem: str) -> None:
    """A table that was asked for and cannot be used is refused in a sentence."""
    draw_tree(tmp_path, {"images": 4})
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=problem):
        find_layout(tmp_path, Ask(labels=tmp_path / "t.csv"))
    for path in (tmp_path / "missing.csv", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=str(path)):
            find_layout(tmp_path, Ask(labels=path))


def test_a_table_that_disagrees_with_folders_is_in_doubt(tmp_path: Path) -> None:
    """A table beside folders of classes is ignored where both agree, else refused."""
    draw_tree(tmp_path, {"x": 2, "y": 2})
    table = tmp_path / "labels.csv"
    table.write_text("file,label\nx/00.png,0\nx/01.png,0\ny/00.png,1\n")
    layout = find_layout(tmp_path)
    assert layout.class_names == ("x", "y")
    assert "agree with the folders" in dict(layout.left_out)[table]
    table.write_text("file,label\nx/00.png,0\nx/01.png,1\ny/00.png,1\n")
    with pytest.raises(DataError, match=r"two ways.*--layout classes.*--labels"):
        find_layout(tmp_path)
    assert find_layout(tmp_path, Ask(labels=table)).class_names == ("0", "1")
    assert find_layout(tmp_path, Ask(layout="classes")).class_names == ("x", "y")


def test_two_tables_are_in_doubt(tmp_path: Path) -> None:
    """Where two tables fit, one has to be named."""
    draw_tree(tmp_path, {"": 2})
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("file,label\n00.png,a\n01.png,b\n")
    with pytest.raises(DataError, match=r"--labels .*a\.csv.*--labels .*b\.csv"):
        find_layout(tmp_path)


def test_other_tables_are_left_alone(tmp_path: Path) -> None:
    """A table without labels, or of other files, is listed as no image."""
    layout = labelled(tmp_path, "name,age\n00.png,3\n")
    assert not layout.class_names
    assert tmp_path / "labels.csv" in dict(layout.left_out)


def test_rows_without_an_image_are_named_together(tmp_path: Path) -> None:
    """However many rows name no image, they are one entry of what is left out."""
    draw_tree(tmp_path, {"images": 2})
    rows = "".join(f"x/{number}.png,b\n" for number in range(3_000))
    (tmp_path / "labels.csv").write_text(f"file,label\n00.png,a\n01.png,b\n{rows}")
    layout = find_layout(tmp_path, Ask(labels=tmp_path / "labels.csv"))
    (reason,) = [one.reason for one in layout.left_out if one.path.suffix == ".csv"]
    assert "3,000 row(s)" in reason
    assert "row 4, 5, 6: 'x/0.png'" in reason


@pytest.mark.parametrize("is_named", [True, False])
def test_a_table_without_splits_keeps_the_parts_of_the_folder(
    tmp_path: Path, is_named: bool
) -> None:
    """Images of the test part never train, whether the table is found or named."""
    draw_tree(tmp_path, {"train": 4, "val": 2, "test": 2})
    rows = [f"{one.relative_to(tmp_path)},{one.stem[-1]}" for one in tmp_path.rglob("*.png")]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label", *rows]))
    labels = table if is_named else None
    layout = find_layout(tmp_path, Ask(labels=labels, layout="parts" if is_named else None))
    assert layout.val is not None
    assert {one.path.parent.name for one in layout.train} == {"train"}
    assert [one.path.parent.name for one in layout.val] == ["val", "val"]
    assert any("are the test part, set aside" in one.reason for one in layout.left_out)
    pooled = find_layout(tmp_path, Ask(labels=table, layout="pooled"))
    assert (len(pooled.train), pooled.val) == (8, None)


def test_a_test_part_beside_other_images_is_set_aside_file_by_file(tmp_path: Path) -> None:
    """A table splits one folder; the images that train and validate are not called left out."""
    draw_tree(tmp_path, {"images": 6})
    images = sorted((tmp_path / "images").rglob("*.png"))
    splits = ["train", "train", "val", "val", "test", "test"]
    rows = [
        f"{one.relative_to(tmp_path)},{'ab'[number % 2]},{split}"
        for number, (one, split) in enumerate(zip(images, splits, strict=True))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    layout = find_layout(tmp_path, Ask(labels=tmp_path / "labels.csv"))
    aside = [one.path for one in layout.left_out if "set aside" in one.reason]
    assert aside == images[4:]


@pytest.mark.parametrize("tree", [{"val": 4}, {"train": 2, "val": 1, "valid": 1}])
def test_a_table_of_folders_that_are_no_parts_is_split(
    tmp_path: Path, tree: dict[str, int]
) -> None:
    """One part alone is split; where folders are parts in two ways, a note says it of all."""
    draw_tree(tmp_path, tree)
    rows = [f"{one.relative_to(tmp_path)},{one.stem}" for one in tmp_path.rglob("*.png")]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *rows]))
    layout = find_layout(tmp_path, Ask(labels=tmp_path / "t.csv"))
    assert (len(layout.train), layout.val) == (4, None)
    is_said = any("not clearly parts" in note for note in layout.notes)
    assert is_said == (len(tree) > 1)


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        (("a/1.png,x", "b/1.png,y"), "a/1.png"),  # two files of one name
        (("a/1.png,x", "b/2.png,y"), "a/1.png"),  # the folder a is there
        (("c/1.png,x", "d/1.png,y", "a/2.png,z"), "c/1.png"),
    ],
)
def test_a_name_counts_where_the_path_does_not_contradict(
    tmp_path: Path, rows: tuple[str, ...], lost: str
) -> None:
    """An image never gets the label of another file of its name."""
    for name in ("b/1.png", "a/2.png", "b/2.png"):
        draw(tmp_path / name)
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label", *rows]))
    layout = find_layout(tmp_path, Ask(labels=table))
    found = {layout.key(one.path): one.class_name for one in layout.images}
    named = dict(row.split(",") for row in rows)
    assert found == {name: label for name, label in named.items() if (tmp_path / name).exists()}
    assert f"row 2: '{lost}'" in dict(layout.left_out)[table] or len(rows) > 2


def test_a_row_of_another_folder_is_said(tmp_path: Path) -> None:
    """A table from elsewhere may name other folders; which image was meant is printed."""
    draw_tree(tmp_path, {"x/new": 2, "y": 1})
    table = tmp_path / "labels.csv"
    table.write_text("file,label\nold/01.png,a\nC:\\x\\new\\00.png,b\nnew/00.png,b\n")
    layout = find_layout(tmp_path, Ask(labels=table))
    assert classes(layout) == {"01.png": "a"}  # two paths end in 00.png, and none is that of a file
    assert any("1 row(s) of 'labels.csv' name another folder" in note for note in layout.notes)
    assert any("'old/01.png' for 'x/new/01.png'" in note for note in layout.notes)
    table.write_text("file,label\nC:\\x\\new\\01.png,a\nx/new/00.png,b\n")
    layout = find_layout(tmp_path, Ask(labels=table))
    assert classes(layout) == {"01.png": "a", "00.png": "b"}
    assert not any("another folder" in note for note in layout.notes)


def test_a_column_of_boxes_has_edges(tmp_path: Path) -> None:
    """How it was read is said, and boxes that must be x, y, width and height are refused."""
    rows = [f'{name},{label},"[8, 4, 20, 12]"' for name, label in EXPECTED.items()]
    layout = labelled(tmp_path, "\n".join(["file,label,bbox", *rows]))
    assert {one.box for one in layout.train} == {(8.0, 4.0, 20.0, 12.0)}
    assert any(
        "left, top, right, bottom of boxes from the column 'bbox'" in n for n in layout.notes
    )
    (tmp_path / "labels.csv").write_text(
        "\n".join(["file,label,bbox", *rows[:3], '03.png,b,"[8, 4, 8, 12]"'])
    )
    with pytest.raises(DataError, match=r"1 of 4 boxes.*8, 4, 8, 12 in row 5.*columns x, y, w"):
        find_layout(tmp_path, Ask(labels=tmp_path / "labels.csv"))


def test_a_cell_may_have_several_lines(tmp_path: Path) -> None:
    """A line break inside of quotes belongs to the label."""
    rows = [f'{name},"{label}\nof a kind"' for name, label in EXPECTED.items()]
    layout = labelled(tmp_path, "\n".join(["file,label", *rows]))
    assert {name[0] for name in layout.class_names} == {"a", "b"}
    assert all("of a kind" in name and "aof" not in name for name in layout.class_names)
