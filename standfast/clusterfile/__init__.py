"""The cluster file: TOML on disk, `Cluster` in memory. `load` reads it, `template` writes one."""

from standfast.clusterfile.places import Fault, Problem
from standfast.clusterfile.reader import Reading, load, read
from standfast.clusterfile.template import template

__all__ = ["Fault", "Problem", "Reading", "load", "read", "template"]
