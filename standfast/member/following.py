"""What of a member follows the settings in force, beside its core."""

import logging
from collections.abc import Callable

from standfast.endpoints.health import HealthBoard
from standfast.links.udp import UdpLinks
from standfast.member.settings_cache import SettingsCache
from standfast.member.shared_disk import SharedDisk
from standfast.member.storehouse import Storehouse
from standfast.model.cluster import Cluster, MemberSpec
from standfast.model.timing import Timing
from standfast.model.view import View

_log = logging.getLogger(__name__)


def health_board(me: MemberSpec, timing: Timing) -> HealthBoard:
    """The health page of that member."""
    return HealthBoard(
        address=me.addresses[0],
        port=me.health_port,
        interval_ns=timing.interval_ns,
        stale_after_ns=timing.in_doubt_ns,
    )


class Followers:
    """Of one member; `view()`: what it knows of the store; `disk()`: its link through the shared disk."""

    def __init__(
        self,
        view: Callable[[], View],
        places: tuple[HealthBoard, UdpLinks, Storehouse],
        cache: SettingsCache,
        *,
        disk: Callable[[], SharedDisk | None],
    ) -> None:
        self._view = view
        self._board, self._links, self._store = places
        self._cache = cache
        self._disk = disk

    def follow(self, cluster: Cluster) -> None:
        """Other settings are in force."""
        timing, disk = cluster.timing, self._disk()
        _log.info("settings in force: heartbeat every %d ms, a lease of %d ms", timing.interval_ms, timing.term_ms)
        self._board.retimed(timing.interval_ns, timing.in_doubt_ns)
        self._links.follow(cluster)
        self._store.follow(cluster)
        if disk is not None:
            disk.adopted(cluster)
        settings = self._view().settings
        assert settings is not None
        self._cache.keep(settings.record)
