"""`standfast fence`: try the fence agent, and answer for a member that was switched off by hand."""

import asyncio
from pathlib import Path

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.orders import give
from standfast.cli.screen import as_json, show
from standfast.clusterfile.reader import load
from standfast.errors import MachineError, UsageError
from standfast.member.control_protocol import ConfirmFenced
from standfast.member.fencer import OFF, STATUS, ask_agent

STATES = {0: "on", 2: "off"}
"""Exit codes of `action=status`, as FenceAgentAPI.md has them."""
_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group(
    short_help="Try the fence agent; say that a member is off.",
    epilog=example("standfast fence try /etc/standfast/cluster.toml a"),
)
def fence() -> None:
    """Switch a member off before its queue managers start elsewhere: see [fencing] in the cluster file."""


@fence.command(
    "try",
    short_help="Ask the fence agent about a member; or switch it off.",
    epilog=example("standfast fence try /etc/standfast/cluster.toml a"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("name", metavar="MEMBER")
@click.option("--off", is_flag=True, help="Switch it off for real, as before a takeover.")
@_json
def try_(file: Path, name: str, *, off: bool, json_: bool) -> None:
    """Run the command of [fencing] in FILE from this machine: ask it whether MEMBER is on, or switch it off.

    Every data member runs it from its own machine: try it on each of them.
    """
    spec = load(file).fencing
    if name not in spec.members:
        fenced = ", ".join(sorted(spec.members)) or "nobody"
        raise UsageError(f"{file} does not say how to switch {name!r} off, only {fenced}: see docs/fencing.md.")
    code, said = asyncio.run(ask_agent(spec, name, OFF if off else STATUS))
    known = {0: "off"} if off else STATES
    state = None if code is None else known.get(code)
    if json_:
        as_json({"member": name, "state": state, "code": code, "said": said})
    if state is None:
        was = "gave no answer" if code is None else f"ended with exit code {code}"
        raise MachineError(f"The fence agent {was}: {said}. Mend that before you rely on it.")
    if not json_:
        show(f"{name} is {state}, says {spec.command[0]}.")


@fence.command(short_help="Answer for it that an evicted member is off.", epilog=example("standfast fence confirm a"))
@asking
@click.argument("name", metavar="MEMBER")
@_json
def confirm(asked: Asked, name: str, *, json_: bool) -> None:
    """Say that MEMBER, which was evicted, is off: you have looked, and nothing on it writes any more.

    Its queue managers start elsewhere then, where they wait for that. If it still runs, they are damaged.
    """
    give(asked, ConfirmFenced(name), f"{name} counts as off. What waited for that starts now.", json_)
