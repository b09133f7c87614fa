"""This machine as an instance of AWS: left in time when it is going to end, and replaced when it is beyond repair.

Guaranteed: once a notice is seen that this machine will be ended, nothing is placed here any more, and what runs here
is moved to a member that can take it, as by an operator's order; the two minutes' notice of a spot instance are time
for any stop. A member reports its instance unhealthy only when it has been good for nothing for `unhealthy_after_s` in
a row, runs nothing, and another data member is up that lacks nothing: what hits all of them, such as a file system that
is down, is not cured by new machines, and never makes one member after the other replace itself.

Not guaranteed: a replacement. The Auto Scaling group decides; within its grace period it ignores reports, which are
therefore repeated. What is asked of AWS is asked in threads and child processes with deadlines.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from standfast.endpoints.errand import Errand, Moment, carried_out
from standfast.endpoints.imds import Metadata, NoMetadata
from standfast.endpoints.instance import Notice, planned_end
from standfast.endpoints.kind import Outcome, State
from standfast.member.journal import Journal
from standfast.member.report import MemberReport, StatusReport, is_up
from standfast.model.cluster import AwsSpec, Role
from standfast.model.events import Event, EventKind
from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL

EVERY_S = 5.0
"""Pause between two looks: AWS advises it for notices of spot instances."""
REPORT_AGAIN_S = 60.0
"""A report is repeated so often while the member stays beyond repair: a grace period may have swallowed it."""

_log = logging.getLogger(__name__)


class Instance:
    """Of one data member.

    Args:
        me: its name.
        aws: what is wanted.
        status: what this member knows now.
        order: gives an operator's order, and waits for how it ends.
        journal: told of what is found and done.
        look_again: called when `trouble` changed.

    Attributes:
        trouble: why nothing is to be placed here; empty when there is nothing in the way.
    """

    def __init__(
        self,
        me: str,
        aws: AwsSpec,
        *,
        status: Callable[[], StatusReport],
        order: Callable[[sig.Order], Awaitable[sig.Verdict]],
        journal: Journal,
        look_again: Callable[[], None],
    ) -> None:
        self.trouble = ""
        self._me = me
        self._aws = aws
        self._status = status
        self._order = order
        self._journal = journal
        self._look_again = look_again
        self._metadata = Metadata()
        self._since_s: float | None = None
        self._reported_s = 0.0

    async def run(self) -> None:
        """Look until cancelled; nothing when nothing is wanted."""
        while self._aws.follow_notices or self._aws.report_unhealthy:
            if self._aws.follow_notices:
                await self._follow_notice()
            if self._aws.report_unhealthy:
                await self._judge(asyncio.get_running_loop().time())
            await asyncio.sleep(EVERY_S)

    # ------------------------------------------------------------ it will be ended

    async def _follow_notice(self) -> None:
        try:
            notice = await asyncio.to_thread(planned_end, self._metadata)
        except NoMetadata as error:  # a token that has run out, or no answer: the next look has a new one
            _log.debug("%s", error)
            self._metadata = Metadata()
            return
        self._note(notice)
        if notice is not None:
            await self._move_all()

    def _note(self, notice: Notice | None) -> None:
        trouble = "" if notice is None else f"this machine will be ended ({notice.why}) {notice.when}".strip()
        if trouble == self.trouble:
            return
        self.trouble = trouble
        self._look_again()
        if notice is not None:
            fields: dict[str, str | int | float | bool | None] = {"why": notice.why, "when": notice.when}
            self._journal.told(Event(kind=EventKind.INSTANCE_ENDING, subject=self._me, fields=fields))

    async def _move_all(self) -> None:
        """Move what runs here and is not on its way: to the first member that can take it."""
        report = self._status()
        others = [m.name for m in report.members if m.role is Role.DATA and m.name != self._me and is_up(report, m)]
        for qm in report.queue_managers:
            if qm.owner != self._me or qm.target is not None:
                continue
            for name in others:
                if await self._order(sig.Move(qm.name, name)) is sig.Verdict.DONE:
                    break

    # ------------------------------------------------------------ it is beyond repair

    async def _judge(self, now_s: float) -> None:
        why = beyond_repair(self._status(), self._me)
        if not why or self.trouble:
            self._since_s = None
            return
        if self._since_s is None:
            self._since_s, self._reported_s = now_s, 0.0
        due_s = max(self._since_s + self._aws.unhealthy_after_s, self._reported_s and self._reported_s + REPORT_AGAIN_S)
        if now_s >= due_s:
            first = not self._reported_s
            self._reported_s = now_s
            outcome = await report_unhealthy(self._aws.region)
            if first or outcome.state is not State.LEADS:
                told = "reported" if outcome.state is State.LEADS else f"not reported: {outcome.detail}"
                fields: dict[str, str | int | float | bool | None] = {"why": why, "detail": told}
                self._journal.told(Event(kind=EventKind.INSTANCE_UNHEALTHY, subject=self._me, fields=fields))


async def report_unhealthy(region: str) -> Outcome:
    """Report this instance to its Auto Scaling group, which may ignore it in its grace period."""
    lease = Moment()
    try:
        return await carried_out(Errand(unhealthy=True, region=region), lease)
    finally:
        lease.close()


def beyond_repair(report: StatusReport, name: str) -> str:
    """Why a member is good for nothing while another one lacks nothing; empty when it is not so."""
    me = next((m for m in report.members if m.name == name), None)
    if me is None or any(qm.owner == name or qm.local is not None for qm in report.queue_managers):
        return ""
    names = {qm.name for qm in report.queue_managers}
    barred = names if ALL in me.unfit else names & {*me.unfit}
    if me.quarantined:
        why = "it is in quarantine"
    elif names and barred == names:
        why = f"it can run nothing: {', '.join(me.unfit)}"
    else:
        return ""
    return why if any(_lacks_nothing(report, m) for m in report.members if m.name != name) else ""


def _lacks_nothing(report: StatusReport, member: MemberReport) -> bool:
    return member.role is Role.DATA and is_up(report, member) and not member.unfit and not member.quarantined
