"""Laws of the page on latency: it says what its files say, and what was not run."""

import json
from pathlib import Path

import pytest
from tapetum_paper.latencies import (
    AGAIN,
    FOLDER,
    RESTLESS,
    SECOND_MACHINE,
    TableStudy,
    latency_drawings,
    latency_sections,
)

from tapetum.latency.drift import Drift

RESULTS = Path(__file__).parent.parent / "results" / FOLDER


def test_what_was_not_run_says_so(tmp_path: Path) -> None:
    """Every section is there without a result, and no drawing is."""
    sections = latency_sections(tmp_path)
    assert set(sections.values()) == {"not run."}
    assert set(sections) == {
        *(f"latency_{name}" for name in ("tables", "blocks", "widths", "weights", "profiler")),
        *("latency_again", "latency_second_machine", "latency_restless", "latency_hour"),
    }
    assert not latency_drawings(tmp_path)


@pytest.mark.parametrize(("section", "machine"), [("tables", ""), (SECOND_MACHINE, SECOND_MACHINE)])
def test_each_table_has_its_row(section: str, machine: str) -> None:
    """With the error of the table, of multiply-adds and of measuring again."""
    text = latency_sections(RESULTS)[f"latency_{section}"]
    paths = list((RESULTS / machine).glob("*nas*.json"))
    assert paths
    for path in paths:
        found = json.loads(path.read_text())
        row = next(
            line
            for line in text.splitlines()
            if f"{found['fastest_ms']:.2f} to {found['slowest_ms']:.2f}" in line
        )
        for name in ("table", "multiply_adds", "repeating"):
            assert f"{found['summary'][name]['mean']:.1%}" in row


def test_no_hour_is_hidden() -> None:
    """Checks that neighbours disturbed have their rows, and count with those that followed."""
    text = latency_sections(RESULTS)["latency_restless"]
    restless = list((RESULTS / RESTLESS).glob("*/*.json"))
    kept = list((RESULTS / SECOND_MACHINE).glob("*nas*.json"))
    assert text.count("| 2026-") == len(restless) > 0
    studies = [TableStudy.read(path) for path in (*restless, *kept)]
    for runtime in ("onnxruntime", "openvino"):
        of_it = [one.check for one in studies if one.conditions.runtime == runtime]
        total = sum(len(check.networks) for check in of_it)
        inside = sum(round(check.coverage_as_stated * len(check.networks)) for check in of_it)
        assert f"{inside} of {total} (" in text


def test_a_table_that_was_checked_again_is_told_beside_its_first_check(tmp_path: Path) -> None:
    """How it was adjusted, both errors, and how many measurements of both checks lie inside."""
    path = next(RESULTS.glob("*nas*openvino*.json"))
    first = TableStudy.read(path)
    fewer = first.check.model_copy(update={"networks": first.check.networks[:30]})
    first.write(tmp_path / path.name)
    aged = Drift(fixed_ms=-0.1, factor=1.05, typical=0.031)
    again = first.model_copy(update={"check": fewer, "aged": aged})
    again.write(tmp_path / AGAIN / path.name)
    text = latency_sections(tmp_path)["latency_again"]
    ends = [f(one.predicted_ms for one in first.check.networks) for f in (min, max)]
    least, most = (f"{0.05 - 0.1 / end_ms:+.1%}" for end_ms in ends)
    assert f"| 0.0 | +3.1% ({least} to {most}) |" in text
    assert f"| {fewer.table.mean:.1%} ({first.check.table.mean:.1%}) |" in text
    for of_each in (1, 2):  # what is stated, and two measurements of each
        assert f" of {of_each * (30 + len(first.check.networks))} (" in text


def test_a_study_is_summed_up(tmp_path: Path) -> None:
    """The sum of blocks by its mean and its extremes, the hour by least, most and median."""
    stamp = {"cpu": "a made-up one", "cores": 2}
    pairs = [{"whole_ms": 10.0, "sum_ms": 11.0}, {"whole_ms": 10.0, "sum_ms": 13.0}]
    blocks = {"onnxruntime": {"num_blocks": 3, "networks": pairs}, "provenance": stamp}
    (tmp_path / "study_blocks.json").write_text(json.dumps(blocks))
    text = latency_sections(tmp_path)["latency_blocks"]
    assert "| onnxruntime | 10.00 | +20.0% | +10.0% to +30.0% |" in text
    assert "a made-up one, 2 cores; `python benchmarks/latency_studies.py blocks`" in text
