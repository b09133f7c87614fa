"""A copy of the tree whose core is compiled (mypyc), to simulate more in the same time; what runs is decided the same.

    python bench/compiled.py [--check] [SCRIPT ARGUMENT ...]
    python bench/compiled.py bench/campaign.py --hours 2000

Makes build/compiled anew when a file of the package has changed, compares the digest of some runs there with that of
the same runs here, and runs the script on it. Members never run it: the core of a release is what is read here.
Needs a C compiler and Python's headers (Debian: gcc, python3-dev), setuptools, and mypy; takes two minutes.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "compiled"
DONE = PLACE / "made-of"
HOT = ("sim/machine.py", "sim/world.py", "sim/promises.py", "sim/memory.py")
"""What takes time beside the core."""
BUILD = """
import sys
from setuptools import setup
from mypyc.build import mypycify
setup(name="compiled", packages=[], ext_modules=mypycify(sys.argv.pop().split(), opt_level="2"))
"""
DIGEST = """
import hashlib
import time
from standfast.model.timing import PROFILES
from standfast.quorum import core
from standfast.sim.run import simulate
began_s, found, simulated_s = time.process_time(), hashlib.sha256(), 0.0
for seed in range(4):
    for members, profile, copies in ((3, "fast", False), (3, "fast", True), (5, "normal", False), (7, "", False)):
        outcome = simulate(seed, members, 1.0, PROFILES.get(profile), copies=copies)
        found.update(repr((sorted(outcome.coverage.items()), outcome.broken, outcome.simulated_s)).encode())
        simulated_s += outcome.simulated_s
kind = "plain" if core.__file__.endswith(".py") else "compiled"
print(found.hexdigest(), kind, round(simulated_s / (time.process_time() - began_s)))
"""
"""Coverage counts everything that happens in a run: one decision that differs changes it."""


def compilable(package: Path) -> list[str]:
    """Files of the core and of the simulator's hot part; not those with Structs, which mypyc knows no better."""
    core = [file for file in sorted((package / "quorum").glob("*.py")) if file.name != "__init__.py"]
    found = [file for file in core if "import Struct" not in file.read_text(encoding="utf-8")]
    found += [package / name for name in HOT]
    return [str(file.relative_to(package.parent)) for file in found]


def fingerprint() -> str:
    """Of every file of the package, and of the Python that runs it."""
    found = hashlib.sha256(sys.version.encode())
    for file in sorted((ROOT / "standfast").rglob("*.py")):
        found.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return found.hexdigest()


def make() -> None:
    """The copy, compiled; raises CalledProcessError."""
    made_of = fingerprint()
    shutil.rmtree(PLACE, ignore_errors=True)
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "standfast", PLACE / "standfast", ignore=leave)
    files = " ".join(compilable(PLACE / "standfast"))
    command = [sys.executable, "-c", BUILD, "build_ext", "--inplace", files]
    subprocess.run(command, cwd=PLACE, env=environment(PLACE), check=True, stdout=subprocess.DEVNULL)
    DONE.write_text(made_of, encoding="ascii")


def environment(root: Path) -> dict[str, str]:
    """For Python on that tree."""
    return {**os.environ, "PYTHONPATH": str(root)}


def digest(root: Path) -> tuple[str, str, int]:
    """Of some runs on that tree; whether its core is compiled; simulated seconds for one of a core."""
    command = [sys.executable, "-c", DIGEST]
    done = subprocess.run(command, cwd=root, env=environment(root), check=True, stdout=subprocess.PIPE, text=True)
    found, kind, speed = done.stdout.split()
    return found, kind, int(speed)


def compare() -> dict[str, int]:
    """Speed of the plain and of the compiled core; ends the program when the two do not decide alike."""
    (plain, first, slow), (compiled, second, fast) = digest(ROOT), digest(PLACE)
    if (first, second) != ("plain", "compiled"):
        sys.exit(f"The one tree is {first}, the other {second}: remove {PLACE} and try again.")
    if plain != compiled:
        sys.exit("The compiled core decides otherwise than the plain one: what it finds counts for nothing.")
    return {first: slow, second: fast}


def ready() -> dict[str, int]:
    """See that the compiled copy is that of this tree; as `compare`."""
    if not DONE.exists() or DONE.read_text(encoding="ascii") != fingerprint():
        print("compiling: two minutes", flush=True)
        make()
    return compare()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only see that it decides alike")
    parser.add_argument("script", nargs="*", help="with its arguments")
    given, more = parser.parse_known_args()
    speeds = ready()
    print(f"equal digests; times real time: plain {speeds['plain']}, compiled {speeds['compiled']}", flush=True)
    if given.script and not given.check:
        command = [sys.executable, *given.script, *more]
        sys.exit(subprocess.run(command, env=environment(PLACE), check=False).returncode)


if __name__ == "__main__":
    main()
