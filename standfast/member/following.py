"""What of a member follows the settings in force, beside its core."""

import logging

from standfast.endpoints.health import HealthBoard
from standfast.links.udp import UdpLinks
from standfast.member.settings_cache import SettingsCache
from standfast.member.shared_disk import SharedDisk
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


def follow(
    cluster: Cluster,
    view: View,
    *,
    board: HealthBoard,
    links: UdpLinks,
    disk: SharedDisk | None,
    cache: SettingsCache,
) -> None:
    """Other settings are in force."""
    timing = cluster.timing
    _log.info("settings in force: heartbeat every %d ms, a lease of %d ms", timing.interval_ms, timing.term_ms)
    board.retimed(timing.interval_ns, timing.in_doubt_ns)
    links.follow(cluster)
    if disk is not None:
        disk.adopted(cluster)
    assert view.settings is not None
    cache.keep(view.settings.record)
