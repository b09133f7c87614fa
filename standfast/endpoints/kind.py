"""What a kind of endpoint must offer: one file next to this one for each, and a line in `registry`."""

from typing import Any, Protocol

from standfast.ports import Remark


class Endpoint(Protocol):
    """A kind of endpoint. Stateless; it says how, the member does."""

    kind: str
    option_names: frozenset[str]
    """Settings that it understands in the cluster file; others are refused by `check`."""

    def problems(self, options: dict[str, Any]) -> list[str]:
        """What is wrong with the options, a sentence each; empty when all is well. Touches nothing."""
        ...

    async def examine(self, options: dict[str, Any]) -> list[Remark]:
        """What on this machine is in the way of it, or unwise. Called only with options without problems."""
        ...
