"""Who gave which order, and who was not let in, as events: told by the member that was asked, whatever became of it."""

from standfast.member.control import Actor, printable
from standfast.member.control_protocol import ORDERS, GrantOverride, Request, Restart, TellRefused
from standfast.model.events import Event, EventKind

_SUBJECTS = ("qm", "member")
_DETAILS = ("to", "reason", "edition")


def is_order(request: Request) -> bool:
    """Whether it is to change something: a look, and a question how an order would end, are none."""
    if isinstance(request, GrantOverride):
        return not request.dry
    if isinstance(request, Restart):
        return not request.check
    return isinstance(request, ORDERS)


def ordered(request: Request, actor: Actor, verdict: str, cluster: str) -> Event:
    """That an order was given. `verdict`: what became of it, or the error; the subject may be the whole cluster."""
    named = [str(getattr(request, key)) for key in _SUBJECTS if hasattr(request, key)]
    spec = getattr(request, "spec", None)
    details = {key: value for key in _DETAILS if (value := getattr(request, key, None)) is not None}
    return Event(
        kind=EventKind.ORDER_GIVEN,
        subject=printable(named[0] if named else spec.name if spec is not None else cluster),
        fields={
            "order": str(request.__struct_config__.tag),
            **{key: printable(value) if isinstance(value, str) else value for key, value in details.items()},
            "by": str(actor),
            "verdict": str(verdict),
        },
    )


def refused(request: TellRefused) -> Event:
    """That somebody was not let in."""
    return Event(
        kind=EventKind.LOGIN_REFUSED,
        subject=printable(request.address),
        fields={"why": printable(request.why), "count": request.count},
    )
