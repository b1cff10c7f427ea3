"""``tapetum demo``: a fit on handwritten digits, from nothing, in minutes."""

from pathlib import Path

from tapetum.cli import options
from tapetum.cli.common import run_job, say
from tapetum.cli.fit import show_fit

__all__ = ["demo"]


def demo(
    out: Path = options.option(Path("runs/demo"), options.MAIN, "Folder for all results."),
    resume: bool = options.RESUME,
    overwrite: bool = options.OVERWRITE,
    json: bool = options.JSON,
    data_root: Path | None = options.DATA_ROOT,
    download: bool = options.DOWNLOAD,
) -> None:
    """Fit a small network for noisy digits to a latency budget on this machine.

    Does what 'tapetum fit' does, on handwritten digits, in about ten minutes on two cores.

    Examples:

      tapetum demo

      tapetum demo --data-root ~/mnist --out runs/mnist
    """
    result = run_job("demo", locals())
    show_fit(result, as_json=json)
    say(f"next: tapetum predict {result.package} {out / 'images'} --out {out / 'denoised'}")
    say(f"      tapetum benchmark {result.package} --target-ms {result.delivery.target_ms:g}")
    say(f"      tapetum demo --out {out} --overwrite   (to replace this demo)")
