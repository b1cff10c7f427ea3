"""A note is a text that keeps its weight."""

from copy import deepcopy

import pytest

from tapetum.records import Note, Record, Weight, by_weight


class Notes(Record):
    """A record with notes."""

    notes: tuple[Note, ...] = ()


def test_what_matters_most_comes_first_and_once() -> None:
    """Equal weights keep their order, and a plain text is a remark."""
    texts = ["b", Note("late", Weight.TRAINING), Note("missed", Weight.RESULT), "a", "b"]
    assert by_weight([*texts, Note("few", Weight.DATA)]) == ("missed", "few", "late", "b", "a")
    assert by_weight(["a"])[0].weight is Weight.REMARK


@pytest.mark.parametrize("weight", list(Weight))
def test_a_weight_survives_json_a_copy_and_other_words(weight: Weight) -> None:
    """So that a finished fit is shown in the order of its first report."""
    kept = Notes(notes=(Note("few images", weight),))
    for one in (Notes.model_validate_json(kept.to_json()), deepcopy(kept)):
        assert one == kept
        assert one.notes[0].weight is weight
        assert one.notes[0].changed("others").weight is weight


def test_a_text_of_an_older_result_is_a_remark() -> None:
    """And anything else is no note."""
    assert Notes.model_validate({"notes": ["old"]}).notes[0].weight is Weight.REMARK
    for wrong in (3, {"text": "a"}, {"text": "a", "weight": "heavy"}):
        with pytest.raises(ValueError, match="a note is a text"):
            Notes.model_validate({"notes": [wrong]})
