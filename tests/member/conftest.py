"""Units of systemd have cgroups, which only root can make: their tests are collected where that is so."""

import os

collect_ignore = [] if os.geteuid() == 0 else ["test_unit.py"]
