"""What a user sees of baselines: trained, scored, told and exported like every other network."""

import json
from pathlib import Path

import pytest

from tapetum.arch import architecture_names, baseline_names
from test_cli import photos, run, sentence

__all__ = ["photos"]  # the fixture


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a denoiser."""
    out = tmp_path_factory.mktemp("runs") / "lpienet"
    result = run(
        *("train", "lpienet-0.25x", "--data", photos, "--out", out, "--size", 32),
        *("--epochs", 1, "--batch-size", 8, "--noise", "gaussian:0-0.2"),
    )
    assert result.exit_code == 0, result.output
    assert f"tapetum export {out} --out lpienet.onnx" in result.stderr
    return out


def test_a_run_of_a_baseline_is_a_run(trained: Path, photos: Path) -> None:
    """It has a page, tells what it is, and scores again as it did."""
    assert (trained / "report.html").is_file()
    facts = json.loads(run("info", trained, "--json").stdout)
    assert (facts["architecture"], facts["kind"]) == ("lpienet-0.25x", "denoiser")
    again = json.loads(run("evaluate", trained, "--data", photos, "--json").stdout)
    kept = json.loads((trained / "result.json").read_text())["scores"]
    assert again["mean"] == kept["mean"]


def test_the_description_of_a_run_can_be_trained_again(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    """architecture.json says which baseline it is."""
    facts = json.loads(run("info", trained / "architecture.json", "--json").stdout)
    assert facts["architecture"] == "lpienet-0.25x"
    again = run(
        *("train", trained / "architecture.json", "--data", photos, "--out", tmp_path / "run"),
        *("--size", 32, "--epochs", 1, "--batch-size", 8),
    )
    assert again.exit_code == 0, again.output


def test_a_baseline_cannot_be_packed(trained: Path, tmp_path: Path) -> None:
    """One sentence says which name to give, and nothing is written."""
    said = sentence(run("export", trained, "--out", tmp_path / "p.tapetum"))
    assert "lpienet-0.25x is a baseline" in said
    assert "ends in .onnx" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_baseline_is_exported_and_timed(trained: Path, tmp_path: Path) -> None:
    """Its bare graph goes through the same stopwatch as a package."""
    pytest.importorskip("onnxscript")
    graph = tmp_path / "lpienet.onnx"
    result = run("export", trained, "--out", graph)
    assert result.exit_code == 0, result.output
    assert "parity of denoised" in result.stderr
    options = ("--size", 32, "--channels", 1, "--seconds", 0.5, "--json")
    for runtime in ("onnxruntime", "openvino"):
        timed = run("benchmark", graph, *options, "--runtime", runtime)
        assert json.loads(timed.stdout)["timing"]["median_ms"] > 0


def test_info_lists_the_baselines(trained: Path) -> None:
    """After ours, without their cost, which only torch can tell."""
    del trained
    listed = json.loads(run("info", "--json").stdout)
    assert [row["architecture"] for row in listed] == [*architecture_names(), *baseline_names()]
    assert "resnet-18" in run("info").stdout


def test_info_tells_what_a_baseline_is_and_costs() -> None:
    """Counted by torch, with the paper that it is from."""
    asked = ("info", "resnet-18", "--size", 224, "--channels", 3, "--classes", 1000, "--json")
    facts = json.loads(run(*asked).stdout)
    assert facts["parameters"] == 11_689_512
    assert round(facts["multiply-adds"] / 1e9, 3) == 1.814
    assert "Deep Residual Learning" in facts["reference"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "resnet-81", "--data", "{photos}", "--out", "{new}"), "mean 'resnet-18'"),
        (("train", "resnet-18", "--data", "{photos}/dark", "--out", "{new}"), "no class folders"),
        (("train", "resnet-18", "--data", "digits", "--out", "{new}"), "has boxes"),
        (("info", "resnet-18", "--channels", "0"), "make no network"),
        (("benchmark", "resnet-18"), "is a baseline"),
    ],
)
def test_mistakes_end_in_one_sentence(
    arguments: tuple[str, ...], said: str, photos: Path, tmp_path: Path
) -> None:
    """What was asked, what was found, what to do next."""
    places = {"photos": photos, "new": tmp_path / "new"}
    assert said in sentence(run(*(argument.format(**places) for argument in arguments)))
    assert not (tmp_path / "new").exists()
