"""``tapetum doctor``: what is installed, and how this machine computes."""

from importlib.util import find_spec
from typing import Any

from tapetum.cli import options
from tapetum.cli.common import answer, say, table
from tapetum.errors import MissingExtraError

__all__ = ["doctor"]


def doctor(json: bool = options.JSON) -> None:
    """Show what is installed and how this machine computes.

    Example:

      tapetum doctor --json
    """
    findings = _findings()
    if json:
        answer(findings)
        return
    rows = [
        (f"{section}.{key}", str(value))
        for section, values in findings.items()
        for key, value in values.items()
    ]
    table(("item", "value"), rows, numbers=False)
    if findings["training"].get("allocator_tuned") is False:
        say("Commands that train start again with a tuned allocator.")


def _findings() -> dict[str, dict[str, Any]]:
    from tapetum.provenance import stamp
    from tapetum.runtime import load_onnxruntime

    providers = load_onnxruntime().get_available_providers()
    machine = stamp().model_dump(exclude={"command", "seed"})
    packages = machine.pop("packages")
    findings = {
        "machine": machine,
        "packages": packages,
        "runtime": {"onnxruntime providers": ", ".join(providers)},
    }
    if find_spec("torch") is None:
        findings["training"] = {
            "torch": f"not installed; {MissingExtraError.of('torch', 'train').remedy}"
        }
    else:
        from tapetum.training import prepare_process

        findings["training"] = prepare_process().model_dump()
    return findings
