"""The configuration in force, for operators: what it is, who goes by it, and a change of it as an order to the core."""

import asyncio
import pwd
from collections.abc import Iterator

from msgspec import structs

from standfast.clusterfile import rules
from standfast.endpoints.registry import endpoint_problems
from standfast.errors import ClusterFileError, StandfastError
from standfast.managers.registry import driver
from standfast.member.attendant import Attendant
from standfast.member.config_protocol import ConfigReport
from standfast.member.control import Actor
from standfast.member.control_protocol import ApplyConfig
from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.quorum import signals as sig
from standfast.quorum.configuration import in_force
from standfast.quorum.core import Core

NAME_S = 1.0
"""How long the lookup of a user's name may take: it may wait for a network."""


class Configuring:
    """Of one member; `file` is its cluster file."""

    def __init__(self, file: Cluster, core: Core, attendant: Attendant) -> None:
        self._file = file
        self._core = core
        self._attendant = attendant

    def report(self) -> ConfigReport:
        """What is in force, as far as this member has read the store."""
        core = self._core
        settings = core.view.settings
        cluster = in_force(core.rules.cluster, core.view)
        return ConfigReport(
            cluster=cluster,
            edition=settings.record.edition if settings is not None else 0,
            founded=settings is not None,
            term_ceiling_ms=settings.record.term_ceiling_ms if settings is not None else cluster.timing.term_ms,
            waited_for=core.settlement.missing(core.view),
            file_differs=structs.replace(self._file, queue_managers=_by_name(self._file)) != cluster,
        )

    async def order(self, request: ApplyConfig, actor: Actor) -> sig.Configure:
        """The order to the core; raises ClusterFileError when what is wanted keeps the rules of a cluster file not."""
        problems = [str(problem) for problem in rules.problems(request.wanted)] + [*self._of_drivers(request.wanted)]
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise ClusterFileError(f"Nothing was changed: this configuration can not be used.{listed}")
        return sig.Configure(request.wanted, request.edition, await _name(actor))

    def _of_drivers(self, wanted: Cluster) -> Iterator[str]:
        """What the drivers find wrong with queue managers that are new or changed."""
        known = {name: kept.record for name, kept in self._core.view.specs.items()}
        for spec in wanted.queue_managers:
            if known.get(spec.name) == spec:
                continue
            try:
                yield from (f"{spec.name}: {why}" for why in driver(spec.kind).problems(self._attendant.place(spec)))
            except StandfastError as error:
                yield f"{spec.name}: {error}"
            yield from (f"{spec.name}: {why}" for one in spec.endpoints for why in endpoint_problems(one))


def _by_name(cluster: Cluster) -> tuple[QueueManagerSpec, ...]:
    return tuple(sorted(cluster.queue_managers, key=lambda qm: qm.name))


async def _name(actor: Actor) -> str:
    """The user's name; the number when nobody knows one in time."""
    if actor.on_behalf:
        return actor.on_behalf
    try:
        async with asyncio.timeout(NAME_S):
            return (await asyncio.to_thread(pwd.getpwuid, actor.uid)).pw_name
    except (KeyError, TimeoutError):
        return f"uid {actor.uid}"
