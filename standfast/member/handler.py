"""Answers the operators of this member: reports, events, and orders passed on to the core."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

from standfast.clusterfile.rules import member_problems
from standfast.errors import StandfastError, StoreError, UsageError
from standfast.member import audit
from standfast.member.alert_protocol import TestAlert
from standfast.member.alerting import Alerting
from standfast.member.configuring import Configuring
from standfast.member.control import Actor
from standfast.member.control_protocol import (
    VERSION,
    AddMember,
    ApplyConfig,
    CanStop,
    Clear,
    ConfirmFenced,
    Drain,
    EndOverride,
    EventLine,
    Events,
    Freeze,
    GrantOverride,
    Hello,
    Move,
    OrderResult,
    RemoveMember,
    ReplaceMember,
    Request,
    Response,
    Restart,
    RestartReport,
    SafetyReport,
    ShowConfig,
    ShowOverride,
    Status,
    TakeSnapshot,
    TellRefused,
    Thaw,
    Undrain,
    Welcome,
)
from standfast.member.copy_protocol import LostCopy
from standfast.member.journal import Journal, line_of
from standfast.member.replication import Replication
from standfast.member.report import situation
from standfast.member.reporter import Reporter
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.events import Event
from standfast.quorum import signals as sig
from standfast.quorum import voter_orders
from standfast.quorum.can_stop import can_stop
from standfast.stores.ledger import Ledger

NS_PER_MS = 1_000_000
PAGE = 500
LOOK_AGAIN_S = 5.0
"""How long a follower waits at most before the log is read again, should no watch have woken it."""

_ORDERS: dict[type, Callable[..., sig.Order]] = {
    Move: lambda r: sig.Move(r.qm, r.to),
    EndOverride: lambda r: sig.EndOverride(r.member),
    Drain: lambda r: sig.Drain(r.member, on=True),
    Undrain: lambda r: sig.Drain(r.member, on=False),
    Clear: lambda r: sig.Clear(r.member),
    Freeze: lambda _: sig.Freeze(on=True),
    Thaw: lambda _: sig.Freeze(on=False),
}


def _change_of_voters(request: Request, actor: Actor) -> voter_orders.Change | None:
    """The order to the core; None for another request. Raises UsageError for what can not be a member."""
    by = str(actor)
    if isinstance(request, RemoveMember):
        return voter_orders.RemoveMember(request.member, by)
    if isinstance(request, AddMember):
        _judge(request.spec)
        return voter_orders.AddMember(request.spec, by)
    if isinstance(request, ReplaceMember):
        if request.addresses:
            _judge(
                MemberSpec(
                    name=request.member,
                    role=Role.DATA,
                    addresses=request.addresses,
                    client_address=request.client_address,
                )
            )
        return voter_orders.ReplaceMember(request.member, request.addresses, request.client_address, by)
    return None


def _judge(spec: MemberSpec) -> None:
    if problems := "; ".join(problem.sentence for problem in member_problems(spec)):
        raise UsageError(f"That can not be a member, and nothing was ordered: {problems}")


class MemberHandler:
    """Of one member. `order` gives an order to the core and waits for how it ends.

    `tell`: see Scribe; `restart`: see Handover.
    """

    def __init__(
        self,
        cluster: Cluster,
        reporter: Reporter,
        ledger: Ledger,
        journal: Journal,
        order: Callable[[sig.Order], Awaitable[sig.Verdict]],
        *,
        tell: Callable[[Event], Awaitable[None]],
        restart: Callable[..., Awaitable[RestartReport]],
        configuring: Configuring,
        alerting: Alerting,
        replication: Replication,
    ) -> None:
        self._cluster = cluster
        self._reporter = reporter
        self._ledger = ledger
        self._journal = journal
        self._order = order
        self._tell = tell
        self._restart = restart
        self._configuring = configuring
        self._alerting = alerting
        self._replication = replication

    async def handle(self, request: Request, actor: Actor) -> Response:
        """Answer everything but Events, and tell who gave which order; raises ClusterFileError, UsageError."""
        if isinstance(request, TellRefused):
            self._journal.told(audit.refused(request))
            return OrderResult(sig.Verdict.DONE)
        if not audit.is_order(request):
            return await self._answer(request, actor)
        outcome = "unforeseen"
        try:
            answer = await self._answer(request, actor)
            outcome = answer.verdict if isinstance(answer, OrderResult) else sig.Verdict.DONE
        except StandfastError as error:
            outcome = type(error).__name__
            raise
        finally:
            await self._tell(audit.ordered(request, actor, outcome, self._cluster.name))
        return answer

    async def _answer(self, request: Request, actor: Actor) -> Response:
        order = await self._wanted(request, actor)
        if order is not None:
            return OrderResult(order if isinstance(order, sig.Verdict) else await self._order(order))
        if isinstance(request, LostCopy):
            return OrderResult(await self._replication.told(request.qm, back=request.back))
        if isinstance(request, ShowOverride):
            dry = GrantOverride(cluster=self._cluster.name, reason="", dry=True)
            return self._reporter.override(await self._order(_grant(dry, "")))
        if isinstance(request, Restart):
            return await self._restart(check=request.check, leave=request.leave)
        if isinstance(request, TestAlert):
            return await self._alerting.test(request.sink, str(actor))
        if isinstance(request, ShowConfig):
            return self._configuring.report()
        if isinstance(request, TakeSnapshot):
            return self._reporter.snapshot()
        report = self._reporter.status()
        if isinstance(request, CanStop):
            if request.member not in {m.name for m in report.members}:
                names = ", ".join(m.name for m in report.members)
                raise UsageError(f"There is no member {request.member!r}: this cluster has {names}.")
            return SafetyReport(can_stop(situation(report), request.member))
        if isinstance(request, Hello):
            return Welcome(VERSION, self._cluster.name, report.answered_by)
        assert isinstance(request, Status)
        return report

    async def _wanted(self, request: Request, actor: Actor) -> sig.Order | sig.Verdict | None:
        """The order that a request gives, or why it can not be given now; None when it gives none."""
        if isinstance(request, GrantOverride):
            return _grant(request, str(actor))
        if isinstance(request, ConfirmFenced):
            return sig.ConfirmFenced(request.member, str(actor))
        if isinstance(request, ApplyConfig):
            return await self._configuring.order(request, actor)
        change = _change_of_voters(request, actor)
        if change is not None:
            # Until etcd has followed the change before, it counts a majority of its own: one more could be too many.
            return sig.Verdict.NOT_SETTLED if self._reporter.status().store.strangers else change
        return _ORDERS[type(request)](request) if type(request) in _ORDERS else None

    async def events(self, request: Events, actor: Actor) -> AsyncGenerator[EventLine, None]:  # noqa: ARG002
        """The stored events after a revision and what this member alone could see; then, to follow, each new one."""
        known = self._journal.stirred
        local, position = self._journal.local_since(0)
        stored = await self._stored(request.since, patient=request.follow)
        revision = max([request.since, *(line.revision for line in stored)])
        for line in _by_time(stored, [] if request.since else local):
            yield line
        while request.follow:
            await self._journal.news(known, LOOK_AGAIN_S)
            known = self._journal.stirred
            local, position = self._journal.local_since(position)
            stored = await self._stored(revision, patient=True)
            revision = max([revision, *(line.revision for line in stored)])
            for line in _by_time(stored, local):
                yield line

    async def _stored(self, after: int, *, patient: bool) -> list[EventLine]:
        """The stored events after a revision. Raises StoreError, unless `patient`: then the rest comes another time.

        Followers are patient: what a member tells while the store is away is what they most want to hear.
        """
        found: list[EventLine] = []
        try:
            while page := await self._ledger.history(after, PAGE):
                found += map(line_of, page)
                after = page[-1].revision
        except StoreError:
            if not patient:
                raise
        return found


def _grant(request: GrantOverride, by: str) -> sig.GrantOverride:
    return sig.GrantOverride(
        cluster=request.cluster,
        reason=request.reason,
        by=by,
        at_unix_ms=time.time_ns() // NS_PER_MS,
        queue_managers=request.queue_managers,
        dry=request.dry,
    )


def _by_time(stored: list[EventLine], local: list[EventLine]) -> Iterator[EventLine]:
    """Stored events in the store's order, local ones between them where the clocks put them."""
    waiting = sorted(local, key=lambda line: line.at_unix_ms)
    for line in stored:
        while waiting and waiting[0].at_unix_ms < line.at_unix_ms:
            yield waiting.pop(0)
        yield line
    yield from waiting
