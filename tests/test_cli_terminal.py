"""What a terminal gets: safe text, one sentence, and the exit code that shells expect."""

import errno
import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner, Result

from tapetum.cli.common import Command, _Bars, _Warnings, answer, progress_bar, say, table
from tapetum.errors import InterruptedTrainingError
from tapetum.records import write_atomically

ODD = "a\x1b[31m\n[bold]b\udce9\u202e.png"
SAFE = "a\\x1b[31m\\n[bold]b\\udce9\\u202e.png"


def invoke(command: object, *arguments: str) -> Result:
    """Run a command of one function as ours are run."""
    app = typer.Typer()
    app.command(cls=Command)(command)  # type: ignore[arg-type]
    return CliRunner().invoke(app, arguments)


def test_names_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines, tables, titles and progress show a name of control characters in one line."""
    say(ODD, label="note")
    table((ODD, "b"), [(ODD, ODD)], title=ODD)
    with progress_bar() as tick:
        tick(1, 2, f"reading {ODD}")
    shown = capsys.readouterr()
    assert shown.err == f"note: {SAFE}\nreading {SAFE}: 1 of 2\n"
    assert [line.count(SAFE) for line in shown.out.splitlines()] == [1, 1, 2]


def test_a_log_tells_stages_and_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step says when it begins and ends, and every half minute how long the rest will take."""
    clock = iter([0.0, 0.0, 60.0, 61.0, 80.0, 80.0, 85.0])
    monkeypatch.setattr("tapetum.cli.common.time.monotonic", lambda: next(clock))
    with progress_bar() as tick:
        tick(0, 2, "stage 1 of 2: race, about 4 min left in all")
        tick(0, 6, "timing 0.3 ms, in networks")
        tick(2, 6, "timing 0.4 ms, in networks")
        tick(3, 6, "timing 0.5 ms, in networks")
        tick(6, 6, "timing 0.6 ms, in networks")
        tick(0, 1, "writing the report")
        tick(1, 1, "writing the report")
    assert capsys.readouterr().err.splitlines() == [
        "stage 1 of 2: race, about 4 min left in all",
        "timing 0.3 ms: 0 of 6 networks",
        "timing 0.4 ms: 2 of 6 networks, about 2 min left",
        "timing 0.6 ms: 6 of 6 networks",
        "writing the report",
        "writing the report: done",
    ]


def test_a_terminal_shows_one_step_at_a_time() -> None:
    """What has ended leaves the screen: a line where it took long, and none where it did not."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False)
    clock = [0.0]
    with Progress(console=screen, get_time=lambda: clock[0], auto_refresh=False) as progress:
        bars = _Bars(progress)
        for message, seconds in (("looking", 0.5), ("timing 3 ms", 9.0), ("writing", 0.0)):
            bars(0, 2, message)
            clock[0] += seconds
            bars(2, 2, message)
        bars(0, 2, "writing, in files")  # begins again: a step of its own
        assert [task.description for task in progress.tasks] == ["working", "writing"]
        assert progress.tasks[-1].completed == 0
        assert progress.tasks[-1].fields["counts"] == "0 of 2 files"
        bars(1, 2, "stage 2 of 2: package, about 1 min left in all")
        assert [task.description for task in progress.tasks] == ["stage 2 of 2: package"]
    file = screen.file
    assert isinstance(file, io.StringIO)
    lines = file.getvalue()
    assert "timing: took 9 s" in lines
    assert "looking: took" not in lines
    assert "stage 2 of 2: package, about 1 min left in all" in lines


def test_a_note_of_every_timing_is_printed_once_in_a_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Others are printed as often as they come."""
    notes = _Warnings()
    waiting, shared = "another latency measurement is running", "another process uses this core: 4"
    for message in (waiting, waiting, shared, f"{shared}2 %", "few images", "few images", waiting):
        notes.emit(logging.LogRecord("tapetum", 30, "", 0, message, None, None))
    told = ("another latency", "another process", "few images", "few images", "another latency")
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"note: {text}") for line, text in zip(lines, told, strict=True)] == [
        True
    ] * 5


