"""A stand-in for a fence agent and the power switch behind it: it kills all processes of a node of a lab.

Options as FenceAgentAPI.md of ClusterLabs has them, from standard input; `plug` is DIRECTORY/NODE of the lab. With
`broken=FILE` it fails for as long as there is that file.
"""

import sys
from pathlib import Path

from standfast.lab.lab import Lab

given = dict(line.strip().split("=", 1) for line in sys.stdin if "=" in line)
directory, _, name = given["plug"].rpartition("/")
node = Lab(Path(directory)).nodes[name]
if given["action"] == "status":
    sys.exit(0 if node.living() else 2)
if Path(given["broken"]).exists():
    sys.exit("the power switch does not answer")
node.kill()
