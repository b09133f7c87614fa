"""What the API is sent: bodies of requests. Unknown keys are refused, so that a mistyped `dry` orders nothing."""

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=63)]
"""Of a member or queue manager."""
Cut = Annotated[str, Meta(max_length=200, pattern="^[A-Za-z0-9-]+(,[A-Za-z0-9-]+)*[:>][A-Za-z0-9-]+(,[A-Za-z0-9-]+)*$")]
"""`a:b` for both directions, `a>b` for one; lists such as `a,b:c`."""
MOST = 32


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to a member, or to the cluster.

    Attributes:
        dry: only say what would happen.
    """

    dry: bool = False


class MoveOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a queue manager is to run.

    Attributes:
        to: a data member.
        dry: only say what would happen.
    """

    to: Name
    dry: bool = False


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    """A token, for a cookie that stands for it on the page."""

    token: Annotated[str, Meta(min_length=1, max_length=256)]


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What is supposed to happen, all at once.

    Attributes:
        lose: members that die with everything on them.
        cut: between whom nothing passes.
        fail_hop: members none of whose next hops answers.
    """

    lose: Annotated[tuple[Name, ...], Meta(max_length=MOST)] = ()
    cut: Annotated[tuple[Cut, ...], Meta(max_length=MOST)] = ()
    fail_hop: Annotated[tuple[Name, ...], Meta(max_length=MOST)] = ()
