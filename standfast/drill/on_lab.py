"""A drill on a lab: all its processes are on this machine, and a proxy of its own is the endpoint."""

from standfast.drill.director import Director, Rhythm
from standfast.drill.endpoint import own_proxy
from standfast.lab.lab import Lab
from standfast.lab.network import CLIENT
from standfast.lab.plan import CLUSTER_FILE, RUN
from standfast.model.cluster import Role


def on_lab(lab: Lab, rhythm: Rhythm | None = None) -> Director:
    """The director of a drill on the first queue manager of a lab."""
    qm = lab.cluster.queue_managers[0].name
    run_dirs = {m.name: lab.directory / RUN / m.name for m in lab.cluster.members if m.role is Role.DATA}
    inside = lab.inside(CLIENT)
    return Director(
        lab, qm, run_dirs, lambda: own_proxy(lab.directory / CLUSTER_FILE, qm, inside), rhythm, inside=inside
    )
