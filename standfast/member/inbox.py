"""Where the parts of a member bring what they have found: facts for the core, and what they can not go on after."""

from typing import Protocol

from standfast.quorum import signals as sig


class Inbox(Protocol):
    """Kept by the runtime."""

    def give(self, given: sig.Input) -> None:
        """An input for the core."""
        ...

    def fail(self, error: BaseException) -> None:
        """An error after which the member must end: unforeseen, or for good."""
        ...
