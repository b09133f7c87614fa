"""Rules of the table [fencing]."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from standfast.clusterfile.places import Fault, Problem
from standfast.model.cluster import Cluster, FenceWhen, Role

LEAST_S, MOST_S = 1.0, 600.0


def problems(cluster: Cluster) -> Iterator[Problem]:
    """A program by its whole path, members that can be fenced, options that a line can carry."""
    spec = cluster.fencing
    if spec.command and not PurePosixPath(spec.command[0]).is_absolute():
        yield _bad(("command",), f"the program {spec.command[0]!r} must be given by its whole path.")
    if bool(spec.command) is not bool(spec.members):
        yield _bad(
            ("command",),
            "a command and members that it can fence belong together: give both, or none: [fencing.members.NAME].",
        )
    if not LEAST_S <= spec.timeout_s <= MOST_S:
        yield _bad(("timeout_s",), f"timeout_s = {spec.timeout_s:g} must be {LEAST_S:g} to {MOST_S:g} seconds.")
    if not 0.0 <= spec.after_s <= MOST_S:
        yield _bad(("after_s",), f"after_s = {spec.after_s:g} must be 0 to {MOST_S:g} seconds.")
    data = {member.name for member in cluster.members if member.role is Role.DATA}
    if spec.when is FenceWhen.ALWAYS and spec.command and data - spec.members.keys():
        missing = ", ".join(sorted(data - spec.members.keys()))
        yield _bad(("members",), f'with when = "always" every data member must be there: {missing} is not.')
    yield from _options(("options",), spec.options)
    for name, options in spec.members.items():
        if name not in data:
            yield _bad(("members", name), f"{name} is no data member: choose one of {', '.join(sorted(data))}.")
        if not isinstance(options, dict):
            yield _bad(("members", name), f"write the options of {name} as a table [fencing.members.{name}].")
        else:
            yield from _options(("members", name), options)


def _options(path: tuple[str, ...], options: dict[str, object]) -> Iterator[Problem]:
    """Each becomes one line `name=value`."""
    for key, value in options.items():
        if not isinstance(value, str | int | float) or "\n" in str(value) or "=" in key:
            yield _bad((*path, key), f"{key} must be a text or a number that fits on one line.")


def _bad(path: tuple[str, ...], sentence: str) -> Problem:
    return Problem(Fault.BAD_VALUE, ("fencing", *path), sentence)
