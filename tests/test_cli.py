"""What a user sees: each command does its job; every mistake ends in one sentence and code 2."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tapetum.allocator import ALLOCATOR_ENVIRONMENT
from tapetum.cli import TRAINING_COMMANDS, main
from tapetum.cli.app import app
from tapetum.cli.common import _in_our_words
from tapetum.formats import Comparison, precision
from tapetum.formats.targets import TARGETS
from tapetum.jobs.run_report import facts_of
from tapetum.latency import time_interleaved
from tapetum.latency.timing import PassCount
from tapetum.runtime import open_package
from tapetum.training import RUNS

TRAIN = ("train", "unet-s", "--data", "{photos}", "--batch-size", "8", "--out")
COMMANDS = (
    *("demo", "train", "evaluate", "export", "predict"),
    *("benchmark", "info", "doctor"),
)


def run(*arguments: object) -> Result:
    """Runs one command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sentence(result: Result) -> str:
    """The one sentence of a command that was refused."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes: bright and dark squares, grey."""
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, value in (("bright", 200), ("dark", 50)):
        (root / name).mkdir()
        for index in range(10):
            pixels = generator.integers(value - 40, value + 40, (40, 36)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name}-{index}.png")
    return root


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the photos."""
    out = tmp_path_factory.mktemp("runs") / "photos"
    result = run(
        *("train", "dc-net-reduced-integrated", "--data", photos, "--out", out),
        *("--epochs", 1, "--batch-size", 8, "--noise", "gaussian:0-0.2"),
    )
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def package(trained: Path) -> Path:
    """The package of that run."""
    out = trained.parent / "photos.tapetum"
    result = run("export", trained, "--out", out)
    assert result.exit_code == 0, result.output
    assert "parity of denoised" in result.stderr
    return out


def test_int8_is_said_wherever_its_package_is_shown(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export says what is lost and gained; info and benchmark name the precision."""
    quick = PassCount(min_passes=1, min_ms=0)
    few = partial(time_interleaved, num_rounds=1, passes=quick)
    monkeypatch.setattr(precision, "time_interleaved", lambda networks, **_: few(networks))
    out = tmp_path / "p.tapetum"
    done = run("export", trained, "--out", out, "--precision", "int8")
    assert done.exit_code == 0, done.output
    assert "held-out images: int8 is used" in done.stderr
    assert "; int8 is calibrated by" in done.stderr
    facts = json.loads(run("info", out, "--json").stdout)
    assert facts["precision"] == "int8"
    timed = run("benchmark", out, "--seconds", "0.05", "--pace-ms", "0", "--json", "--threads", "1")
    assert json.loads(timed.stdout)["conditions"]["precision"] == "int8"
    assert "fp16 is for openvino, ncnn" in sentence(
        run("export", trained, "--out", tmp_path / "p.html", "--precision", "fp16")
    )