def test_json_keeps_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader of the JSON gets the name as it is, in text that is UTF-8."""
    answer({"image": ODD, "label": "défaut"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"image": ODD, "label": "défaut"}
    assert "défaut" in text
    text.encode()


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which file could not be written, not only that the disk is full."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def command(json: bool = False) -> None:
        del json
        write_atomically(tmp_path / "result.json", b"{}")

    monkeypatch.setattr("os.fsync", full)
    result = invoke(command)
    assert result.exit_code == 2
    assert f"{tmp_path / 'result.json'}: No space left on device" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_training_says_how_to_go_on() -> None:
    """With the exit code of every interrupt."""

    def command(json: bool = False) -> None:
        del json
        raise InterruptedTrainingError("interrupted after step 3", "type --resume")

    result = invoke(command)
    assert (result.exit_code, result.stderr) == (
        130,
        "error: interrupted after step 3; type --resume\n",
    )


@pytest.mark.parametrize("turned_into", [KeyboardInterrupt, ImportError, SystemError])
def test_an_interrupt_is_one_sentence(
    turned_into: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a library has turned it into an error of its own."""

    def command(json: bool = False) -> None:
        del json
        raise turned_into("initialization failed")

    monkeypatch.setattr("tapetum.cli.signals._received", [signal.SIGINT])
    result = invoke(command)
    assert (result.exit_code, result.stderr) == (130, "")  # main says the sentence


def test_an_interrupt_says_once_what_is_kept() -> None:
    """Of the outermost folder, such as that of a fit around a training."""

    def command(json: bool = False) -> None:
        del json
        interrupt = KeyboardInterrupt()
        for folder in ("runs/a/network", "runs/a"):
            interrupt.add_note(f"what is done is kept in {folder}")
        raise interrupt

    assert invoke(command).stderr == "note: what is done is kept in runs/a\n"


TRAIN = ("train", "unet-s", "--data", "digits", "--train-count", "64", "--test-count", "8")

# A shell lets what it starts in the background ignore Ctrl-C; the child hears it all the same.
CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from tapetum.cli import main
import tapetum.cli.doctor as command
def doctor(*, json: bool = False) -> None:
    print("begun", flush=True)
    time.sleep(120)
command.doctor = doctor
sys.argv = ["tapetum", "doctor"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_every_command_hears_signals(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end a command with a sentence and the code 128 and their number."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(number)
        _, told = child.communicate(timeout=100)  # shorter than the sleep that is interrupted
    assert (child.returncode, told) == (128 + number, "interrupted\n")


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job of the background
from tapetum.cli import main
left = int(sys.argv.pop(1))
def count(event: str, arguments: tuple[object, ...]) -> None:
    global left
    left -= event == "import"
    if left == 0 and event == "import":
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(count)
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("imported", [1, 2, 5, 20, 60, 150, 300, 450, 700, 1500, 2600])
def test_an_interrupt_while_a_command_loads_is_no_traceback(imported: int, tmp_path: Path) -> None:
    """Whichever module is being imported, the answer is one sentence and the code 130."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(imported), *TRAIN, "--out", str(tmp_path / "run")],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "MALLOC_TOP_PAD_": "0"},  # no restart, which would forget the hook
    )
    assert done.stderr.removeprefix("loading torch\n") == "interrupted\n"
    assert done.returncode == 130


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_reader_that_leaves_is_no_traceback(options: str) -> None:
    """As in 'tapetum info | head -0': one sentence, and the code of a closed pipe."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "tapetum", "info", *options.split()],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    expected = (141, "standard output was closed by its reader\n")
    assert (done.returncode, done.stderr) == expected


def test_a_closed_standard_output_is_one_sentence() -> None:
    """Where the caller has closed it, no file of ours gets its number."""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m tapetum info --json >&-"],
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: Bad file descriptor")
