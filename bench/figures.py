"""Where figures are kept, and on which machine they were measured."""

import json
import os
import platform
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "measured.md"
SCALE_PAGE = PAGE.with_name("measured-scale.md")
STEADY_PAGE = PAGE.with_name("measured-steady.md")
README = HERE.parent / "README.md"


def machine() -> str:
    """What it was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    today = datetime.now(UTC).date().isoformat()
    return f"{today}: {os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def save(part: str, figures: Any, note: str = "") -> Path:
    """Keep what was measured of a part, with the machine, and with what else is to be known of the run."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{part}.json"
    on = f"{machine()}; {note}" if note else machine()
    file.write_text(json.dumps({"on": on, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    return file


def renewed(part: str, found: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a part that were kept before, with these in the place of those that have the same keys."""
    kept = {tuple(one[key] for key in keys): one for one in results().get(part, {"figures": []})["figures"]}
    kept |= {tuple(one[key] for key in keys): one for one in found}
    return [kept[key] for key in sorted(kept)]


def results() -> dict[str, Any]:
    """What has been measured so far, by part."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.glob("*.json")}


def prose(text: str) -> list[str]:
    """A paragraph as lines of a page, however it is broken here."""
    return textwrap.wrap(" ".join(text.split()), 116, break_long_words=False, break_on_hyphens=False)


def pair(spread: dict[str, Any]) -> str:
    """Median and maximum of a spread, as the tables show it."""
    return f"{spread['median']} / {spread['max']}" if spread["n"] else "-"