def test_a_loss_above_its_limit_is_exit_code_1(
    trained: Path, package: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is written all the same; run and package are compared on the same images."""
    limits = ("--max-psnr-drop", "0.5", "--max-accuracy-drop", "2")
    for source, more in ((trained, ()), (package, ("--data", photos))):
        done = run("export", source, "--out", tmp_path / f"{source.name}.onnx", *limits, *more)
        assert done.exit_code == 0, done.output
        assert "100.0% of the labels are the same, the file loses 0.00 dB" in done.stderr
    monkeypatch.setattr(Comparison, "lost_db", 0.75)
    monkeypatch.setattr(Comparison, "lost_points", 1.0)
    out = tmp_path / "lossy.onnx"
    done = run("export", trained, "--out", out, *limits, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["exceeded"] == ["0.75 dB are lost, and at most 0.5 may be"]
    assert out.exists()


def test_a_run_holds_all_that_was_promised(trained: Path) -> None:
    """Request, metrics, checkpoints, events, weights, result and page are there."""
    kept = {path.relative_to(trained).parts[0] for path in trained.rglob("*")}
    assert kept >= {
        "request.json", "architecture.json", "metrics.csv", "checkpoints", "events",
        "weights.safetensors", "result.json", "report.html",
    }  # fmt: skip
    scores = json.loads((trained / "result.json").read_text())["scores"]
    assert [row["noise"]["sigma"] for row in scores["rows"]] == [0, 0.008, 0.032, 0.072, 0.128, 0.2]


def test_a_run_and_its_package_score_alike(trained: Path, package: Path, photos: Path) -> None:
    """A run is scored as the package that it becomes."""
    one, two = (
        json.loads(run("evaluate", subject, "--data", photos, "--json").stdout)
        for subject in (trained, package)
    )
    for row, other in zip(one["rows"], two["rows"], strict=True):
        assert row == other


def test_evaluating_a_run_again_gives_its_own_scores(trained: Path, photos: Path) -> None:
    """What was written at the end of the training is what evaluate finds, and what it says."""
    result = run("evaluate", trained, "--data", photos, "--json")
    assert "note: a clean image comes back with" in result.stderr
    again = json.loads(result.stdout)
    kept = json.loads((trained / "result.json").read_text())["scores"]
    assert again["mean"] == kept["mean"]


def test_all_of_a_folder_can_be_scored(package: Path, photos: Path) -> None:
    """All images or a fifth of them; those of the training are counted, and said first."""
    for part, count, trained in (((), 4, 0), (("--part", "all"), 20, 16)):
        done = run("evaluate", package, "--data", photos, "--json", *part)
        scores = json.loads(done.stdout)
        assert (scores["mean"]["num_images"], scores["num_trained"]) == (count, trained)
        said = "warning: the 20 images include 16 of the training: scores of these are too good"
        assert (said in done.stderr) == bool(trained)


def test_a_training_that_was_far_too_short_is_said_first(
    trained: Path, package: Path, photos: Path
) -> None:
    """Before the numbers of the report, the card and every command that shows them."""
    (said,) = RUNS.open(trained).result().scores.warnings  # type: ignore[union-attr]
    assert said.startswith("the training was too short: it took 2 steps, where the default is")
    report, card = (trained / "report.html").read_text(), open_package(package).card
    assert report.index(said[1:]) < report.index("Trained for") < report.index('class="doubtful"')
    assert "<div><dt>" not in report  # which are the tiles of other results
    assert card.index(f"**T{said[1:]}.**") < card.index("## Inputs and outputs")
    for subject in (trained, package):
        assert json.loads(run("info", subject, "--json").stdout)["warning"] == said
    done = run("evaluate", package, "--data", photos, "--noise", "0.1")
    assert f"warning: {said}\n" in done.stderr


@pytest.mark.slow
def test_scores_of_a_short_training_are_warned_of_whenever_they_are_made(
    trained: Path, package: Path, photos: Path
) -> None:
    """Also by a run that is scored again, and in the table of a benchmark."""
    (said,) = RUNS.open(trained).result().scores.warnings  # type: ignore[union-attr]
    again = run("evaluate", trained, "--data", photos, "--noise", "0.1", "--json")
    assert json.loads(again.stdout)["short_training"] == said
    timed = run("benchmark", package, "--data", photos, "--json", "--seconds", "0.05")
    assert json.loads(timed.stdout)["remarks"] == [f"{package}: {said}"]


def test_an_installed_package_is_named_by_its_version(trained: Path) -> None:
    """The facts of a report have no empty part where there is no commit."""
    done = RUNS.open(trained)
    result = done.result()
    unknown = dict.fromkeys(("commit", "dirty", "memory_gib"))
    stamped = result.provenance.model_copy(update=unknown)
    facts = facts_of(done, result.model_copy(update={"provenance": stamped}))
    assert facts["software"].startswith(f"tapetum {stamped.tapetum}, Python {stamped.python}, ")
    assert not re.search(r"None|\(\)|, ,", " ".join(facts.values()))


@pytest.mark.parametrize("name", ["nothing.tapetum", "nothing"])
@pytest.mark.parametrize(
    "command",
    [
        ("export", "{}", "--out", "x.onnx"),
        ("evaluate", "{}", "--data", "digits"),
        ("calibrate", "{}", "."),
        ("train", "--start", "{}", "--data", "digits", "--out", "x"),
        ("fit", "digit-crops", "--start", "{}", "--target-ms", 1, "--out", "x"),
        ("info", "./{}"),
        ("predict", "{}", "{photos}", "--out", "x"),
        ("serve", "{}", "--port", 0),
        ("benchmark", "./{}.tapetum"),
    ],
    ids=lambda command: str(command[0]) if isinstance(command, tuple) else None,
)
def test_a_network_that_is_missing_is_called_so(
    name: str,
    command: tuple[object, ...],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence names what was asked for, and what to give, before torch is loaded."""
    monkeypatch.chdir(tmp_path)
    done = run(*(str(word).format(name, photos=photos) for word in command))
    said = sentence(done)
    missing = rf"there is no (run or )?package .*{name}|neither an architecture nor a run"
    assert re.search(missing, said)
    assert re.search(r"; (give|check)", said)
    assert "loading torch" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("subject", ["trained", "package"])
def test_info_knows_runs_and_packages(subject: str, request: pytest.FixtureRequest) -> None:
    """Both tell what they are, as JSON too."""
    facts = json.loads(run("info", request.getfixturevalue(subject), "--json").stdout)
    assert facts["architecture"] == "dc-net-reduced-integrated"
    assert facts["multiply-adds"] > 0


def test_info_lists_and_describes_architectures(tmp_path: Path) -> None:
    """Every name has a row; one name, or its JSON file, has its cost."""
    from tapetum.arch import architecture_names, find_architecture

    listed = json.loads(run("info", "--json").stdout)
    assert [row["architecture"] for row in listed][
        : len(architecture_names())
    ] == architecture_names()
    find_architecture("unet-s").write(tmp_path / "mine.json")
    facts = [
        run("info", subject, "--json").stdout for subject in ("unet-s", tmp_path / "mine.json")
    ]
    assert facts[0] == facts[1]


def test_doctor_tells_what_is_installed() -> None:
    """The report of the machine is JSON when asked for."""
    found = json.loads(run("doctor", "--json").stdout)
    assert {"machine", "packages", "runtime", "training", "missing"} <= set(found)
    assert run("doctor").exit_code == 0


def test_doctor_lists_every_format_of_an_export() -> None:
    """Whoever wants one sees whether it works here; ONNX and packages need nothing more."""
    told = run("doctor").stdout.lower()
    assert [one.name for one in TARGETS if one.name not in told and one.name != "onnx"] == []


def test_doctor_says_what_to_do_for_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words for people: no key of the JSON, and a command for each thing that is missing."""

    def find(name: str) -> object:
        return None if name in ("ray", "mlxtend") else object()

    monkeypatch.setattr("tapetum.cli.doctor.find_spec", find)
    told = run("doctor").stdout
    for line in told.splitlines():
        if line.startswith("share work on a Ray cluster"):
            assert "no, this needs ray, which is not installed: " in line
            assert "pip install '.[ray]'" in line
        if line.startswith("demo on"):
            assert "pip install '.[demo]'" in line
    assert told.count("pip install") == 2
    assert "_" not in told.partition("INSTALLED PACKAGES")[0].partition("operating system")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_json(command: str) -> None:
    """Every command shows how it is typed and answers machines."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", run(command, "--help").stdout)
    assert f"tapetum {command}" in text.partition("Example")[2]
    assert "--json" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "unet-z", "--data", "{photos}", "--out", "{new}"), "did you mean 'unet-s'"),
        (("train", "unet-s", "--data", "{new}", "--out", "{new}"), "there is no folder"),
        (("train", "unet-s", "--data", "{empty}", "--out", "{new}"), "no readable image"),
        ((*TRAIN, "{trained}"), "already contains a run"),
        ((*TRAIN, "{photos}"), "left alone"),
        (("train", "{new}.json", "--data", "{photos}", "--out", "{new}"), "cannot read"),
        ((*TRAIN, "{new}", "--recipe", "no"), "recipe"),
        ((*TRAIN, "{new}", "--epochs", "0"), "epochs"),
        ((*TRAIN, "{new}", "--noise", "x:1"), "noise"),
        (("train", "mb1-s", "--data", "{flat}", "--out", "{new}"), "no class folders"),
        (("train", "unet-s", "--data", "digits", "--out", "{new}", "--size", "64"), "no effect"),
        ((*TRAIN, "n", "--test-count", "9"), "no effect"),
        (("info", "unet-s", "--channels", "0"), "--channels"),
        (
            ("evaluate", "{package}", "--data", "digits", "--test-count", "2"),
            "the network classifies",
        ),
        (("evaluate", "{package}", "--data", "{photos}", "--noise", "25"), "scale"),
        (("export", "{empty}", "--out", "{new}.tapetum"), "not the folder of a run or a fit"),
        (("export", "{trained}", "--out", "{package}"), "exists already"),
        (("export", "{package}", "--out", "{new}.tapetum"), "is a package already"),
        (("export", "{package}", "--out", "{new}.zip"), "ends in"),
        (("export", "{trained}", "--out", "{new}.tapetum", "--finetune", "1"), "no effect on fp32"),
        (("export", "{package}", "--out", "{new}.param"), "--fixed HEIGHTxWIDTH"),
        (("export", "{package}", "--out", "{new}.onnx", "--fixed", "9"), "HEIGHTxWIDTH"),
        (("export", "{package}", "--out", "{new}.onnx", "--opset", "12"), "13 or more"),
        (("export", "{package}", "--out", "{new}.onnx", "--max-psnr-drop", "1"), "with --data"),
        (("predict", "{trained}", "{photos}/dark", "--out", "{new}"), "is a folder; give a"),
        (("predict", "{photos}/dark/dark-0.png", "{photos}/dark", "--out", "{new}"), "package"),
        (("predict", "{photos}", "{package}", "--out", "{new}"), "give the package first"),
        (("predict", "{package}", "{empty}", "--out", "{new}"), "no image in"),
        (("predict", "{package}", "{photos}/dark", "--out", "{photos}/dark"), "replace"),
        (("predict", "{package}", "{photos}/dark", "--out", "{trained}"), "left alone"),
        (("predict", "{package}", "{photos}/dark", "--out", "{new}", "--threads", "0"), "threads"),
        (("predict", "{package}", "{photos}/dark", "--out", "{new}", "--seed", "-1"), "--seed"),
        *((("data", "{photos}", "--seed", "9" * count), "--seed") for count in (23, 400)),
        (("evaluate", "{package}", "--data", "{photos}", "--noise-seed", "-1"), "--noise-seed"),
        ((*TRAIN, "{new}", "--seed", "-1"), "--seed"),
        (("data", ""), "an argument is empty"),
        (("data", "{photos}", "--labels", ""), "an argument is empty"),
        (("data", "{photos}", "--labels="), "an argument is empty"),
        (("data", "{photos}", "--labels=a=="), "cannot read a=="),
        (("evaluate", "{package}", "--data", "{photos}", "--max-megapixels", "0"), "above 0"),
        (("evaluate", "{package}", "--data", "{photos}", "--threads", "9999"), "this process may"),
        (
            ("predict", "{package}", "{photos}/dark", "--out", "{new}", "--threads", "9" * 12),
            "9 th",
        ),
        ((*TRAIN, "{new}", "--learning-rate", "inf"), "--learning-rate"),
        (("info", "nothing"), "is neither an architecture nor a run"),
        (("info", "{empty}"), "'tapetum train --out' or 'tapetum fit --out' has made"),
        (("train", "unet-s", "--data", "digits", "--epochs", "0", "--out", "{new}"), "epochs"),
    ],
)
def test_every_mistake_ends_in_one_sentence(
    arguments: tuple[str, ...],
    expected: str,
    photos: Path,
    trained: Path,
    package: Path,
    tmp_path: Path,
) -> None:
    """What was asked, what was found, what to do next; nothing new is left on the disk."""
    empty, flat = tmp_path / "empty", tmp_path / "flat"
    empty.mkdir()
    flat.mkdir()
    for source in (photos / "dark").iterdir():
        (flat / source.name).write_bytes(source.read_bytes())
    places = {
        "photos": photos, "trained": trained, "package": package,
        "new": tmp_path / "new", "empty": empty, "flat": flat,
    }  # fmt: skip
    result = run(*(argument.format(**places) for argument in arguments))
    assert expected in sentence(result)
    assert not (tmp_path / "new").exists()


