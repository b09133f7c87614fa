"""The rules of the house that a machine can check: which way imports run, how large things are, what is not said."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "standfast"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_FUNCTION = 60

LEVELS = (
    {"__init__", "errors"},
    {"model"},
    {"quorum"},
    {"ports", "disposable"},
    {"trust", "tokens", "clusterfile"},
    {"people", "links", "stores", "managers", "storage", "endpoints", "alerts"},
    {"member"},
    {"lab", "sim"},
    {"drill"},
    {"cli"},
    {"api"},
    {"__main__"},
)
"""From the ground up. A room uses what is below it, and nothing beside it."""
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}

PURE = {"collections", "enum", "itertools", "typing", "msgspec"}
"""All that the core may use beside itself: nothing that knows a clock, a file or a thread."""
SIM = {"errors", "model", "quorum", "sim"}
"""The simulator drives the core and nothing else, so that what it proves is about the core alone."""
BEGINS_ELSEWHERE = {"what_if"}
"""But this begins from what a living member knows."""
FRUGAL = (
    "member/warden*.py",
    "member/launch.py",
    "member/minder*.py",
    "managers/*_child.py",
    "member/processes.py",
    "storage/directory.py",
    "storage/epoch_file.py",
)
"""Files of the warden and of the launched process: standard library only."""
DAEMONS_SIDE = {"warden_client", "warden_reports"}

# Built from parts, so that this file passes its own test.
UNSAID = [re.compile(pattern) for pattern in ("TO" + "DO", "FIX" + "ME", "X" * 3, r"/wo" + r"rk/", r"/tmp/" + r"v/")]


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(module: Path) -> Iterator[str]:
    """Full names of the modules that it imports, at the top or within functions."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert not node.level, f"{module}: relative"
            whole = node.module == "standfast"
            yield from (f"standfast.{name.name}" for name in node.names) if whole else (node.module,)


def own_rooms(module: Path) -> set[str]:
    """Rooms of this package that a module uses; the package itself counts as the ground."""
    named = (name.split(".") for name in imports_of(module) if name.split(".")[0] == "standfast")
    rooms = {parts[1] if len(parts) > 1 else "__init__" for parts in named}
    return {"__init__" if room.startswith("__") else room for room in rooms}


def short(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


@pytest.mark.parametrize("module", MODULES, ids=short)
def test_imports_run_downwards(module):
    here = room_of(module)
    upwards = {room for room in own_rooms(module) - {here} if LEVEL[room] >= LEVEL[here]}
    assert upwards == set()


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) in {"model", "quorum"}], ids=short)
def test_the_core_knows_no_clock_no_io_and_no_thread(module):
    used = {name.split(".")[0] for name in imports_of(module)}
    assert used <= PURE | {"standfast"}
    assert not re.search(r"\b(await|async|open|print)\b *[\(a-z]", code_of(module))


@pytest.mark.parametrize(
    "module", [m for m in MODULES if room_of(m) == "sim" and m.stem not in BEGINS_ELSEWHERE], ids=short
)
def test_the_simulator_drives_the_core_and_nothing_else(module):
    assert own_rooms(module) <= SIM | {"__init__"}


@pytest.mark.parametrize(
    "module",
    [m for pattern in FRUGAL for m in sorted(PACKAGE.glob(pattern)) if m.stem not in DAEMONS_SIDE],
    ids=short,
)
def test_what_must_not_fail_uses_the_standard_library_only(module):
    foreign = {name.split(".")[0] for name in imports_of(module)} - sys.stdlib_module_names - {"standfast"}
    assert foreign == set()


@pytest.mark.parametrize("module", MODULES, ids=short)
def test_files_and_functions_are_small(module):
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES_OF_A_FILE
    functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    long = {f.name: size for f in functions if (size := f.end_lineno - f.lineno + 1) > MOST_LINES_OF_A_FUNCTION}
    assert long == {}


def test_nothing_is_left_for_later_and_no_private_place_is_named():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [
        (name, pattern.pattern)
        for name in filter(None, listed.split("\0"))
        if Path(name).suffix in {".py", ".md", ".sh", ".toml", ".css", ""} and (ROOT / name).is_file()
        for pattern in UNSAID
        if pattern.search((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert found == []


def code_of(module: Path) -> str:
    """The code without comments and docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))] or [
                ast.Pass()
            ]
    return ast.unparse(tree)
