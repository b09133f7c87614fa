"""Reading an endpoint's options from the cluster file: one frozen Struct per kind says what there is."""

import difflib
from typing import Any, TypeVar

import msgspec
from msgspec import NODEFAULT

Options = TypeVar("Options", bound=msgspec.Struct)


def option_problems(given: dict[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    """What is wrong with options, a sentence each; empty when `read_options` will take them."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    found = []
    for name in sorted(set(given) - set(fields)):
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(fields)}."
        found.append(f"{name!r} is unknown: {hint}")
    for name, field in fields.items():
        if name not in given:
            if field.default is NODEFAULT and field.default_factory is NODEFAULT:
                found.append(f"{name} is missing: add it.")
            continue
        try:
            msgspec.convert(given[name], field.type)
        except msgspec.ValidationError as error:
            found.append(f"{name} = {given[name]!r} can not be used: {error}")
    return found


def read_options(given: dict[str, Any], kind: type[Options]) -> Options:
    """The options as a value; raises msgspec.ValidationError for those that `option_problems` reports."""
    return msgspec.convert(given, kind, strict=True)
