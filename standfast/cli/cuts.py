"""Cuts as a person writes them: `a:b` for both directions, `a>b` for one, lists such as `a,b:c`."""

import difflib
import re
from collections.abc import Iterable, Sequence

from standfast.errors import UsageError

Pair = tuple[str, str]
"""From whom, to whom."""

_CUT = re.compile(r"([^:>]+)([:>])([^:>]+)")


def pairs(texts: Iterable[str], names: Sequence[str]) -> tuple[Pair, ...]:
    """What all these cuts cut; raises UsageError for unknown names and for cuts that can not be read."""
    return tuple(dict.fromkeys(pair for text in texts for pair in _pairs(text, names)))


def known(texts: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """The names in these lists, each once; raises UsageError when one is not among `names`."""
    return tuple(dict.fromkeys(_known(name, names) for text in texts for name in text.split(",")))


def _pairs(text: str, names: Sequence[str]) -> Iterable[Pair]:
    parts = _CUT.fullmatch(text)
    if parts is None:
        raise UsageError(f"The cut {text!r} can not be read: write A:B for both directions, A>B for one, or a,b:c.")
    left, sign, right = parts.groups()
    for one in left.split(","):
        for other in right.split(","):
            source, to = _known(one, names), _known(other, names)
            if source == to:
                raise UsageError(f"The cut {text!r}: {source} can not be cut off from itself.")
            yield source, to
            if sign == ":":
                yield to, source


def _known(name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no member {name!r}.{hint} This cluster has {', '.join(names)}.")
