"""The card of a package: a text for people with its scores and how to run it."""

from pathlib import Path

from tapetum.arch import cost
from tapetum.formats.exported import Parity
from tapetum.formats.precision import PrecisionChoice
from tapetum.records import faults_are_ours
from tapetum.runtime import Manifest

__all__ = ["write_card"]

_WHAT = {
    "denoiser": "denoises noisy images",
    "classifier": "classifies noisy images",
    "integrated": "denoises and classifies noisy images, with one shared encoder",
    "sequential": "denoises noisy images and classifies the denoised images",
}


def write_card(manifest: Manifest, path: Path, latency: str) -> str:
    """Return the card of a package, in Markdown; ``latency`` is a sentence, or empty."""
    warnings = () if manifest.scores is None else manifest.scores.warnings
    parts = [_heading(manifest), *(f"**{_sentence(one)}**" for one in warnings)]
    parts += [_border(manifest), _scores(manifest)]
    parts.append(f"## Latency\n\n{latency}" if latency else "")
    parts += [_calibration(manifest), _precision(manifest)]
    parts += [_usage(manifest, path), _origin(manifest)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(manifest: Manifest) -> str:
    architecture, size_px = manifest.architecture, manifest.size_px
    boxes = architecture.classifies_boxes
    millions = cost.multiply_adds(architecture, size_px, size_px) / 1e6
    return (
        f"# {manifest.name}\n\nA network that {_WHAT[manifest.kind]}.\n"
        f"{cost.parameters(architecture):,} parameters, {millions:,.1f} million multiply-adds for "
        f"an image of {size_px} x {size_px} px{' with one box' if boxes else ''}."
    )


def _border(manifest: Manifest) -> str:
    size_px = manifest.size_px
    lines = [
        "## Inputs and outputs\n",
        f"- Images: {manifest.colour}, {manifest.image_channels} channel(s), any size, values "
        f"in [0, 1]; trained on images of {size_px} x {size_px} px.",
    ]
    if manifest.classifies:
        lines.append(f"- Labels: of images {manifest.preparation.text}.")
    if manifest.brightness is not None:
        what = "boxes" if manifest.labels == "boxes" else "images"
        lines.append(f"- Brightness: that of {manifest.brightness.text(what)}.")
    if manifest.labels == "boxes":
        lines.append("- Boxes: left, top, right, bottom in pixels; each box gets a label.")
    if manifest.class_names:
        lines.append(f"- Classes: {', '.join(manifest.class_names)}.")
    return "\n".join(lines)


def _scores(manifest: Manifest) -> str:
    scores = manifest.scores
    if scores is None:
        return ""
    lines = [scores.header, ["---", *["---:"] * (len(scores.header) - 1)]]
    rows = [f"| {' | '.join(cells)} |" for cells in (*lines, *scores.cells())]
    scored_in = manifest.provenance.get("scored_in", "fp32")
    in_fp32 = " These are the scores in fp32." if manifest.precision != scored_in else ""
    remarks = "".join(f"\n- {_sentence(remark)}" for remark in scores.remarks)
    return "\n".join(["## Scores", "", *rows, "", f"{scores.note}.{in_fp32}", remarks]).rstrip()


def _sentence(remark: str) -> str:
    return f"{remark[:1].upper()}{remark[1:]}."


def _calibration(manifest: Manifest) -> str:
    """Return what was changed for another camera, where the scores are of the network before."""
    found = manifest.provenance.get("calibration")
    if not isinstance(found, dict):
        return ""
    statistics = f"are replaced: {found['reason']}" if found["is_kept"] else "stay"
    return (
        f"## Calibration\n\nOn {found['num_estimating']} images of {found['folder']}, decided on "
        f"{found['num_judging']} others. Batch statistics {statistics}. White level: "
        f"{found['white_reason']}. The scores above are those before the calibration."
    )


def _precision(manifest: Manifest) -> str:
    """Return what the network is computed in, where int8 was considered."""
    measured = manifest.provenance.get("precision")
    if measured is not None:
        with faults_are_ours(f"{manifest.name} does not say how its precision was chosen"):
            text = PrecisionChoice.model_validate(measured).text
        return f"## Precision\n\n{text[0].upper()}{text[1:]}."
    return "" if manifest.precision == "fp32" else f"## Precision\n\n{manifest.precision}."


def _usage(manifest: Manifest, path: Path) -> str:
    has_boxes = manifest.labels == "boxes"
    boxes = ", boxes=[[10, 12, 38, 40]]" if has_boxes else ""
    listed = " --boxes BOXES.json" if has_boxes else ""
    return (
        "## Usage\n\n"
        "    pip install .  # in a clone of Tapetum; no torch needed\n"
        f"    tapetum predict {path.name} IMAGE{listed} --out denoised\n\n"
        "    from tapetum.runtime import Predictor\n\n"
        f'    predictor = Predictor.open("{path.name}")\n'
        f'    result = predictor("IMAGE"{boxes})'
    )


def _origin(manifest: Manifest) -> str:
    origin = manifest.provenance
    text = (
        f"## Origin\n\n- Made {origin.get('date', 'at an unknown time')} by Tapetum "
        f"{manifest.tapetum_version} on {origin.get('cpu', 'an unknown machine')}."
    )
    if manifest.parity:
        with faults_are_ours(f"{manifest.name} does not say how its graph was checked"):
            parity = Parity.model_validate(manifest.parity)
        where = "" if manifest.precision == "fp32" else " in fp32"
        text += (
            f"\n- The graph differs{where} from the trained network by at most {parity.worst:.1e} "
        )
        text += f"({parity.runtime})."
    weights = manifest.pretrained
    if weights:
        text += (
            f"\n- The training began with the weights of {weights['name']} {weights['version']} "
            f"({weights['licence']}, sha256 {weights['sha256']})."
        )
    return text
