"""``tapetum benchmark``: how long one graph takes here, and how well it uses the machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli.common import (
    Json,
    RuntimeName,
    answer,
    errors_in_one_sentence,
    progress_bar,
    runtime_of,
    say_crowded,
    table,
)

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.latency import Benchmark, Block

__all__ = ["benchmark"]


def benchmark(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE|ARCH|GRAPH.onnx", help="A file, or a name of `tapetum info`."
        ),
    ],
    size: Annotated[int, typer.Option(help="Side of the images, pixels.")] = 224,
    channels: Annotated[int, typer.Option(help="1 for grey, 3 for RGB.")] = 3,
    classes: Annotated[int, typer.Option(help="How many names, of a named architecture.")] = 100,
    batch: Annotated[int, typer.Option(help="Images in one pass.")] = 1,
    threads: Annotated[int, typer.Option(help="That share the work of one layer.")] = 1,
    runtime: RuntimeName = "onnxruntime",
    seconds: Annotated[float, typer.Option(help="That it takes, roughly.")] = 6.0,
    passes: Annotated[
        int | None,
        typer.Option(help="In one round, instead of rounds that are spread in time."),
    ] = None,
    warmups: Annotated[int, typer.Option(help="Passes before those; go with --passes.")] = 100,
    json: Json = False,
) -> None:
    """Time one network on this machine, in rounds that are spread in time.

    Examples:

      tapetum benchmark photos.tapetum --size 224

      tapetum benchmark unet-s --size 96 --channels 1 --threads 2

      tapetum benchmark network.onnx --runtime openvino --json

    """
    with errors_in_one_sentence(as_json=json):
        from tapetum import latency

        block = None if passes is None else _block(warmups, passes)
        say_crowded(threads)
        opened = latency.open_subject(subject, channels=channels, num_classes=classes)
        known = opened.architecture
        chosen = runtime_of(runtime)
        conditions = latency.conditions_here(
            chosen,
            threads=threads,
            batch=batch,
            channels=channels if known is None else known.image_channels,
            height_px=size,
            width_px=size,
        )
        with progress_bar() as tick:
            found = latency.benchmark(
                opened,
                chosen,
                conditions,
                seconds=seconds,
                block=block,
                progress=tick,
            )
        if json:
            answer(found.model_dump(mode="json"))
            return
        _show(found)


def _block(warmups: int, passes: int) -> "Block":
    """A single round of so many passes."""
    from tapetum.errors import InputError
    from tapetum.latency import Block

    if passes < 1 or warmups < 1:
        raise InputError(
            f"asked for {passes} passes after {warmups} warm-ups", "give 1 or more of each"
        )
    return Block(warmups=warmups, warmup_ms=0, min_passes=passes, min_ms=0)


def _show(found: "Benchmark") -> None:
    timing = found.timing
    rows = [
        ("median", f"{timing.median_ms:.3f} ms"),
        ("mean", f"{timing.mean_ms:.3f} ms"),
        ("95 in 100 below", f"{timing.p95_ms:.3f} ms"),
        ("rounds differ by", f"{timing.spread:.1%} between their quartiles"),
        ("images a second", f"{found.images_per_second:.1f}"),
    ]
    if found.multiply_adds is not None:
        rows += [
            ("multiply-adds", f"{found.multiply_adds / 1e6:.1f} M an image"),
            ("gets through", f"{found.giga_multiply_adds_per_second:.1f} G a second"),
            ("of the machine's peak", f"{found.peak_share:.0%}"),
        ]
    table(("", ""), rows, title=str(found.conditions), numbers=False)
