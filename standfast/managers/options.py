"""Reading a queue manager's options from the cluster file: one frozen Struct per driver says what there is."""

import difflib
from typing import Any, TypeVar

import msgspec

Options = TypeVar("Options", bound=msgspec.Struct)


def option_problems(given: dict[str, Any], kind: type[msgspec.Struct], refused: dict[str, str]) -> list[str]:
    """What is wrong with options, a sentence each; empty when `read_options` will take them.

    `refused` names settings of the broker that Standfast withholds on purpose, with the reason.
    """
    known = kind.__struct_fields__
    found = []
    for name in sorted(set(given) - set(known)):
        if name in refused:
            found.append(f"option {name!r} can not be set: {refused[name]}")
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        found.append(f"option {name!r} is unknown: {hint}")
    for name in known:
        if name not in given:
            continue
        try:
            msgspec.convert({name: given[name]}, kind)
        except msgspec.ValidationError as error:
            found.append(f"option {name!r} = {given[name]!r} can not be used: {error}")
    return found


def read_options(given: dict[str, Any], kind: type[Options]) -> Options:
    """The options as a value; raises msgspec.ValidationError for those that `option_problems` reports."""
    return msgspec.convert(given, kind, strict=True)
