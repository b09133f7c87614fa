"""What a kind of endpoint must offer: one file next to this one for each, and a line in `registry`."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

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


class Claim(Struct, frozen=True, kw_only=True):
    """Who wants an endpoint to lead where.

    Attributes:
        cluster: its id.
        qm: the queue manager.
        epoch: of its assignment: a smaller one never takes an endpoint from a larger one.
        address: where its clients connect on this member.
    """

    cluster: str
    qm: str
    epoch: int
    address: str

    @property
    def mark(self) -> str:
        """The claim as it is recorded with the endpoint."""
        return f"{self.cluster}/{self.qm}/{self.epoch}"

    def against(self, mark: str) -> "Standing":
        """How this claim stands against one that is recorded."""
        whose, _, epoch = mark.rpartition("/")
        if whose != f"{self.cluster}/{self.qm}" or not epoch.isdecimal():
            return Standing.FOREIGN
        return (
            Standing.OURS if int(epoch) == self.epoch else Standing.OLDER if int(epoch) < self.epoch else Standing.NEWER
        )


class Standing(StrEnum):
    """What a recorded claim is, seen from another one."""

    OURS = "ours"
    OLDER = "older"
    NEWER = "newer"
    FOREIGN = "foreign"


class State(StrEnum):
    """How an attempt to lead clients here ended."""

    LEADS = "leads"
    AGAIN = "again"  # somebody else changed it meanwhile, or the service did not answer: try again
    NEWER = "newer"  # a larger epoch has it: this member must leave it alone
    REFUSED = "refused"  # it can not work as it is: a wrong identifier, a missing right


class Outcome(Struct, frozen=True):
    """A state and its detail, for people."""

    state: State
    detail: str = ""


@runtime_checkable
class Directory(Endpoint, Protocol):
    """A kind that a service far away keeps, such as a name or an address of a cloud: it is changed, and never borne."""

    def lead(self, options: dict[str, Any], claim: Claim, leased: Callable[[], bool]) -> Outcome:
        """Have it lead to this member, whatever it led to; idempotent.

        Called in a child process with a deadline of its own; `leased` is asked before each change: whether the lease
        lasts at this moment.
        """
        ...


__all__ = ["Claim", "Directory", "Endpoint", "Outcome", "Standing", "State"]