def test_a_mistake_is_json_when_asked_for() -> None:
    """Machines get the same sentence in parts."""
    result = run("info", "unet-z", "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "ArchitectureError"
    assert "did you mean 'unet-s'" in error["remedy"]


@pytest.mark.parametrize("command", [*TRAINING_COMMANDS, "predict"])
def test_no_python_file_of_the_current_folder_runs(command: str, tmp_path: Path) -> None:
    """Modules that lie where the installed command is run are not imported, restarted or not."""
    for module in ("typer", "types", "json", "tapetum"):
        (tmp_path / f"{module}.py").write_text("open(__file__ + '.ran', 'w').close()\n")
    own = {"PYTHONPATH", "PYTHONSAFEPATH", *ALLOCATOR_ENVIRONMENT}
    done = subprocess.run(
        [Path(sys.executable).with_name("tapetum"), command, "--no-such-option"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in own},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert list(tmp_path.glob("*.ran")) == []
    assert "no such option" in done.stderr


@pytest.mark.slow
def test_two_processes_train_one_run_and_answer_once(tmp_path: Path) -> None:
    """Under torchrun the command makes one run, one page and one answer."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", "-m", "tapetum", "train", "dc-net-reduced-integrated"),
            *("--data", "digits", "--train-count", "64", "--test-count", "8", "--epochs", "1"),
            *("--batch-size", "16", "--out", str(tmp_path / "run"), "--json"),
        ],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_processes"] == 2
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("options", [(), ("--json",)], ids=str)
def test_output_that_cannot_be_written_is_one_sentence(options: tuple[str, ...]) -> None:
    """A full disk behind standard output is no traceback, and not passed over either."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tapetum", "info", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            encoding="utf-8",
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: No space left on device")
    assert done.stderr.count("\n") == 1


def test_an_early_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while a command still loads ends it with the code that shells expect."""

    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tapetum.cli.app.app", interrupt)
    monkeypatch.setattr("sys.argv", ["tapetum", "info"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("message", "is_memory"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("MPS backend out of memory", True),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to", True),
        ("unsupported memory format option ChannelsLast", False),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_only_a_lack_of_memory_is_called_so(message: str, is_memory: bool) -> None:
    """Other faults of torch that speak of memory are not helped by a smaller batch."""
    assert (_in_our_words(RuntimeError(message)) is not None) == is_memory
