"""The documents: generated parts are up to date, links lead somewhere, commands exist, names in the proof exist."""

import ast
import importlib.util
import re
import shlex
import tomllib
from itertools import chain
from pathlib import Path

import click
import pytest

from standfast.cli.main import main
from tests.sim.sabotage import SABOTAGES
from tests.sim.sabotage_copies import OF_COPIES
from tests.sim.sabotage_fencing import OF_FENCING

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROOF = [*sorted((ROOT / "docs").glob("protocol*.md")), ROOT / "docs/arbitration.md"]
PROTOCOL = "".join(page.read_text(encoding="utf-8") for page in PROOF)
MOST_LINES = 200


def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def command_lines(page: Path) -> list[str]:
    """Every `standfast ...` in a fenced block, with continued lines joined and conditions taken apart."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = chain.from_iterable(block.replace("\\\n", " ").splitlines() for block in blocks)
    parts = chain.from_iterable(line.split("&&") for line in lines)
    return [part.strip() for part in parts if part.strip().startswith("standfast ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert generate().filled(text) == text, "run: python docs/generate.py"


def test_generated_files_are_up_to_date():
    made = {name: make() for name, make in generate().FILES.items()}
    stale = [name for name, text in made.items() if (ROOT / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run: python docs/generate.py"


def test_every_generated_part_is_shown_somewhere():
    shown = set(re.findall(r"<!-- generated: (\w+) -->", "".join(p.read_text(encoding="utf-8") for p in PAGES)))
    assert shown == set(generate().PARTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_named_exists(page):
    named = re.findall(r"`((?:standfast|tests|docs|scripts|bench|requirements)/[\w./*-]+)`", prose(page))
    for name in named:
        assert list(ROOT.glob(name.rstrip("/"))), name


@pytest.mark.parametrize("line", sorted(set(chain.from_iterable(map(command_lines, PAGES)))))
def test_every_command_parses(line):
    """Only what click itself judges: no command is run."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="standfast")
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=context, **command.context_settings)
    command.parse_args(context, words)


def test_pages_are_short():
    assert {page.name for page in PAGES if len(page.read_text(encoding="utf-8").splitlines()) > MOST_LINES} == set()


def test_every_dependency_is_explained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert {name for name in (re.split(r"[><=]", one)[0] for one in wanted) if f"`{name}`" not in text} == set()


# ---------------------------------------------------------------- the proof


def test_the_proof_names_every_planted_bug_and_no_other():
    flat = " ".join(PROTOCOL.split())
    assert set(re.findall(r'[Ss]abotage "([^"]+)"', flat)) == {
        sabotage.name for sabotage in (*SABOTAGES, *OF_COPIES, *OF_FENCING)
    }


def test_the_code_that_the_proof_names_is_there():
    """`quorum/lease.py` `Lease.acknowledged`, `Lease.begin_again`: the file, then what is in it."""
    flat = " ".join(PROTOCOL.split())
    named = re.findall(r"`((?:quorum|model|member|stores)/\w+\.py)`((?:,? `[A-Za-z_.]+`)+)", flat)
    assert len(named) > 10
    for file, symbols in named:
        tree = ast.parse((ROOT / "standfast" / file).read_text(encoding="utf-8"))
        for symbol in re.findall(r"`([A-Za-z_.]+)`", symbols):
            assert symbol in defined(tree), f"{file} {symbol}"


def defined(tree: ast.Module) -> set[str]:
    """Functions and `Class.method` of a module."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name for node in tree.body if isinstance(node, functions)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, functions)}
    return found
