"""Where this member's queue managers are found by clients: tells the endpoints what to lead here, and for how long.

Guaranteed: an endpoint leads here only for an assignment of this member that is past its start guard; it is told to
lead here no more before the store is asked to release the assignment, and before the member says that nothing runs.
With the lease, virtual IPs end without this process: see `endpoints/vip_bearer.py`.

A queue manager that is moved or halted keeps its virtual IP until it has ended: its clients are told so by it, and who
connects meanwhile is refused at once instead of waiting for an answer from nowhere. One that ends by itself keeps it
while it is started again.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from standfast.endpoints.kind import Claim, Directory, Outcome, State
from standfast.endpoints.registry import ENDPOINTS, endpoint_problems
from standfast.endpoints.vip import wish_of
from standfast.endpoints.vip_address import Stage
from standfast.endpoints.vip_client import BearerClient, Wish
from standfast.endpoints.vip_client import State as Borne
from standfast.member.errands import Errands, Wanted
from standfast.member.journal import Journal
from standfast.member.report import NoticeKind
from standfast.member.reporter import Reporter
from standfast.member.runtime import Runtime
from standfast.model.cluster import VIP, EndpointSpec, QueueManagerSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, Phase
from standfast.model.view import Kept
from standfast.quorum.runs import Run, RunState, StopReason

_GONE_AT_ONCE = frozenset({StopReason.LEASE, StopReason.TOLD_TO_GO, StopReason.NOT_OWNER})
"""Stops that another member waits for, or may not wait for: clients are sent away first."""
RIVAL = "rival"
"""The trouble with an address that is held: another machine claims it, too."""


class Presence:
    """Of one member; an asynchronous context. Its core is read, never changed."""

    def __init__(self, runtime: Runtime, run_dir: Path, journal: Journal, reporter: Reporter) -> None:
        self._core = runtime.core
        self._journal = journal
        self._reporter = reporter
        self._bearer = BearerClient(run_dir, self._bearer_told)
        self._owners: dict[str, str] = {}
        self._read: dict[str, tuple[QueueManagerSpec, tuple[Wish, ...]]] = {}
        self._specs: Mapping[str, Kept[QueueManagerSpec]] = {}
        self._ours: dict[str, str] = {}
        """Queue managers by virtual IP, as of those specifications."""
        self._held: frozenset[str] | None = None  # what is held when this process comes is no news
        self._work: asyncio.Task[None] | None = None
        self._errands = Errands(self._errand_told)
        runtime.on_step, runtime.on_lease = self.follow, self.lease
        self._troubles: dict[str, tuple[str, str]] = {}

    async def __aenter__(self) -> Self:
        """Begin."""
        self._work = asyncio.get_running_loop().create_task(self._bearer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing leads here any more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        await self._errands.close()

    def lease(self, end_ns: int, stop_ns: int) -> None:
        """The lease ends at `end_ns`; queue managers are stopped that long before it."""
        self._bearer.lease(end_ns, end_ns - stop_ns)
        self._errands.lease(end_ns - stop_ns)

    def follow(self) -> None:
        """The core has taken a step: have the endpoints lead here that shall. Never waits."""
        core = self._core
        if core.keeper.heritage:
            return  # what a former process led here stays, as what it started does
        if self._specs is not core.view.specs:
            self._specs = core.view.specs
            held = (kept.record for kept in self._specs.values() if kept.record.endpoints)
            self._ours = {wish.address: spec.name for spec in held for wish in self._wishes(spec)}
        runs = ((qm, run) for qm, run in core.keeper.runs.items() if run.spec.endpoints)
        led = {qm: run.spec for qm, run in runs if leads(run, core.view.assignments.get(qm))}
        wishes = {wish: qm for qm, spec in led.items() for wish in self._wishes(spec)}
        self._owners = {**self._ours, **{wish.address: qm for wish, qm in wishes.items()}}
        self._bearer.want(tuple(wishes), tuple(self._ours))
        self._errands.want(self._claims(led))

    def _wishes(self, spec: QueueManagerSpec) -> tuple[Wish, ...]:
        """Its virtual IPs; read once for each specification, as this is asked for all of them at every step."""
        known = self._read.get(spec.name)
        if known is None or known[0] is not spec:
            found = (wish_of(endpoint) for endpoint in spec.endpoints if endpoint.kind == VIP)
            known = self._read[spec.name] = spec, tuple(wish for wish in found if wish is not None)
        return known[1]

    def _claims(self, led: dict[str, QueueManagerSpec]) -> Iterator[Wanted]:
        cluster, runs = self._core.rules.cluster, self._core.keeper.runs
        for qm, spec in led.items():
            for endpoint in spec.endpoints:
                if isinstance(ENDPOINTS.get(endpoint.kind), Directory) and not endpoint_problems(endpoint):
                    address = cluster.member(self._core.me).clients
                    yield endpoint, Claim(cluster=cluster.id, qm=qm, epoch=runs[qm].epoch, address=address)

    def _errand_told(self, endpoint: EndpointSpec, claim: Claim, outcome: Outcome | None) -> None:
        name = str(endpoint.options.get("name") or endpoint.options.get("allocation_id"))
        trouble = "" if outcome is None or outcome.state is State.LEADS else f"{outcome.state}: {outcome.detail}"
        self._reporter.notice(NoticeKind.ENDPOINT_AWAY, name, trouble)
        if outcome is None:
            return
        kind, told = EventKind.ENDPOINT_HELD, {}
        if trouble:
            kind, told = EventKind.ENDPOINT_FAILED, {"detail": trouble}
        self._journal.told(Event(kind=kind, subject=claim.qm, fields={"endpoint": name, **told}))

    def _bearer_told(self, state: Borne | None) -> None:
        held = frozenset(state.held if state else ())
        for address in sorted(held - (held if self._held is None else self._held)):
            self._tell(EventKind.ENDPOINT_HELD, address)
        troubles = {**state.failed, **{a: (RIVAL, rival) for a, rival in state.rivals.items()}} if state else {}
        for address, trouble in troubles.items():
            if self._troubles.get(address) != trouble:
                self._tell_trouble(address, *trouble)
        for address in self._troubles.keys() | troubles.keys():
            self._reporter.notice(NoticeKind.ENDPOINT_AWAY, address, ": ".join(troubles.get(address, ())))
        self._held, self._troubles = held, troubles

    def _tell_trouble(self, address: str, stage: str, detail: str) -> None:
        if stage in (RIVAL, Stage.CONTESTED):
            self._tell(EventKind.ENDPOINT_CONTESTED, address, rival=detail, held=stage == RIVAL)
        else:
            self._tell(EventKind.ENDPOINT_FAILED, address, detail=detail)

    def _tell(self, kind: EventKind, address: str, **fields: str | bool) -> None:
        subject = self._owners.get(address, "")
        self._journal.told(Event(kind=kind, subject=subject, fields={"endpoint": address, **fields}))


def leads(run: Run, kept: Kept[Assignment] | None) -> bool:
    """Whether clients are led to this member for it."""
    if run.alive:
        return run.state is not RunState.STOPPING or run.stop_reason not in _GONE_AT_ONCE
    if kept is None or kept.record.epoch != run.epoch or run.failed:
        return False
    return kept.record.phase in (Phase.STARTING, Phase.RUNNING) and run.asked_revision < kept.revision
