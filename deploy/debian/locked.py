"""Prints those lines of requirements/all.txt that the product itself needs, hashes included, for `pip -r`.

Usage: locked.py [EXTRA...], in the directory of pyproject.toml. Who needs a package is told by pip-compile's comments.
"""

import re
import sys
import tomllib
from pathlib import Path

NO_WHEEL = {"python-qpid-proton"}
"""Would have to be compiled: who has a sink of AMQP 1.0 adds it, see docs/install.md."""


def locked(wanted: set[str], text: str) -> str:
    """The entries of these packages and of all that they need."""
    entries = {re.match(r"[\w.-]+", entry)[0]: entry for entry in re.split(r"\n(?=[a-z])", text.strip())}  # type: ignore[index]
    chosen: set[str] = set()
    while fresh := {name for name, entry in entries.items() if _needed(name, entry, wanted | chosen)} - chosen:
        chosen |= fresh
    return "\n".join(entry for name, entry in entries.items() if name in chosen) + "\n"


def _needed(name: str, entry: str, by: set[str]) -> bool:
    return name in by or bool(set(re.findall(r"^ +# +(?:via )?([\w-]+)$", entry, re.MULTILINE)) & by)


def main() -> None:
    """Of the base dependencies and the extras named."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wishes = [*project["dependencies"], *(one for e in sys.argv[1:] for one in project["optional-dependencies"][e])]
    names = {re.split(r"[\[><=~! ]", wish)[0].lower() for wish in wishes} - NO_WHEEL
    sys.stdout.write(locked(names, Path("requirements/all.txt").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
