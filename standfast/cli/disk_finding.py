"""What `standfast check` says of the shared disk, seen from this machine. Never a problem: no member waits for it."""

from pathlib import Path

from standfast.cli.machine import Finding
from standfast.cli.words import Level
from standfast.errors import KeyFileError
from standfast.links.disk_io import TROUBLES, Crew, DiskTrouble
from standfast.links.disk_layout import Layout
from standfast.links.disk_volume import survey
from standfast.model.cluster import Cluster, MemberSpec
from standfast.trust import load_cluster_key

DEADLINE_S = 5.0
"""A disk that does not answer a look within this long hangs."""
_SUBJECT = "shared disk"


async def disk_findings(cluster: Cluster, member: MemberSpec, key_file: Path) -> list[Finding]:
    """None where the member sees no disk; else whether it can be read and has a slot for the member."""
    path = cluster.disk_of(member.name)
    if not path:
        return []
    try:
        key = load_cluster_key(key_file)
    except KeyFileError:
        return [
            Finding(Level.WARNING, _SUBJECT, f"{path} can not be judged without the cluster key", "mend that first")
        ]
    try:
        found = await survey(path, Layout(cluster.id, key), Crew(DEADLINE_S), look_ns=0)
    except DiskTrouble as trouble:
        words = TROUBLES[trouble.state]
        return [Finding(Level.WARNING, _SUBJECT, f"{path}: {words.why}", words.action)]
    if member.name not in found.volume.members:
        return [Finding(Level.WARNING, _SUBJECT, f"{path} has no slot for {member.name}", "run `standfast disk init`")]
    return [Finding(Level.OK, _SUBJECT, f"{path}, slot {found.volume.members.index(member.name)}")]
