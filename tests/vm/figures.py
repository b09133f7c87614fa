"""What the tests have measured on their way: shown at the end of a run, and kept in VM_DIR/figures.json."""

import json
from typing import Any

from tests.vm.image import VM_DIR

_noted: list[dict[str, Any]] = []


def note(what: str, **values: object) -> None:
    """Something measured; a value's unit is in its name."""
    rounded = {name: round(value, 2) if isinstance(value, float) else value for name, value in values.items()}
    _noted.append({"measured": what, **rounded})
    (VM_DIR / "figures.json").write_text("".join(f"{line}\n" for line in lines()))


def lines() -> list[str]:
    """Each as a JSON object."""
    return [json.dumps(entry) for entry in _noted]
