"""``tapetum demo``: a fit on handwritten digits, from nothing, in minutes."""

from pathlib import Path

from tapetum.cli import options
from tapetum.cli.common import run_job, say
from tapetum.cli.fit import show_fit
from tapetum.progress import pasted

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
    package, target_ms = pasted(result.package), result.delivery.target_ms
    images, denoised = pasted(out / "images"), pasted(out / "denoised")
    say(f"next: tapetum predict {package} {images} --out {denoised}")
    say(f"      tapetum benchmark {package} --target-ms {target_ms:g}")
    say(f"      tapetum demo --out {pasted(out)} --overwrite   (to replace this demo)")
