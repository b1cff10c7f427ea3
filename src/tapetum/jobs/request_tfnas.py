"""What a fit by the published search is requested to do: a space, a table and a search recipe."""

from pathlib import Path
from typing import Literal, TypedDict

from tapetum.arch import Space, spaces
from tapetum.data import Dataset, DatasetInfo
from tapetum.errors import InputError
from tapetum.jobs.methods import FitOptions, effort_of, option_of, require_as_measured
from tapetum.jobs.suit import suit
from tapetum.latency import Budget, LatencyTable, bundle
from tapetum.records import Record
from tapetum.search import SearchRecipe, choose_search_recipe
from tapetum.training import Recipe

__all__ = ["TfNasOptions", "TfNasSettings", "choose_settings", "choose_table"]


class TfNasOptions(TypedDict, total=False):
    """Options of the method tf-nas, the published search.

    Attributes:
        space: Name, path or :class:`Space`; by default that of the table, else ``dc-nas``.
        operators: Candidates of each slot (4, 6 or 8); default 4.
        decoder: Blocks of the decoder; default ``conv``.
        up: Upsampling of the decoder; default ``transposed_conv``.
        learns_depth: Whether the search may leave slots out; default False.
        search_recipe: Search recipe: a name or a path; default ``swift``.
        search_epochs: Number of epochs of the search; by default the recipe's.
        networks: Number of random networks that are timed for the table; default 300.
        table_minutes: Time limit for measuring the table, in minutes; default 6.
    """

    space: str | Path | Space | None
    operators: int | None
    decoder: str | None
    up: str | None
    learns_depth: bool | None
    search_recipe: str | Path | None
    search_epochs: int | None
    networks: int | None
    table_minutes: float | None


class TfNasSettings(Record):
    """How the published search chooses a network."""

    method: Literal["tf-nas"] = "tf-nas"
    space: Space
    search_recipe: SearchRecipe


def choose_settings(
    options: FitOptions, table: LatencyTable | None, dataset: Dataset, training: Recipe
) -> TfNasSettings:
    """Return the space and the search recipe, for the noise and the changes of the training."""
    space = _choose_space(options, table, dataset.info)
    noise = training.noise.model_dump()
    changes = {"epochs": options.search_epochs, "seed": options.seed, "noise": noise}
    recipe = choose_search_recipe(str(options.search_recipe or "swift"), changes=changes)
    recipe = recipe.model_copy(update={"augmentation": training.augmentation})
    recipe.require_searchable(space, dataset.train, dataset.info)
    given = {"augmentation": options.augmentation, "batch_size": None, "quiet": True}
    return TfNasSettings(space=space, search_recipe=suit(recipe, dataset, **given))


def choose_table(options: FitOptions) -> LatencyTable | None:
    """Return the given latency table; None where this machine is to be measured."""
    _refuse_frame(options)
    if options.latency is None:
        effort_of(options.networks, options.table_minutes)  # refuses what would be in vain
        return None
    given = options.latency
    table = given if isinstance(given, LatencyTable) else bundle.open_table(Path(given))
    Budget.of(table, options.target_ms)
    command = "measure another table with 'tapetum latency measure'"
    require_as_measured(options, table.conditions, what="the latency table", command=command)
    return table


def _choose_space(options: FitOptions, table: LatencyTable | None, info: DatasetInfo) -> Space:
    """Return the search space for a dataset: as requested, else that of the table."""
    if table is not None:
        _require_form(table, info)
    given = (options.space, options.operators, options.decoder, options.up, options.learns_depth)
    if table is not None and all(value is None for value in given):
        return table.space
    space = options.space or "dc-nas"
    if not isinstance(space, Space):
        frame = spaces.Frame(
            operators=4 if options.operators is None else options.operators,
            image_px=info.size_px,
            image_channels=info.channels,
            num_classes=max(2, len(info.class_names)),
            learns_depth=bool(options.learns_depth),
            decoder=options.decoder or "conv",
            up=options.up or "transposed_conv",
        )
        space = spaces.open_space(str(space), frame)
    if table is not None and table.space != space:
        raise InputError(
            f"the latency table was not measured for the space that was requested, {space.name}",
            "leave out --space and its options to search the space of the table, or measure "
            "another table with 'tapetum latency measure'",
        )
    return space


def _refuse_frame(options: FitOptions) -> None:
    """Refuse options that a space has which is given as a whole."""
    space, names = options.space, ("operators", "decoder", "up", "learns_depth")
    if not isinstance(space, Space) and not str(space).endswith(".json"):
        return
    given = [option_of(name) for name in names if getattr(options, name) is not None]
    if given:
        name = space.name if isinstance(space, Space) else space
        raise InputError(f"--space {name} takes no {', '.join(given)}", "leave it out")


def _require_form(table: LatencyTable, info: DatasetInfo) -> None:
    """Refuse a table for images or classes that the dataset does not have."""
    conditions, classifier = table.conditions, table.space.classifier
    ours = {"channels": info.channels, "px": info.size_px, "classes": len(info.class_names)}
    theirs = {"channels": conditions.channels, "px": conditions.height_px}
    theirs["classes"] = ours["classes"] if classifier is None else classifier.num_classes
    wrong = [
        f"{theirs[name]} {name}, not {ours[name]}" for name in ours if ours[name] != theirs[name]
    ]
    if wrong:
        raise InputError(
            f"the latency table does not fit the dataset: it is for {'; '.join(wrong)}",
            f"measure another: tapetum latency measure --size {ours['px']} --channels "
            f"{ours['channels']} --classes {ours['classes']}",
        )
