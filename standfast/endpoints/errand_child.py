"""The child that carries out one errand: it reads it from its input, and prints how it ended."""

import os
import sys

import msgspec

from standfast.endpoints.errand import Errand, Moment
from standfast.endpoints.instance import report_unhealthy
from standfast.endpoints.kind import Directory, Outcome, State
from standfast.endpoints.registry import ENDPOINTS


def outcome(errand: Errand, lease: Moment) -> Outcome:
    """Carry it out."""
    if errand.unhealthy:
        return report_unhealthy(errand.region, respect_grace=errand.respect_grace)
    assert errand.endpoint is not None
    assert errand.claim is not None
    kind = ENDPOINTS[errand.endpoint.kind]
    if not isinstance(kind, Directory):
        return Outcome(State.REFUSED, f"{kind.kind} is not led by calls")
    return kind.lead(errand.endpoint.options, errand.claim, lambda: not lease.passed())


def main() -> None:
    """Entry point; the argument is the descriptor of the lease's end."""
    os.nice(5)
    errand = msgspec.json.decode(sys.stdin.buffer.read(), type=Errand)
    print(msgspec.json.encode(outcome(errand, Moment(int(sys.argv[1])))).decode())  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
