r"""How long does a whole fit take, and does it keep to its plan and to its budget?

Runs ``tapetum fit`` with its defaults, as a user types it, on all cores, and notes when each stage
begins. Nothing else should run beside it.

    python benchmarks/fit_minutes.py DATA --size 128 --target-ms 4 --work RUNS \
        --json benchmarks/results/fit_minutes.json
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from result_file import add_json_option, as_text, write_result
from tapetum.jobs.fit_result import FitResult
from tapetum.jobs.look import PLAN
from tapetum.jobs.plan import Plans
from tapetum.provenance import stamp, usable_cores

STAGE = re.compile(r"stage \d+ of \d+: ([a-z ]+)")
FIRST = "images and plan"


def fitted(command: list[str]) -> tuple[int, dict[str, float]]:
    """Run a fit; return its exit code and the minutes of each stage."""
    begun_s, stage = time.monotonic(), FIRST
    minutes: dict[str, float] = {}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stderr is not None  # noqa: S101
    for line in process.stderr:  # a carriage return ends a line, too
        sys.stderr.write(line)
        if found := STAGE.match(line):
            now_s = time.monotonic()
            minutes[stage] = (now_s - begun_s) / 60
            begun_s, stage = now_s, found[1]
    code = process.wait()
    minutes[stage] = (time.monotonic() - begun_s) / 60
    return code, {name: round(one, 2) for name, one in minutes.items()}


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Fit, and return what that took and what was delivered."""
    options = ["--target-ms", f"{asked.target_ms:g}", "--size", str(asked.size)]
    command = [sys.executable, "-m", "tapetum", "fit", str(asked.data), *options]
    code, minutes = fitted([*command, "--out", str(asked.work)])
    result, plan = FitResult.open(asked.work), Plans.read(asked.work / PLAN)
    data, delivery = result.request.data, result.delivery
    assert delivery.timing is not None  # noqa: S101  (this machine is the device)
    return {
        "command": f"tapetum fit {asked.data.name} {' '.join(options)}",
        "exit_code": code,
        "minutes": round(sum(minutes.values()), 2),
        "planned_minutes": round(plan.minutes.total, 2),
        "stages": minutes,
        "planned_stages": plan.minutes.model_dump(),
        "images": {"training": data.num_train, "validation": data.num_validation},
        "cores": usable_cores(),
        "delivered_ms": delivery.timing.median_ms,
        "precision": result.conditions.precision,
        "macro_accuracy": delivery.scores.mean.macro_accuracy,
        "psnr_db": delivery.scores.mean.psnr_db,
        "provenance": stamp(seed=0).model_dump(mode="json"),
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of images")
    parser.add_argument("--work", type=Path, required=True, help="folder of the fit")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--target-ms", type=float, default=4.0)
    add_json_option(parser)
    asked = parser.parse_args()
    result = measure(asked)
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
