r"""Is what ``tapetum fit`` delivers better than what a user would pick by hand, at equal latency?

Latencies are fractions of that of a DC-Net of base width 20 ("x of b20"), which is timed beside
all others in the same rounds: ONNX Runtime, one thread, batch 1. For each dataset, budget and seed
these networks are trained for equal minutes of one core, by the recipe of ``tapetum fit``, and
scored on the validation images. The minutes are processor time, so that two of these commands, each
on a core of its own, stay comparable. Where the network of the scaling rule makes fewer than 1,000
steps in them, all trainings of that budget have as many minutes as it needs: ``tapetum fit`` has at
least 1,000 steps by default. The rows are:

- ``fit``: the network that ``tapetum fit`` chooses, by a race of twice the minutes of a training:
  its default on two cores, where two candidates train at once;
- ``rule``: the network of ``tapetum fit --method none``, the scaling rule;
- ``plain``: a DC-Net with one convolution a level, on the grid of widths that this processor is
  fast at, in the latency of the budget (the largest one below it, where the grid has none);
- ``pair``: MobileNetV3-small and UNet-S, each trained for half of the minutes; their latencies are
  added, and are the same for every budget;
- ``published``, ``random``: the network that the published search found on Imagenette, and one
  drawn at random from its space in the same latency (``paper/results``), with the channels and
  classes of the dataset; also the same for every budget.

Every step leaves a file in the folder of ``--out`` and is not repeated, so the command continues
after a kill. Several processes may share that folder if their datasets or seeds differ. All cells
that are there go into the result; those that the file of ``--json`` has for the same minutes stay
in it and are not run again.

    python benchmarks/equal_latency.py --data-root DATA --out runs/equal_latency --core 0 \
        --json benchmarks/results/equal_latency.json
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paced import kept_steps, processor_minutes
from result_file import add_json_option, as_text, once
from tapetum.allocator import relaunch_environment
from tapetum.arch import Architecture, cost, families, find_architecture
from tapetum.evaluation import score
from tapetum.jobs.exporting import export_run, subject_of_run
from tapetum.jobs.fit_race import Race
from tapetum.jobs.fit_result import FIT, SELECTION, FittedNetwork
from tapetum.jobs.fit_work import FitWork
from tapetum.jobs.fitting import fit_options
from tapetum.jobs.look import look_at_shapes
from tapetum.jobs.request import OpenedRequest, open_request
from tapetum.latency import Conditions, DeployedNetwork, find_runtime
from tapetum.latency.lock import timing_lock
from tapetum.latency.timing import LONG_ROUND, time_rounds
from tapetum.nn import build
from tapetum.progress import silent
from tapetum.provenance import stamp
from tapetum.records import write_atomically
from tapetum.search import RaceResult
from tapetum.training import RUNS, Compute, Recipe, Request, prepare_process, train
from tapetum.training.recipe import FEWEST_STEPS

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "paper" / "results" / "reproduction" / "small" / "old_search"
SIZES_PX = {"imagenette128": 64, "neu_cls": 128, "digit-crops": None, "drawn": 32}
DATASETS = tuple(SIZES_PX)[:3]
BUDGETS = (0.9, 0.45, 0.225, 0.11)  # x of b20: where the published DC-NAS S lies, and parts of it
BASE, PAIR, INT8 = "b20", ("mobilenet-v3-small", "unet-s"), "int8"
OF_BUDGET = {"fit": "fit", "rule": "rule", "plain": "plain-dc-net"}
OF_THE_PAPER = {"published": "dc-nas-s", "random": "dc-nas-s-random"}
ROWS = (*OF_BUDGET, INT8, "pair", *OF_THE_PAPER)
NUM_ROUNDS = 10
RACE_CORES = 2
WAITING_S = 10.0  # for measuring what part of its core this process gets
OF_LEVEL = {"title", "accuracy", "psnr_db", "noisy_psnr_db"}
MOST_COMPARED_MEGAPIXELS = 40.0  # denoised and compared; all images are classified

Made = dict[str, Any]


def base_20(channels: int, num_classes: int) -> Architecture:
    """Return the network that latencies are compared with."""
    size: Made = {"base_width": 20, "depth": 4, "multiplier": 1.5, "convs": 2}
    denoiser = families.unet("unet", **size, channels=channels)
    return families.integrated(denoiser, BASE, num_classes=num_classes, boxes=False)


def of_the_paper(name: str, seed: int, channels: int, num_classes: int) -> Architecture:
    """Return a network of the published space for other channels and classes."""
    path = PUBLISHED / f"{name}_study_seed{seed % 2}.json"
    known = json.loads(path.read_text())["trained"]
    known["image_channels"] = known["encoder"][0]["blocks"][0]["in_channels"] = channels
    known["decoder"]["output"]["out_channels"] = channels
    known["classifier"]["num_classes"] = num_classes
    return Architecture.model_validate(known)


def measure_waiting() -> dict[str, float]:
    """Return the seconds of the clock for each second of the processor, which others use too."""
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    while (wall_s := time.perf_counter() - begun_s) < WAITING_S:
        pass
    return {"waiting": wall_s / (time.process_time() - begun_cpu_s)}


@dataclass(frozen=True)
class Bench:
    """One dataset and one seed.

    Attributes:
        asked: The options of the command.
        name: Name of the dataset.
        seed: Seed of the race, the trainings and the composition of digits.
    """

    asked: argparse.Namespace
    name: str
    seed: int

    @property
    def folder(self) -> Path:
        """What was made with this dataset."""
        return Path(self.asked.out / self.name)

    @cached_property
    def opened(self) -> OpenedRequest:
        """A fit of this dataset, with its images."""
        return self.request(1.0)

    def request(self, target_ms: float, *, waiting: float = 1.0) -> OpenedRequest:
        """Open the request of a fit as the command ``tapetum fit`` does.

        Args:
            target_ms: The budget.
            waiting: Seconds of the clock for each of the processor, of which a race has as many.
        """
        data = self.name if self.name == "digit-crops" else self.asked.data_root / self.name
        options = fit_options(
            data,
            self.folder,
            target_ms=target_ms,
            size_px=SIZES_PX[self.name],
            precision="fp32",
            search_minutes=RACE_CORES * self.asked.minutes * waiting,
            seed=self.seed,
        )
        return open_request(options)

    @property
    def recipe(self) -> Recipe:
        """The recipe of a fit of this dataset."""
        return self.opened.request.recipe

    @property
    def facts(self) -> dict[str, int]:
        """What every network of this dataset has."""
        info = self.opened.dataset.info
        return {"channels": info.channels, "num_classes": len(info.class_names)}

    @cached_property
    def others(self) -> dict[str, Architecture]:
        """The networks that are the same for every budget."""
        pair = {name: find_architecture(name, **self.facts, boxes=False) for name in PAIR}
        papers = {
            row: of_the_paper(name, self.seed, **self.facts) for row, name in OF_THE_PAPER.items()
        }
        return {BASE: base_20(**self.facts), **papers, **pair}

    def timed(self, networks: Mapping[str, DeployedNetwork]) -> dict[str, dict[str, float]]:
        """Time networks that take turns, and compare them with b20."""
        runtime, info = find_runtime("onnxruntime"), self.opened.dataset.info
        form = {"channels": info.channels, "size_px": info.size_px}
        conditions = Conditions.here(runtime, threads=1, batch=1, **form)
        prepared = [partial(runtime.prepare, one, conditions) for one in networks.values()]
        rounds = 2 if self.asked.tiny else NUM_ROUNDS
        with timing_lock():
            timed = time_rounds(prepared, LONG_ROUND, num_rounds=rounds)
        found = {
            name: {
                "median_ms": statistics.median(one.median_ms for one in its),
                "min_ms": min(min(one.passes_ms) for one in its),
            }
            for name, its in zip(networks, timed, strict=True)
        }
        return {
            name: {
                **ms,
                "x_of_b20": ms["median_ms"] / found[BASE]["median_ms"],
                "x_of_b20_by_minima": ms["min_ms"] / found[BASE]["min_ms"],
            }
            for name, ms in found.items()
        }

    def base_ms(self) -> float:
        """Return the latency of b20, which turns budgets into milliseconds, measured once."""
        return float(self.latencies("base", {})[BASE]["median_ms"])

    def run(self, budget: float) -> None:
        """Fill the cells of a budget that are missing."""
        stem = stem_of(self.asked.minutes, budget, self.seed)
        for row in self.asked.rows:
            path = self.folder / "cells" / f"{stem}_{row}.json"
            once(path, partial(self.cell, row, budget, stem))

    def cell(self, row: str, budget: float, stem: str) -> Made:
        """Return latency and scores of a row, with what they belong to."""
        if row == "pair" or row in OF_THE_PAPER:
            networks = {name: DeployedNetwork.of(one) for name, one in self.others.items()}
            latencies = self.latencies(f"seed{self.seed}_others", networks)
            found = self.pair(latencies) if row == "pair" else self.alone(row, latencies)
        else:
            found = self.of_budget(row, budget, stem)
        print(self.name, f"{budget:g} x, seed {self.seed}, {row}:", shown(found))
        return {
            "dataset": self.name,
            "budget_x_of_b20": budget,
            "target_ms": budget * self.base_ms(),
            "seed": self.seed,
            "row": row,
            **found,
        }

    def latencies(self, stem: str, networks: Mapping[str, DeployedNetwork]) -> dict[str, Made]:
        """Time some networks beside b20, once."""
        path = self.folder / f"{stem}_latencies.json"
        base = {BASE: DeployedNetwork.of(self.others[BASE])}
        return once(path, lambda: self.timed({**base, **networks}))

    def choose(self, folder: Path, target_ms: float) -> Made:
        """Return the network that a fit trains, and those that it has to beat."""
        waiting = once(folder.with_name(f"{folder.name}_waiting.json"), measure_waiting)
        opened = self.request(target_ms, **waiting)
        looked = look_at_shapes(opened, [target_ms], folder, overwrite=False, workers=1)
        with FIT.work(folder, opened.request, resume=True) as kept:
            work = FitWork(kept, opened.dataset, opened.device, silent)
            looked.keep(folder, opened.request)
            race = Race(work, workers=1)
            race.prepare()
            chosen = kept.once(SELECTION, FittedNetwork, race.choose)
        found, space = race.candidates(), race.timings.space
        by_name = {one.name: space.architecture(one.shape) for one in found.candidates}
        known = {row: by_name[name] for row, name in OF_BUDGET.items() if name in by_name}
        known.setdefault("plain", self.nearest_plain(race, target_ms))
        path = folder / "race" / "result.json"
        raced = RaceResult.read(path) if path.exists() else None  # it may be too short for one
        return {
            "target_ms": target_ms,
            "winner": raced.winner if raced else None,
            "candidates": len(by_name),
            "raced": len(raced.rungs[0].entries) if raced and raced.rungs else 0,
            "race_minutes": raced.seconds / 60 if raced else 0.0,
            "notes": [*found.notes, *(raced.notes if raced else ())],
            "networks": {
                row: one.model_dump(mode="json")
                for row, one in ({"fit": chosen.architecture} | known).items()
            },
        }

    def nearest_plain(self, race: Race, target_ms: float) -> Architecture:
        """Return the largest plain DC-Net below a budget that no grid of widths meets."""
        predict, space = race.timings.predictor(), race.timings.space
        shape = space.scaled_to(space.plain(), predict, target_ms, most_ms=target_ms)
        return space.architecture(shape, OF_BUDGET["plain"])

    def of_budget(self, row: str, budget: float, stem: str) -> Made:
        """Return latency and scores of a network that was made for a budget."""
        chosen = once(
            self.folder / f"{stem}_networks.json",
            lambda: self.choose(self.folder / f"{stem}_fit", budget * self.base_ms()),
        )
        networks = {
            name: Architecture.model_validate(one) for name, one in chosen["networks"].items()
        }
        graphs = {name: DeployedNetwork.of(one) for name, one in networks.items()}
        graphs[INT8] = DeployedNetwork.of(networks["fit"], precision="int8")
        if row not in graphs:
            return {"missing": "no such network of this latency"}
        latency = self.latencies(stem, graphs)[row]
        minutes = self.enough(networks["rule"])
        trained = self.trained(networks["fit" if row == INT8 else row], minutes)
        if row == INT8:
            trained = self.lowered(networks["fit"], trained, minutes)
        return latency | trained

    def enough(self, network: Architecture) -> float:
        """Return the minutes of the trainings of a budget whose default network is given."""
        minutes = float(self.asked.minutes)
        if self.asked.tiny:
            return minutes
        return round(minutes * max(1.0, FEWEST_STEPS / self.steps(network, minutes)), 1)

    def alone(self, row: str, latencies: Mapping[str, Made]) -> Made:
        """Return latency and scores of a network that is the same for every budget."""
        return latencies[row] | self.trained(self.others[row], self.asked.minutes)

    def pair(self, latencies: Mapping[str, Made]) -> Made:
        """Return latency and scores of a classifier and a denoiser, one after the other."""
        label, image = (self.trained(self.others[name], self.asked.minutes / 2) for name in PAIR)
        summed = {name: sum(latencies[one][name] for one in PAIR) for name in latencies[BASE]}
        return summed | _joined(label, image)

    def trained(self, network: Architecture, minutes: float) -> Made:
        """Train a network for some minutes and score it; an equal network is not trained twice."""
        return once(self.place(network, minutes, ".json"), partial(self._train, network, minutes))

    def place(self, network: Architecture, minutes: float, ending: str) -> Path:
        """Return the path of what belongs to a training."""
        same = network.model_copy(update={"name": ""}).model_dump_json()
        digest = hashlib.sha256(same.encode()).hexdigest()[:12]
        stem = f"{digest}_seed{self.seed}_{minutes:g}min"
        return self.folder / "trainings" / f"{stem}{ending}"

    def steps(self, network: Architecture, minutes: float) -> int:
        """Return the steps of a training of some minutes, measured once."""
        path = self.place(network, minutes, "_pace.json")
        return kept_steps(path, minutes, network, self.opened.dataset, recipe=self.recipe)

    def _train(self, network: Architecture, minutes: float) -> Made:
        run, dataset = self.place(network, minutes, ""), self.opened.dataset
        recipe = self.recipe.adjusted(steps=self.steps(network, minutes))
        request = Request(architecture=network, recipe=recipe, data=dataset.info)

        def perform() -> Any:
            with Compute().work(RUNS, run, request, resume=True) as folder:
                parts = (dataset.train, dataset.validation)
                if not folder.is_finished:
                    train(build(network, seed=recipe.seed), recipe, *parts, folder)
                return folder.result()

        result, used = processor_minutes(run, perform)
        scored = score(
            subject_of_run(run, threads=1),
            dataset,
            recipe.noise.spread(),
            protocol=recipe.noise.protocol,
            max_megapixels=MOST_COMPARED_MEGAPIXELS,
        )
        scores = scored.mean
        found = scores.model_dump(include={"accuracy", "macro_accuracy", "psnr_db", "num_images"})
        found["levels"] = [one.model_dump(include=OF_LEVEL) for one in scored.rows]
        if scores.accuracy is not None:  # the levels share the images, which counts them once
            spread = scores.accuracy * (1 - scores.accuracy)
            found["accuracy_standard_error"] = math.sqrt(spread / scores.num_images)
        return {
            **found,
            "num_compared": scores.num_compared or scores.num_images,
            "minutes": result.training_seconds / 60,
            "processor_minutes": used,
            "steps": result.steps,
            "images_per_second": result.images_per_second,
            "parameters": result.parameters,
            "multiply_adds": cost.multiply_adds(network, *[dataset.info.size_px] * 2),
            "provenance": result.provenance.model_dump(mode="json"),
        }

    def lowered(self, network: Architecture, trained: Made, minutes: float) -> Made:
        """Put a network of a training into int8, and return its scores and what it loses."""
        exported = export_run(
            self.place(network, minutes, ""),
            self.place(network, minutes, ".tapetum"),
            precision="int8",
            threads=1,
            dataset=self.opened.dataset,
            overwrite=True,
        ).precision
        assert exported is not None  # noqa: S101  (int8 was asked for)
        lost_points, lost_db = exported.lost_points or 0.0, exported.lost_db or 0.0
        return {
            "accuracy": trained["accuracy"] - lost_points / 100,
            "psnr_db": trained["psnr_db"] - lost_db,
            "lost_points": lost_points,
            "lost_db": lost_db,
            "num_images": exported.num_images,
            "minutes": trained["minutes"],
            "provenance": stamp(seed=self.seed).model_dump(mode="json"),
        }


def _joined(label: Made, image: Made) -> Made:
    """Return the scores of a classifier and of a denoiser that share the work."""
    return {
        **label,
        "psnr_db": image["psnr_db"],
        "num_compared": image["num_compared"],
        "levels": [
            {**its, "accuracy": classified["accuracy"]}
            for its, classified in zip(image["levels"], label["levels"], strict=True)
        ],
        **{
            name: label[name] + image[name]
            for name in ("minutes", "steps", "parameters", "multiply_adds")
        },
    }


def shown(found: Made) -> str:
    """Return a cell in words."""
    if "missing" in found:
        return str(found["missing"])
    return (
        f"{found['x_of_b20']:.2f} x, {100 * found['accuracy']:.1f} %, {found['psnr_db']:.2f} dB "
        f"after {found['minutes']:.1f} minutes"
    )


def stem_of(minutes: float, budget: float, seed: int) -> str:
    """Return how the names of the files of a budget and seed begin."""
    return f"{budget:g}x_seed{seed}_{minutes:g}min"


def earlier(asked: argparse.Namespace) -> Made:
    """Return the result that was written before, with trainings of as many minutes."""
    if asked.json is None or not asked.json.exists():
        return {}
    found: Made = json.loads(asked.json.read_text())
    return found if found["requested_minutes"] == asked.minutes else {}


def restore(asked: argparse.Namespace) -> None:
    """Put the cells of an earlier result where they are looked for."""
    for cell in earlier(asked).get("cells", ()):
        stem = stem_of(asked.minutes, cell["budget_x_of_b20"], cell["seed"])
        folder = asked.out / cell["dataset"] / "cells"
        once(folder / f"{stem}_{cell['row']}.json", partial(dict, cell))


def draw_images(folder: Path) -> None:
    """Draw three kinds of stripes, for ``--tiny``."""
    generator = np.random.default_rng(0)
    ramp = np.linspace(0, 2 * np.pi, 32)
    for part, count in (("train", 20), ("val", 4)):
        for index, name in enumerate(("across", "down", "slanted")):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                phase = generator.uniform(0, 2 * np.pi)
                waves = (index != 0) * ramp[:, None] + (index != 1) * ramp[None, :]
                pixels = np.uint8(127 + 100 * np.sin(3 * waves + phase))
                image = Image.fromarray(np.stack([pixels] * 3, axis=-1))
                image.save(folder / part / name / f"{number}.png")


def collect(asked: argparse.Namespace) -> Made:
    """Return all cells that are there."""
    cells = [json.loads(path.read_text()) for path in sorted(asked.out.glob("*/cells/*.json"))]
    chosen = {
        f"{path.parent.name}/{path.name.removesuffix('_networks.json')}": {
            name: value
            for name, value in json.loads(path.read_text()).items()
            if name != "networks"
        }
        for path in sorted(asked.out.glob("*/*_networks.json"))
    }
    return {
        "command": " ".join(["python", *sys.argv]),
        "requested_minutes": asked.minutes,
        "cells": cells,
        "races": earlier(asked).get("races", {}) | chosen,
        "provenance": stamp().model_dump(mode="json"),
    }


def options() -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of everything")
    add_json_option(parser)
    parser.add_argument("--data-root", type=Path, help="folder of imagenette128 and neu_cls")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--budgets", nargs="+", type=float, default=BUDGETS, help="x of b20")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--minutes", type=float, default=6.0, help="of each training")
    parser.add_argument("--core", type=int, help="the only core to use")
    parser.add_argument("--tiny", action="store_true", help="drawn images, for a minute")
    asked = parser.parse_args()
    if asked.tiny:
        asked.datasets, asked.budgets, asked.seeds, asked.minutes = ["drawn"], [0.9], [0], 0.02
        asked.data_root = asked.out / "images"
    elif asked.data_root is None and set(asked.datasets) != {"digit-crops"}:
        parser.error("imagenette128 and neu_cls need --data-root")
    return asked


def main() -> None:
    """Run the cells that are missing, and write all of them."""
    asked = options()
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    environment = relaunch_environment()
    if environment is not None:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
    prepare_process(threads=1)
    if asked.tiny:
        draw_images(asked.data_root / "drawn")
    restore(asked)
    for seed in asked.seeds:
        for name in asked.datasets:
            bench = Bench(asked, name, seed)
            for budget in asked.budgets:
                bench.run(budget)
                if asked.json is not None:
                    write_atomically(asked.json, as_text(collect(asked)).encode())


if __name__ == "__main__":
    main()
