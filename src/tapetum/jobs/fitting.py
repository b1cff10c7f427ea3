"""Find, train and export a network that keeps a latency budget on a device.

::

    FIT/
      request.json        what was requested; written first
      ...                 how the network was chosen (tapetum.jobs.fit_race, fit_tfnas)
      match.json          the network that was chosen, and timed before its training
      network/            its training, with a report of its own (tapetum.training)
      control_*/          networks that are trained alike, for comparison
      model.tapetum       the package
      timing.json         the latencies of the package
      report.html         everything, for people
      result.json         how the fit ended; written last

Each step keeps its result and is not repeated: a fit that is killed at any moment continues.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from tapetum.data import DataOptions
from tapetum.errors import TapetumError, nearest
from tapetum.jobs.choose import lists_options, say
from tapetum.jobs.exporting import AskedPrecision
from tapetum.jobs.fit_delivery import Shipping
from tapetum.jobs.fit_race import Race
from tapetum.jobs.fit_report import write_fit_report
from tapetum.jobs.fit_result import (
    CONTROLS,
    FIT,
    NETWORK,
    SELECTION,
    Controls,
    FitResult,
    FittedNetwork,
    open_beside,
)
from tapetum.jobs.fit_tfnas import TfNas, look_at_space
from tapetum.jobs.fit_work import COMPARING, PACKAGING, TRAINING, FitWork, Method
from tapetum.jobs.look import Looked, look_at_shapes, planned_images
from tapetum.jobs.methods import MOST_PROPOSED, FitOptions, MethodName, effort_of
from tapetum.jobs.request import FitRequest, OpenedRequest, open_request
from tapetum.jobs.request_tfnas import TfNasOptions, TfNasSettings
from tapetum.jobs.training import TrainingOptions
from tapetum.latency import Includes, LatencyTable, Runtime
from tapetum.progress import ProgressCallback, shown_path, silent, step
from tapetum.records import as_path
from tapetum.search import Prefer
from tapetum.training import prepare_process

__all__ = ["continued", "fit", "fit_opened", "fit_options", "look"]


class OtherOptions(TrainingOptions, TfNasOptions, total=False):
    """Options of the trainings, of the data, and of the method tf-nas.

    Attributes:
        started_s: When the total time began, by the monotonic clock; by default now.
    """

    started_s: float | None


@lists_options
def fit(
    data: str | Path,
    out: str | Path,
    *,
    target_ms: float,
    method: MethodName = "race",
    budget_includes: Includes = "network",
    threads: int | None = None,
    batch: int | None = None,
    runtime: str | Runtime | None = None,
    latency: str | Path | LatencyTable | None = None,
    precision: AskedPrecision | None = None,
    prefer: Prefer | None = None,
    search_minutes: float | None = None,
    total_minutes: float | None = None,
    workers: int | None = None,
    ray: str | None = None,
    controls: bool | None = None,
    start: str | Path | None = None,
    beside: Sequence[str | Path] = (),
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **others: Unpack[OtherOptions],
) -> FitResult:
    """Find, train and export a network that keeps a latency budget.

    Example:
        >>> import tapetum
        >>> result = tapetum.fit("photos", "runs/photos", target_ms=8)  # doctest: +SKIP

    Args:
        data: Folder of images, or ``digit-crops``.
        out: New folder.
        target_ms: Latency budget, in milliseconds.
        method: ``race`` trains fast networks of that latency against each other, ``none`` takes the
            default network of that latency, ``tf-nas`` is the published search.
        budget_includes: ``network`` for one pass of the network, ``preparation`` to include that
            of a typical image, ``call`` to include its denoised image at full resolution as well.
        threads: Inference threads on the device; by default those of ``latency``, else 1.
        batch: Images in one pass on the device; by default that of ``latency``, else 1.
        runtime: Inference runtime; by default that of ``latency``, else ``onnxruntime``.
        latency: What was measured on another device: the file that a bundle wrote there, or for
            ``tf-nas`` a latency table; by default this machine is the device.
        precision: Format of the package: ``fp32``, ``int8``, or ``auto`` for int8 where it pays.
        prefer: The score that counts more: ``label``, ``balanced`` (the default) or ``image``.
        search_minutes: Time of the race, in minutes; by default that of the final training.
        total_minutes: Time of everything, in minutes: race and trainings are shortened to fit,
            again where another measurement has to be waited for.
        workers: Trainings of a race at the same time; by default one per core, here or in the Ray
            cluster, and fewer on a small GPU.
        ray: Address of a Ray cluster that trains the candidates of a race.
        controls: Whether to train other networks for comparison; by default for ``tf-nas``. They
            can be added later, with ``resume``.
        start: Folder of a finished run, or a package in fp32: its network is the first candidate,
            and trains from its weights, as far as layers are the same. Or ``efficientnet-lite0``:
            candidates of MBConv blocks, one of them like it, start from its blocks; ``auto``, the
            default, for that where the extra ``pretrained`` is installed and the folder is small;
            ``fresh`` for random weights.
        beside: Folders of finished fits of the same images, which the report compares with.
        seed: Random seed of search, training, noise and split.
        resume: Whether to continue a fit of the same request, or return a finished one.
        overwrite: Whether to replace an older fit.
        progress: Called after each step.
        others: ``recipe``, ``minutes``, ``epochs``, ``batch_size``, ``noise``, ``protocol``,
            ``augmentation``, ``balance``, ``size_px`` and those of the data, as in
            :func:`tapetum.train` (:class:`tapetum.jobs.TrainingOptions`), for the final training
            and each one for comparison; and those of the method tf-nas
            (:class:`tapetum.jobs.TfNasOptions`); and ``started_s``, when the total time began, by
            the monotonic clock.

    Raises:
        InputError: The budget is not feasible, or an argument does not fit another.
        TapetumError: The folder is taken, or the work cannot continue; what is done is kept.
    """
    options, path = _with_others(locals()), as_path(out, "the folder of a fit")
    prepare_process()  # before torch starts its threads
    return fit_opened(open_request(options), path, options)


def fit_options(
    data: str | Path, out: str | Path, *, target_ms: float, **options: Any
) -> FitOptions:
    """Return the arguments of :func:`fit` with its defaults."""
    given = {**(fit.__kwdefaults__ or {}), "data": data, "out": out, "target_ms": target_ms}
    others = {name: options.pop(name) for name in options.keys() - given.keys()}
    return _with_others({**given, **options, "others": others})


def _with_others(arguments: Mapping[str, Any]) -> FitOptions:
    """Return the arguments of :func:`fit`, all by name; those that were not given are None."""
    others = arguments["others"]
    for name in others.keys() - OtherOptions.__optional_keys__:
        hint = nearest(name, {**(fit.__kwdefaults__ or {}), **OtherOptions.__annotations__})
        raise TypeError(f"fit() got an unexpected keyword argument {name!r}; {hint}")
    digits = {name: others[name] for name in DataOptions.__optional_keys__ & others.keys()}
    given = {**arguments, **dict.fromkeys(OtherOptions.__optional_keys__), **others}
    given["started_s"] = given["started_s"] or time.monotonic()
    return FitOptions(**given, digits=digits)


def fit_opened(
    opened: OpenedRequest, path: Path, options: FitOptions, *, shared: Path | None = None
) -> FitResult:
    """Do the work of a fit, or what is left of it; several fits share the folder ``shared``."""
    opened = continued(opened, options, lambda: FIT.open(path).request)
    request, device = opened.request, opened.device
    finished = (path / "result.json").exists() and not options.overwrite
    looked, beside = None, open_beside(options.beside, request)
    if finished and beside and shared is None:
        say(f"--beside has no effect: the report of the fit in {shown_path(path)} is written")
    if not finished and shared is None:  # before there is a folder
        if device is not None:
            device.require_quiet()
        if isinstance(request.method, TfNasSettings):
            look_at_space(opened, path, overwrite=options.overwrite)
        else:
            looked = look(opened, [request.target_ms], path, options)
    if options.resume and shared is None:
        FIT.note_start(path)
    again = {"resume": options.resume, "overwrite": options.overwrite}
    if options.resume and not options.overwrite:  # controls may be added to a fit without them
        FIT.extend(path, request, smaller=request.model_copy(update={"controls": False}))
    with FIT.work(path, request, **again) as folder:
        if not folder.is_finished:
            folder.sweep()
            if looked is not None:
                looked.keep(path, request)
            images = planned_images(opened.dataset, shared or path)
            work = FitWork(
                *(folder, images, device, options.progress),
                *(shared, beside, options.started_s),
                source=opened.source,
                pretrained=opened.pretrained,
                timings=opened.timings,
            )
            _finish(work, _method(work, opened, options))
    return FitResult.open(path)


def _finish(work: FitWork, method: Method) -> None:
    """Do the steps that all methods share; each one keeps its result and is not repeated."""
    method.prepare()
    chosen = work.folder.once(SELECTION, FittedNetwork, method.choose)
    method.stages.begin(TRAINING)
    work.train(NETWORK, chosen.architecture, method.recipe())
    controls = _trained_controls(work, method, chosen)
    method.stages.begin(PACKAGING)
    delivery = Shipping(work, method, chosen, controls).deliver()
    with step(work.progress, "writing the report"):
        fit = FitResult(work.path, work.request, chosen, controls, delivery)
        write_fit_report(fit, work.dataset, method.sections(fit), work.beside)
    work.folder.finish(delivery)


def _trained_controls(work: FitWork, method: Method, chosen: FittedNetwork) -> Controls:
    """Choose and train the networks for comparison."""
    if not work.request.controls:
        return Controls()
    method.stages.begin(COMPARING)
    controls = work.folder.once(CONTROLS, Controls, partial(method.controls, chosen))
    for control in controls.controls:
        for name, network in control.networks.items():
            work.train(name, network, method.recipe())
    return controls


def look(
    opened: OpenedRequest, targets: Sequence[float], path: Path, options: FitOptions
) -> Looked:
    """Return the plans of fits that differ in their budgets; see :func:`look_at_shapes`.

    How large a Ray cluster is, is not known yet: a worker for each candidate is planned. The race
    leaves out those that the cluster has no time for.
    """
    in_cluster = MOST_PROPOSED if options.ray is not None else None
    return look_at_shapes(
        opened,
        targets,
        path,
        overwrite=options.overwrite,
        workers=options.workers or in_cluster,
        started_s=options.started_s,
    )


def continued(
    opened: OpenedRequest, options: FitOptions, kept: Callable[[], FitRequest]
) -> OpenedRequest:
    """Return the request of a fit that goes on.

    Where the options say nothing of networks for comparison, the request that was ``kept`` does.
    """
    if not options.resume or options.controls is not None:
        return opened
    try:
        controls = kept().controls
    except TapetumError:  # there is none, or another kind of folder, which is refused later
        return opened
    request = opened.request.model_copy(update={"controls": controls})
    return replace(opened, request=request)


def _method(work: FitWork, opened: OpenedRequest, options: FitOptions) -> Method:
    """Return the way in which the network is chosen."""
    if isinstance(work.request.method, TfNasSettings):
        return TfNas(work, opened.table, effort_of(options.networks, options.table_minutes))
    return Race(work, options.workers, options.ray)
