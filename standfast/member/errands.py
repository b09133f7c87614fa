"""Has services far away lead clients to this member: names and addresses of clouds, called outside of the safety path.

For each endpoint of a queue manager that is led here a child process makes the calls (`endpoints/errand.py`), again
after a pause that grows when it failed, and now and then when all is well: so what somebody changed by hand, or an old
owner's tag, is mended. Nothing waits for it: a queue manager starts and stops whatever these services answer.
"""

import asyncio
from collections.abc import Callable, Iterable

from standfast.endpoints.errand import Errand, Moment, carried_out
from standfast.endpoints.kind import Claim, Outcome, State
from standfast.model.cluster import EndpointSpec

LOOK_AGAIN_S = 30.0
"""Pause while all is well: one call an endpoint."""
AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses after failures in a row; then LOOK_AGAIN_S."""

Wanted = tuple[EndpointSpec, Claim]


class Errands:
    """Of one member.

    Args:
        told: called with each outcome that differs from the one before, and None when an endpoint is led here no more.
    """

    def __init__(self, told: Callable[[EndpointSpec, Claim, Outcome | None], None]) -> None:
        self._told = told
        self._lease = Moment()
        self._work: dict[str, tuple[Wanted, asyncio.Task[None]]] = {}

    def lease(self, end_ns: int) -> None:
        """The lease ends then (CLOCK_BOOTTIME)."""
        self._lease.set(end_ns)

    def want(self, wanted: Iterable[Wanted]) -> None:
        """Have these lead here, and no others."""
        named = {repr(one): one for one in wanted}
        for name in self._work.keys() - named.keys():
            (endpoint, claim), task = self._work.pop(name)
            task.cancel()
            self._told(endpoint, claim, None)
        for name, one in named.items():
            if name not in self._work:
                self._work[name] = one, asyncio.get_running_loop().create_task(self._lead(*one))

    async def close(self) -> None:
        """Nothing is called any more."""
        tasks = [task for _, task in self._work.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._work.clear()
        self._lease.close()

    async def _lead(self, endpoint: EndpointSpec, claim: Claim) -> None:
        before: Outcome | None = None
        failures = 0
        while True:
            try:
                outcome = await carried_out(Errand(endpoint=endpoint, claim=claim), self._lease)
            except OSError as error:  # no child could be started
                outcome = Outcome(State.AGAIN, error.strerror or str(error))
            if before is None or outcome.state is not before.state:
                self._told(endpoint, claim, outcome)
                before = outcome
            failures = 0 if outcome.state is State.LEADS else failures + 1
            await asyncio.sleep(AGAIN_S[failures - 1] if 0 < failures <= len(AGAIN_S) else LOOK_AGAIN_S)
