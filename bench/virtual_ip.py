"""What a client that knows nothing but a virtual IP misses: median and maximum over several runs of the real tests.

Usage: python bench/virtual_ip.py [RUNS]     as root, or `scripts/rooted.sh python bench/virtual_ip.py`

Each run is the tests of a planned move, of a killed owner and of a hung daemon in tests/real/cuts/test_virtual_ip.py:
three members in network namespaces, NATS, the profile `fast`, a client on a machine of its own. How busy the machine
was stands beside the figures.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 5
TESTS = "planned_move or every_process or hung_daemon"


def main() -> None:
    """Run, and print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    outages: dict[str, list[float]] = {}
    loads = []
    for _ in range(runs):
        with tempfile.NamedTemporaryFile() as file:
            command = ["pytest", "-q", "tests/real/cuts/test_virtual_ip.py", "-k", TESTS]
            done = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, "STANDFAST_OUTAGES": file.name},
                stdout=sys.stderr,
                check=False,
            )
            if done.returncode:
                print(f"a run ended with exit code {done.returncode}: what it measured counts", file=sys.stderr)
            for row in map(json.loads, Path(file.name).read_text(encoding="utf-8").splitlines()):
                outages.setdefault(row["scenario"], []).append(row["outage_ms"])
        loads.append(os.getloadavg()[0])
    print(f"load average {min(loads):.1f} to {max(loads):.1f}, {os.cpu_count()} cores")
    for scenario, found in outages.items():
        middle, most = statistics.median(found), max(found)
        print(f"{middle:7.0f} ms median {most:7.0f} ms maximum of {len(found)}  {scenario}")


if __name__ == "__main__":
    main()
