"""Makes docs/demo.svg, a real demonstration in its middle and at its end. Run it as `python docs/picture.py`."""

import asyncio
import contextlib
import io
import re
import tempfile
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from standfast.cli.live import view
from standfast.drill.acts import BY_NAME, DEMO
from standfast.drill.director import Director
from standfast.drill.on_lab import on_lab
from standfast.drill.result import DrillResult
from standfast.drill.table import result_table
from standfast.lab.lab import Lab
from standfast.lab.plan import plan

COLUMNS = 100
AFTER = "freeze-daemon"
"""The act after which the middle is taken."""
SETTLED_S = 0.7
LOOK_S = 0.05
SVG = Path(__file__).with_name("demo.svg")


async def seen_after(director: Director, name: str) -> RenderableType:
    """The live view, a moment after the act of that name has ended."""
    while director.act is not BY_NAME[name]:  # noqa: ASYNC110 - the director tells nobody
        await asyncio.sleep(LOOK_S)
    while director.act is not None:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)
    await asyncio.sleep(SETTLED_S)
    report = await director.stage.reach.report(first=[director.stage.witness()])
    step = f"{DEMO.index(name) + 1}/{len(DEMO)} {BY_NAME[name].title}"
    return view(director, "standfast demo", step, report)


async def demonstration(lab: Lab) -> tuple[RenderableType, DrillResult]:
    """The middle and the result."""
    lab.up()
    await lab.until_whole()
    director = on_lab(lab)
    looking = asyncio.create_task(seen_after(director, AFTER))
    result = await director.play([BY_NAME[name] for name in DEMO])
    return await looking, result


def main() -> None:
    """Play the demonstration and write the picture."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="standfast-picture-")))
        plan(directory, name="demo")
        lab = Lab(directory)
        stack.callback(lab.kill)
        middle, result = asyncio.run(demonstration(lab))
    with io.StringIO() as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text("$ make demo", "bold"))
        console.print(middle)
        console.print(Text("… and at the end:", "dim"))
        console.print(result_table(result))
        svg = console.export_svg(title="standfast")
    # Without fonts from the network: a picture must look the same where it may fetch nothing.
    svg = re.sub(r"@font-face\s*{.*?}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace(
        "font-family: Fira Code, monospace", "font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace"
    )
    SVG.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
