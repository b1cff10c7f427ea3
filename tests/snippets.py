"""Run the snippet of an exported file as a user would."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from packages import noise
from tapetum.runtime import Manifest


def outputs_of(
    snippet: str,
    manifest: Manifest,
    folder: Path,
    size: tuple[int, int] = (30, 20),
    *,
    warnings: str = "error",
) -> dict[str, Any]:
    """What a snippet makes of an image in a folder, run by a fresh Python without Tapetum."""
    shape = size if manifest.image_channels == 1 else (*size, 3)
    image = Image.fromarray((noise(*shape) * 255).astype(np.uint8))
    image.save(folder / "IMAGE", format="PNG")
    names = ["denoised"] * manifest.denoises + ["probabilities"] * manifest.classifies
    kept = ", ".join(f"{name}={name}" for name in names)
    program = (
        "import sys; sys.modules['openvino_telemetry'] = None\n"
        f"{snippet}assert 'tapetum' not in sys.modules\nnp.savez('found.npz', {kept})\n"
    )
    command = [sys.executable, "-W", warnings, "-c", program]
    subprocess.run(command, cwd=folder, check=True)
    with np.load(folder / "found.npz") as found:
        return dict(found)
