"""Train one network on a dataset, score it on every noise level, and write its report."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from tapetum.arch import Architecture
from tapetum.data import DataOptions, Dataset
from tapetum.evaluation import score
from tapetum.images import display_name
from tapetum.jobs.brightness import training_brightness
from tapetum.jobs.choose import (
    SPLIT,
    architecture_for,
    is_digits,
    is_start_name,
    lists_options,
    open_logged,
    refuse_noise_of_pairs,
    refuse_without_labels,
    require_wanted,
    say,
)
from tapetum.jobs.exporting import subject_of_run
from tapetum.jobs.pretrained import begin_pretrained, linear_hint, require_weights
from tapetum.jobs.run_report import NUM_MISTAKES, REPORT, write_run_report
from tapetum.jobs.start import Source, open_source, start_from
from tapetum.jobs.suit import augmentation_of, suit
from tapetum.nn import TrainableNetwork, build
from tapetum.noise import Protocol
from tapetum.progress import ProgressCallback, silent, step
from tapetum.provenance import require_seed
from tapetum.records import as_path, write_atomically
from tapetum.search import step_times
from tapetum.training import (
    RUNS,
    Balance,
    Compute,
    Length,
    Recipe,
    Request,
    Result,
    Run,
    Start,
    is_main_process,
    prepare_process,
)
from tapetum.training import train as train_weights

__all__ = [
    "FINAL_MEGAPIXELS", "TrainingOptions", "choose_recipe", "recipe_of", "train", "train_network",
]  # fmt: skip

FINAL_MEGAPIXELS = 100.0  # denoised at the end of a training, all noise levels: some minutes

SKIPPED, DATA = "skipped.txt", "data.json"


class TrainingOptions(DataOptions, total=False):
    """How a network is trained, and on which images: options of ``train`` and of ``fit``.

    Those of the images are ``size_px`` and :class:`tapetum.jobs.DataOptions`.

    Attributes:
        recipe: Name, path of a JSON file, or the recipe itself; by default ``quick`` for digits and
            ``images`` for a folder.  The next options, up to ``balance``, replace fields of it.
        minutes: Length of the training, in minutes on this machine.  Where the recipe has no length
            either, the images and the pace of the network decide
            (:meth:`tapetum.training.Length.default`).
        epochs: The same length, in passes over the training images.
        batch_size: Number of images in one step.
        noise: Noise of training and scoring, such as ``gaussian:0-0.5``.
        protocol: ``benchmark`` (unclipped) or ``camera`` (clipped to 8 bits).
        augmentation: Random changes of the training images: fields of
            :class:`tapetum.data.Augmentation`, such as ``{"mirror": "off"}``.
        balance: What makes uneven classes count alike: weights in the ``loss``, ``sampling`` of the
            images, or ``none``; ``auto`` chooses by the images.
        size_px: Height and width of the training images; by default the folder decides.
    """

    recipe: str | Path | Recipe | None
    minutes: float | None
    epochs: int | None
    batch_size: int | None
    noise: str | None
    protocol: Protocol | None
    augmentation: Mapping[str, Any] | None
    balance: Balance | None
    size_px: int | None


_OF_RECIPE = TrainingOptions.__optional_keys__ - DataOptions.__optional_keys__ - {"size_px"}


@lists_options
def train(
    data: str | Path,
    out: str | Path,
    *,
    architecture: str | Path | Architecture | None = None,
    start: str | Path | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    patience: float | None = None,
    seed: int | None = None,
    channels: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **options: Unpack[TrainingOptions],
) -> Result:
    """Train a network on a dataset, score it, and write its report.

    Example:
        >>> import tapetum
        >>> result = tapetum.train(
        ...     "digits", "runs/digits", architecture="dc-net-reduced-integrated",
        ...     epochs=1, train_count=64, test_count=8,
        ... )
        >>> result.scores.mean.psnr_db > 0
        True

    Args:
        data: Folder of images, ``digits`` or ``digit-crops``.
        out: New folder for the run.
        architecture: Name, path of a JSON file, or the architecture itself; by default that of
            ``start``, with the classes of the images.
        start: Folder of a finished run, or a package in fp32, whose weights the training begins
            with, as far as layers are the same; or ``efficientnet-lite0``, from whose blocks those
            of a network of MBConv blocks start; ``auto`` for that where the extra ``pretrained`` is
            installed and the folder is small; ``fresh`` for random weights, as by default.
        steps: Length in steps, instead of ``minutes`` or ``epochs``; exactly reproducible on one
            machine where the environment variable ``OMP_NUM_THREADS`` fixes the threads.
        learning_rate: Peak learning rate.
        patience: Minutes of flat held-out scores after which the training turns to its end, as
            :class:`tapetum.training.Recipe` says; by default those of the recipe, which has none.
        seed: Random seed of weights, order, noise and split.
        channels: 1 (grey) or 3 (RGB); by default the folder decides.
        resume: Whether to continue an interrupted run; a finished one returns its result.
        overwrite: Whether to replace an older run.
        progress: Called after each step.
        options: ``recipe``, ``minutes``, ``epochs``, ``batch_size``, ``noise``, ``protocol``,
            ``augmentation``, ``balance``, ``size_px`` and those of the data; see
            :class:`tapetum.jobs.TrainingOptions`.

    Returns:
        The content of ``result.json``, with scores.

    Raises:
        InputError: The dataset, the architecture, the recipe or the folder cannot be used.
        TrainingError: The training cannot continue; its last good state is kept.
    """
    folder = as_path(out, "the folder of a run")
    prepare_process()  # before torch starts its threads
    changes = {"steps": steps, "learning_rate": learning_rate, "patience_minutes": patience}
    chosen = recipe_of(data, options, **changes, seed=seed)
    require_wanted(architecture, start)
    require_weights(start)
    source = None if start is None or is_start_name(start) else open_source(start)
    images: dict[str, Any] = {n: value for n, value in options.items() if n not in _OF_RECIPE}
    images |= {"channels": channels, "learns_by": chosen.noise.protocol}
    dataset = open_logged(data, seed=chosen.seed, progress=progress, **images)
    refuse_noise_of_pairs(dataset, noise=options.get("noise"), protocol=options.get("protocol"))
    refuse_without_labels(dataset, options.get("resize"), options.get("augmentation"))
    network = build(_wanted(architecture, source, dataset), seed=chosen.seed)
    chosen = suit(
        chosen,
        dataset,
        batch_size=options.get("batch_size"),
        augmentation=options.get("augmentation"),
        classifies=network.architecture.classifies,
        progress=progress,
    )
    if resume:
        RUNS.note_start(folder)
    chosen, reason = _as_before(chosen, folder) if resume else (chosen, "")
    if not chosen.has_length:
        chosen, reason = _with_length(chosen, network, dataset, progress)
    begun = _begin(network, start, source, dataset, chosen)
    if network.architecture.classifies and (hint := linear_hint(dataset)):
        say(hint)
    given: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "progress": progress}
    return train_network(
        network, chosen, dataset, folder, report=True, start=begun, reason=reason, **given
    )


def _wanted(
    architecture: str | Path | Architecture | None, source: Source | None, dataset: Dataset
) -> Architecture:
    """Return the architecture that was given, or that of the weights to start with."""
    if architecture is None and source is not None:
        architecture = source.suited(dataset)
    assert architecture is not None  # noqa: S101  (require_wanted has refused that)
    return architecture_for(architecture, dataset)


def _begin(
    network: TrainableNetwork,
    start: str | Path | None,
    source: Source | None,
    dataset: Dataset,
    recipe: Recipe,
) -> Start | None:
    """Give a network its first weights, and return what was taken; None for random weights."""
    if source is not None:
        return start_from(network, source, dataset, recipe)
    if start is None:
        return None
    return begin_pretrained(str(start), network, dataset, recipe)


def _as_before(recipe: Recipe, folder: Path) -> tuple[Recipe, str]:
    """Return a recipe with the length that a run has chosen already, and why.

    Where a length is requested it stays, and there is no reason.
    """
    if recipe.has_length or not RUNS.exists(folder):
        return recipe, ""
    request = RUNS.open(folder).request
    return recipe.adjusted(**request.recipe.length), request.length_reason


def _with_length(
    recipe: Recipe, network: TrainableNetwork, dataset: Dataset, progress: ProgressCallback
) -> tuple[Recipe, str]:
    """Return a recipe with the default length, and why; processes agree on the pace of one."""
    with step(progress, "timing some steps"):
        step_s = step_times(copy.deepcopy(network), recipe, dataset.train).quiet_s
    steps_per_pass = dataset.train.num_batches(recipe.batch_size)
    chosen = Length.default(len(dataset.train), steps_per_pass=steps_per_pass, step_s=step_s)
    say(f"the training takes {chosen.reason}")
    return chosen.given_to(recipe), chosen.reason


def train_network(
    network: TrainableNetwork,
    recipe: Recipe,
    dataset: Dataset,
    out: Path,
    *,
    start: Start | None = None,
    reason: str = "",
    report: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> Result:
    """Train a network, score it on every noise level, and keep both in a run folder.

    Args:
        network: The network, with fresh weights or those of ``start``; it is trained in place.
        recipe: How to train.
        dataset: Images to train on and to score.
        out: The run's folder.
        start: The network that the weights are from.
        reason: Why the training is as long as it is, where nobody has chosen that.
        report: Whether to write the report of the run, where there is none.
        resume: Whether to continue a run of the same request that was interrupted in training or
            after it; the result of a finished and scored run is returned as it is.
        overwrite: Whether to replace an older run.
        progress: Called after each step.

    Returns:
        The result with scores, as written to ``result.json``.

    Raises:
        RunError: The folder is taken, or holds another request.
        DataError: A part of the dataset is too small.
        TrainingError: The training cannot continue; its last good state is kept.
    """
    request = Request(
        architecture=network.architecture,
        recipe=recipe,
        data=dataset.info,
        start=start,
        length_reason=reason,
    )
    dataset.train.num_batches(recipe.batch_size)  # refused before there is a folder
    with Compute().work(RUNS, out, request, resume=resume, overwrite=overwrite) as run:
        return _train(run, network, dataset, progress, report=report)


def _train(
    run: Run,
    network: TrainableNetwork,
    dataset: Dataset,
    progress: ProgressCallback,
    *,
    report: bool,
) -> Result:
    """Do what is missing in the folder of a run."""
    blank, out = copy.deepcopy(network), run.path
    if run.is_finished:
        result = run.result()
    else:
        if is_main_process():
            _keep_files(dataset, out)
        parts = (dataset.train, dataset.validation)
        result = train_weights(network, run.request.recipe, *parts, run, progress=progress)
    if not is_main_process():
        return result
    if result.scores is None:
        result = _scored(run, result, blank, dataset, progress)
    if report and not (out / REPORT).exists():  # written last
        with step(progress, "writing the report"):
            write_run_report(out, dataset, network=network)
    return result


def _keep_files(dataset: Dataset, out: Path) -> None:
    """Keep which files train and which validate, what the folder holds, and what is not used."""
    if dataset.split_list is not None:
        dataset.split_list.write(out / SPLIT)
    if dataset.summary is not None:
        dataset.summary.write(out / DATA)
    if dataset.skipped:
        listed = "".join(f"{display_name(path)}: {reason}\n" for path, reason in dataset.skipped)
        write_atomically(out / SKIPPED, listed.encode())


def _scored(
    run: Run,
    result: Result,
    network: TrainableNetwork,
    dataset: Dataset,
    progress: ProgressCallback,
) -> Result:
    """Score a trained network and keep the scores in its result."""
    noise = run.request.recipe.noise
    subject = subject_of_run(run.path, network=network)
    scores = score(
        subject,
        dataset,
        noise.spread(),
        protocol=noise.protocol,
        max_megapixels=FINAL_MEGAPIXELS,
        filters=True,
        calibrates=True,
        num_mistakes=NUM_MISTAKES,
        short_training=result.few_steps,
        progress=progress,
    )
    with step(progress, "measuring the brightness of training images"):
        light = training_brightness(dataset.train, run.request.recipe)
    scored = result.model_copy(update={"scores": scores, "brightness": light})
    run.finish(scored)
    return scored


def recipe_of(data: str | Path, options: Mapping[str, Any], **changes: Any) -> Recipe:
    """Return the recipe of trainings with some :class:`TrainingOptions`, with more changes."""
    changes |= {name: options.get(name) for name in ("minutes", "epochs", "batch_size", "balance")}
    given: dict[str, Any] = {name: options.get(name) for name in ("noise", "protocol")}
    recipe = choose_recipe(options.get("recipe"), data, changes=changes, **given)
    return augmentation_of(recipe, options.get("augmentation"))


def choose_recipe(
    recipe: str | Path | Recipe | None,
    data: str | Path,
    *,
    noise: str | None = None,
    protocol: Protocol | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return a recipe with some fields replaced (null keeps one), in the precision that is fast."""
    require_seed((changes or {}).get("seed"))
    if recipe is None:
        recipe = "quick" if is_digits(data) else "images"
    if not isinstance(recipe, Recipe):
        name = str(recipe)
        recipe = Recipe.read(Path(name)) if name.endswith(".json") else Recipe.named(name)
    fields = {field: value for field, value in (changes or {}).items() if value is not None}
    if noise is not None or protocol is not None:
        plan = recipe.noise if noise is None else recipe.noise.replaced(noise)
        fields["noise"] = plan.model_dump() | ({"protocol": protocol} if protocol else {})
    return recipe.adjusted(**fields).suited()
