"""The search of the paper: networks that keep a latency, beside those that others designed.

========  ===================================================================  ================
table_2   denoisers: D-NAS and UNets                                           section 4.2
table_3   joint networks, their classifiers and denoisers, at three latencies  section 4.3
table_4   images and losses of the search of a DC-NAS                          section 4.4, 1
table_5   Integrated or Sequential                                             section 4.4, 2
table_6   the decoder of a DC-NAS                                              section 4.4, 3
table_10  depth weights beta learned or removed                                sections 4.1, C
figure_4  architecture parameters of a block during a search                   section 4.1
figure_5  how many operators a space should have                               section 4.1
figure_6  C-NAS beside networks that others designed                           section 4.1
figure_8  one image, denoised by the networks of table 3                       section 4.3
quality   the swift search beside the published search                         ours
========  ===================================================================  ================

Command:  python -m tapetum_paper table_3 --scale small --data-root ../shared/data
Time: a row takes at most half an hour on two cores at the scale ``small``, and days on a GPU at
``paper``, which has not been run.

As in the paper, a C-NAS is searched, and its blocks are put into the encoder of a D-NAS or DC-NAS.

# differs from the paper: at the scale ``small`` ten ImageNet classes at 64 px, brief recipes, and
latencies of one processor core, S, M and L at fixed shares of what the usual C-NAS spans there; at
every scale no dropout and no drop-connect, and images that are not searched on are flipped and
cropped as in :mod:`tapetum.data.folder`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from tapetum.arch import Architecture, NetworkFacts, families, find_architecture, spaces
from tapetum.losses import EQUATION_3
from tapetum.search import SearchRecipe, SearchResult, choose_search_recipe
from tapetum_paper.baselines import baseline_names, find_baseline
from tapetum_paper.measures import accuracy_percent, mean_of
from tapetum_paper.paper import (
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TABLE_6,
    TABLE_10,
    UNETS,
    SearchRow,
)
from tapetum_paper.plan import Cell, CellResult, Experiment, Measure, Row, Scale
from tapetum_paper.searched import Control, Searched, Target, Yardstick
from tapetum_paper.studies import CLEAN, SIZES, STUDIES, Size, Study

__all__ = [
    "FIGURE_5",
    "figure_4",
    "figure_5",
    "figure_6",
    "figure_8",
    "quality",
    "table_2",
    "table_3",
    "table_4",
    "table_5",
    "table_6",
    "table_10",
]

LATENCY = Measure(
    "ms",
    2,
    lambda done: None if done.timing is None else done.timing.median_ms,
    absent="not run",  # all networks are measured together
)
ACCURACY = Measure("accuracy %", 1, mean_of(accuracy_percent))
PSNR = Measure("PSNR dB", 2, mean_of(lambda row: row.psnr_db))
SSIM = Measure("SSIM", 3, mean_of(lambda row: row.ssim))


def _of_search(
    read: Callable[[SearchResult], float | None],
) -> Callable[[CellResult], float | None]:
    """Return a reader of a value of the search; a control has none."""

    def value(done: CellResult) -> float | None:
        network = done.cell.network
        is_control = isinstance(network, Searched) and network.control is not None
        return None if done.search is None or is_control else read(done.search)

    return value


def _judged_percent(search: SearchResult) -> float | None:
    accuracy = search.epochs[-1].judged.get("accuracy")
    return None if accuracy is None else 100 * accuracy


SUPERNET = Measure("supernet %", 1, _of_search(_judged_percent))
SEARCH = Measure("search, min", 1, _of_search(lambda search: search.seconds / 60))
JOINT = (LATENCY, ACCURACY, PSNR, SSIM)

Network = Architecture | NetworkFacts | Searched


def table_2(scale: Scale) -> Experiment:
    """Denoisers: a searched encoder with a decoder, and UNets."""
    study = STUDIES[scale]
    networks: dict[str, Network] = {
        "UNet-S": _designed(study, "unet-s"),
        "UNet-M": _designed(study, "unet-m"),
        "D-NAS M": _found(study, "d-nas", "M"),
    }
    title = "Denoisers: one with a searched encoder, and UNets"
    return _experiment("table_2", scale, title, networks, TABLE_2, (LATENCY, PSNR, SSIM))


def table_3(scale: Scale) -> Experiment:
    """Joint networks and their competitors, at three latencies."""
    study = STUDIES[scale]
    designed = {
        "MobileNetV3 small": "mobilenet-v3-small",
        "EfficientNetV2-b0": "efficientnet-v2-b0",
        "EfficientNetV2-b1": "efficientnet-v2-b1",
        "LPIENet 0.25x": "lpienet-0.25x",
        "LPIENet 0.5x": "lpienet-0.5x",
        "UNet-S": "unet-s",
        "UNet-M": "unet-m",
        "DC-Net S": "dc-net-reduced-integrated",
    }
    networks: dict[str, Network] = {
        title: _designed(study, name) for title, name in designed.items()
    }
    for size in SIZES:
        networks[f"C-NAS {size}"] = _found(study, "c-nas", size)
        networks[f"DC-NAS {size}"] = _found(study, "dc-nas", size)
    controls = {kind: _found(study, "dc-nas", "S", control=kind) for kind in get_args(Control)}
    same_latency = {
        f"{kind}, same latency as DC-NAS S": network
        for kind, network in (controls | _widened(study)).items()
    }
    ordered = {title: networks[title] for title in TABLE_3} | same_latency
    title = "Networks that classify, denoise or do both, at three latencies"
    return _experiment("table_3", scale, title, ordered, TABLE_3, JOINT, seeds=study.seeds)


def table_4(scale: Scale) -> Experiment:
    """What an encoder is searched on: clean or noisy images, labels or both tasks."""
    study = STUDIES[scale]
    size = study.ablated
    networks = {
        "clean images, labels": _found(study, "dc-nas", size, search=_on_clean(study.search)),
        "noisy images, labels": _found(study, "dc-nas", size),
        "noisy images, labels and image": _found_for_both(study, size),
    }
    title = f"DC-NAS {size} by the images and losses of its search"
    return _experiment("table_4", scale, title, networks, TABLE_4, JOINT, seeds=study.seeds)


def table_5(scale: Scale) -> Experiment:
    """A whole classifier behind the decoder, or a branch of the encoder."""
    study = STUDIES[scale]
    search = _on_clean(study.search)
    networks = {
        "DC-NAS_seq L": _found(study, "dc-nas-seq", "L", search=search, target=study.sequential),
        "DC-NAS L": _found(study, "dc-nas", "L", search=search),
    }
    return _experiment("table_5", scale, "Sequential and Integrated", networks, TABLE_5, JOINT)


def table_6(scale: Scale) -> Experiment:
    """Decoders of other make on the encoder of a DC-NAS M."""
    study = STUDIES[scale]
    decoders = ("conv", "mbconv", "mbconv-1", "mbconv-3")
    networks = {
        title: _found(study, "dc-nas", "M", decoder=decoder)
        for title, decoder in zip(TABLE_6, decoders, strict=True)
    }
    return _experiment("table_6", scale, "DC-NAS M by its decoder", networks, TABLE_6, JOINT)


def table_10(scale: Scale) -> Experiment:
    """Two searches each with the depth weights beta removed and learned, on clean images."""
    study = STUDIES[scale]
    rows = []
    for title, printed in TABLE_10.items():
        learns_depth, number = "learned" in title, int(title[-1])
        network = _found(
            study,
            "c-nas",
            "S",
            search=_on_clean(study.search),
            frame=study.frame._replace(learns_depth=learns_depth),
        )
        cells = (_cell(study, network, seed=number - 1, is_clean=True),)
        rows.append(Row(title, cells, _printed(printed)))
    return Experiment(
        name="table_10",
        scale=scale,
        title="Depth weights beta, removed or learned",
        measures=(LATENCY, ACCURACY),
        rows=tuple(rows),
        deployment=study.deployment,
    )


def figure_4(scale: Scale) -> Experiment:
    """The architecture parameters of one block during the searches of table 10."""
    title = "The choice of one block over the epochs of a search"
    return replace(table_10(scale), name="figure_4", title=title, measures=())


FIGURE_5 = (4, 6, 8)


def figure_5(scale: Scale) -> Experiment:
    """Classifiers searched among four, six or eight operators, at three latencies."""
    study = STUDIES[scale]
    networks = {
        f"{operators} operators, {size}": _found(
            study,
            "c-nas",
            size,
            search=_on_clean(study.search),
            frame=study.frame._replace(operators=operators),
        )
        for operators in FIGURE_5
        for size in SIZES
    }
    title = "Accuracy by the number of operators of the space"
    measures = (LATENCY, ACCURACY)
    return _experiment("figure_5", scale, title, networks, {}, measures, is_clean=True)


def figure_6(scale: Scale) -> Experiment:
    """A searched classifier beside those that others designed or searched."""
    study = STUDIES[scale]
    # differs from the paper: it took the network that TF-NAS published; this one is searched as
    # TF-NAS does, for the same target.
    tf_nas = _found(
        study,
        "c-nas",
        "M",
        search=_on_clean(_as(choose_search_recipe("tf-nas"), study.search)),
        frame=study.frame._replace(operators=8, learns_depth=True),
    )
    networks: dict[str, Network] = {
        "C-NAS M": _found(study, "c-nas", "M", search=_on_clean(study.search)),
        "TF-NAS": tf_nas,
        "MobileNetV2": _designed(study, "mobilenet-v2"),
        "ResNet-18": _designed(study, "resnet-18"),
    }
    measures = (LATENCY, ACCURACY)
    return _experiment(
        "figure_6", scale, "Classifiers of like latency", networks, {}, measures, is_clean=True
    )


def figure_8(scale: Scale) -> Experiment:
    """One noisy image, denoised by the small networks of table 3."""
    table = table_3(scale)
    rows = {row.title: row for row in table.rows}
    shown = tuple(Row(name, rows[name].cells[:1]) for name in ("DC-Net S", "UNet-S", "DC-NAS S"))
    title = "One image at two noise levels, denoised by networks of like latency"
    return replace(table, name="figure_8", title=title, measures=(), rows=shown)


def quality(scale: Scale) -> Experiment:
    """Classifiers of the swift search and of the published search."""
    study = STUDIES[scale]
    swift, published = choose_search_recipe("swift"), choose_search_recipe("tf-nas")
    networks = {
        "swift search": _found(study, "c-nas", "S", search=_as(swift, study.search)),
        "published search": _found(study, "c-nas", "S", search=_as(published, study.search)),
        "random, same latency": _found(study, "c-nas", "S", control="random"),
    }
    title = "C-NAS S by how it was searched (ours)"
    measures = (LATENCY, ACCURACY, SUPERNET, SEARCH)
    return _experiment("quality", scale, title, networks, {}, measures, seeds=study.quality_seeds)


def _designed(study: Study, name: str) -> Architecture | NetworkFacts:
    """Return a network without a search, for the images of the study."""
    channels, num_classes = study.frame.image_channels, study.frame.num_classes
    if name in baseline_names():
        return find_baseline(name, channels=channels, num_classes=num_classes)
    return find_architecture(name, channels=channels, num_classes=num_classes, boxes=False)


def _widened(study: Study) -> dict[str, Network]:
    """Return a UNet-S and a DC-Net S of the base width that gives the latency of DC-NAS S."""
    numbers = UNETS["unet-s"]
    if study.widened == numbers.base_width:
        joint: Network = _designed(study, "dc-net-reduced-integrated")
        return {"UNet": _designed(study, "unet-s"), "DC-Net": joint}
    wide = numbers._replace(base_width=study.widened)._asdict()
    denoiser = families.unet(
        f"unet-s-b{study.widened}", **wide, channels=study.frame.image_channels
    )
    name = f"dc-net-s-b{study.widened}"
    joint = families.integrated(denoiser, name, num_classes=study.frame.num_classes, boxes=False)
    return {"UNet": denoiser, "DC-Net": joint}


def _found(
    study: Study,
    space: str,
    size: Size,
    *,
    search: SearchRecipe | None = None,
    target: Target | None = None,
    frame: spaces.Frame | None = None,
    decoder: str = "conv",
    control: Control | None = None,
) -> Searched:
    """Return the request for a network with the blocks of a searched C-NAS.

    Args:
        study: Defaults for what is not given.
        space: Name of the space that receives the blocks.
        size: Size of the network, which decides the target.
        search: Search recipe.
        target: Latency of the C-NAS.
        frame: Frame of the spaces.
        decoder: Kind of decoder.
        control: Kind of control that replaces the searched network.
    """
    recipe, frame = search or study.search, frame or study.frame
    target = target or study.targets[size]
    classifiers = spaces.open_space("c-nas", frame)
    is_built = space != "c-nas"
    marks = (
        space,
        size.lower(),
        "" if frame.operators == study.frame.operators else f"{frame.operators}op",
        "depth" if frame.learns_depth else "",
        "" if decoder == "conv" else decoder,
        recipe.name.removeprefix(study.search.name).strip("-"),
        control or "",
    )
    return Searched(
        name="-".join(filter(None, marks)),
        space=classifiers,
        table=_table_name("c-nas", frame),
        target=target,
        yardstick=None if frame == study.frame or target.share is None else _yardstick(study),
        recipe=recipe,
        control=control,
        built_in=spaces.open_space(space, frame._replace(decoder=decoder)) if is_built else None,
    )


def _yardstick(study: Study) -> Yardstick:
    """Return the usual C-NAS, which defines the latency of other spaces."""
    space = spaces.open_space("c-nas", study.frame)
    return Yardstick(space=space, table=_table_name("c-nas", study.frame))


def _found_for_both(study: Study, size: Size) -> Searched:
    """Return the request for a DC-NAS whose decoder is part of the supernet."""
    recipe = study.search.model_copy(
        update={"name": f"{study.search.name}-both", "loss": EQUATION_3}
    )
    return Searched(
        name=f"dc-nas-{size.lower()}-both",
        space=spaces.open_space("dc-nas", study.frame),
        table=_table_name("dc-nas", study.frame),
        target=study.targets[size],
        recipe=recipe,
    )


def _table_name(space: str, frame: spaces.Frame) -> str:
    return f"{space}-{frame.operators}op{'-depth' if frame.learns_depth else ''}"


def _on_clean(recipe: SearchRecipe) -> SearchRecipe:
    return recipe.model_copy(update={"name": f"{recipe.name}-clean", "noise": CLEAN})


def _as(model: SearchRecipe, recipe: SearchRecipe) -> SearchRecipe:
    """Return the same recipe in the way of another one."""
    names = ("shares_weights", "splits_batches", "alpha_update", "label_smoothing")
    ways = {name: getattr(model, name) for name in names}
    if all(getattr(recipe, name) == way for name, way in ways.items()):
        return recipe
    return recipe.model_copy(update={"name": f"{recipe.name}-as-{model.name}", **ways})


def _experiment(
    name: str,
    scale: Scale,
    title: str,
    networks: Mapping[str, Network],
    printed: Mapping[str, SearchRow],
    measures: tuple[Measure, ...],
    *,
    seeds: Sequence[int] = (0,),
    is_clean: bool = False,
) -> Experiment:
    """Return an experiment with a row for each network and a cell for each seed."""
    study = STUDIES[scale]
    return Experiment(
        name=name,
        scale=scale,
        title=title,
        measures=measures,
        rows=tuple(
            Row(
                row,
                tuple(_cell(study, network, seed=seed, is_clean=is_clean) for seed in seeds),
                _printed(printed[row]) if row in printed else {},
            )
            for row, network in networks.items()
        ),
        deployment=study.deployment,
    )


def _cell(study: Study, network: Network, *, seed: int, is_clean: bool) -> Cell:
    """Return a cell; its search has the seed of its training."""
    if isinstance(network, Searched):
        searched = network.recipe.model_copy(update={"seed": seed})
        network = network.model_copy(update={"recipe": searched})
    training = {"seed": seed}
    recipe = study.training.model_copy(
        update={**training, "name": f"{study.training.name}-clean", "noise": CLEAN}
        if is_clean
        else training
    )
    is_folder = study.data != "digit-crops"
    return Cell(
        network=network,
        recipe=recipe,
        data=study.data,
        train_count=study.train_count,
        test_count=study.test_count,
        size_px=study.deployment.size_px if is_folder else None,
    )


def _printed(row: SearchRow) -> dict[str, float]:
    """Return the printed values by the title of the measure."""
    values = {
        LATENCY.title: row.latency_ms,
        ACCURACY.title: row.accuracy_percent,
        PSNR.title: row.psnr_db,
        SSIM.title: row.ssim,
    }
    return {title: value for title, value in values.items() if value is not None}
