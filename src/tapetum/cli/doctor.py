"""``tapetum doctor``: what is installed here, and how this machine would compute."""

from importlib.util import find_spec
from typing import Any

from tapetum.cli.common import Json, answer, errors_in_one_sentence, say, table
from tapetum.errors import missing_extra

__all__ = ["doctor"]


def doctor(json: Json = False) -> None:
    """Tell what is installed here and how this machine would compute.

    Example:

      tapetum doctor --json
    """
    with errors_in_one_sentence(as_json=json):
        found = _findings()
        if json:
            answer(found)
            return
        rows = [
            (f"{section}.{key}" if section else key, str(value))
            for section, values in found.items()
            for key, value in values.items()
        ]
        table(("what", "found"), rows, numbers=False)
        if found["training"].get("allocator_tuned") is False:
            say("`tapetum train` and `tapetum demo` start themselves again with a tuned allocator.")


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
        findings["training"] = {"torch": f"not installed; {missing_extra('torch', 'train').remedy}"}
    else:
        from tapetum.training.process import prepare_process

        findings["training"] = prepare_process().model_dump()
    return findings
