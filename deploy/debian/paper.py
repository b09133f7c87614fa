"""Writes what the package has on paper: manual pages and completions, made from the commands themselves.

Usage: paper.py DIRECTORY; needs the packages of Standfast and click-man on PYTHONPATH.
"""

import sys
from pathlib import Path

import click
from click.shell_completion import get_completion_class
from click_man.core import write_man_pages

from standfast import __version__
from standfast.cli.main import main

COMPLETIONS = {"bash": "standfast.bash", "zsh": "_standfast", "fish": "standfast.fish"}


def write(directory: Path) -> None:
    """All of it, into that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    write_man_pages("standfast", main, version=__version__, target_dir=str(directory))
    above = click.Context(main, info_name="standfast")
    for name in main.list_commands(above):  # loaded on demand, so click-man does not see them by itself
        command = main.get_command(above, name)
        write_man_pages(name, command, parent_ctx=above, version=__version__, target_dir=str(directory))
    for shell, name in COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind is not None
        script = kind(main, {}, "standfast", "_STANDFAST_COMPLETE").source()
        (directory / name).write_text(script + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
