"""The page in a real browser, on a real cluster, through an order and a takeover."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.api.pages import FILES
from standfast.tokens import Right
from tests.real.api.asking import Person, api_process, person
from tests.real.api.browser import Page, browsing
from tests.real.running import Running

COPIES = (Path(__file__).parent / "copies.js").read_text(encoding="utf-8")
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
CONNECTIONS = 6
"""That a browser opens to one server at most: a page that was left must hold none."""
DIALOG = "document.getElementById('dialog').open"


def runs_on(member: str) -> str:
    """That the page shows the queue manager running there."""
    row = "document.querySelector('.qm .where').textContent"
    return f"{row} === '{member}running'"


@contextlib.asynccontextmanager
async def page_for(cluster: Running, who: Person, directory: Path, member: str = "w") -> AsyncIterator[Page]:
    """Their page, after they logged in with the keyboard."""
    async with browsing(directory) as page:
        await page.screen(1280, 800)
        await page.go(who.url(member, "/"))
        await page.until("!document.getElementById('login').hidden && document.activeElement.id === 'token'")
        await page.do("Input.insertText", text=who.headers["Authorization"].removeprefix("Bearer "))
        await page.press("Enter")
        await page.until(f"document.querySelectorAll('.qm').length === 1 && {runs_on(await cluster.owner())}")
        yield page
        assert page.problems == []


@pytest.fixture
async def cluster(shared):
    await shared.lab.until_whole()
    yield shared
    await shared.audit()


async def test_the_page_shows_a_move_and_a_takeover_as_they_happen(cluster, operator, tmp_path):
    owner = await cluster.owner()
    to = cluster.other(owner)
    async with page_for(cluster, operator, tmp_path) as page:
        await page.run("document.querySelector('.qm button').focus()")
        await page.press("Enter")
        await page.until(f"{DIALOG} && !document.getElementById('dialog-yes').disabled")
        await page.press("Escape")
        await page.until(f"!{DIALOG} && document.activeElement === document.querySelector('.qm button')")
        assert await cluster.owner() == owner

        await page.press("Enter")
        await page.until(f"{DIALOG} && document.querySelectorAll('#dialog li').length > 1")
        await page.click("#dialog-yes")
        await page.until(runs_on(to))
        assert await cluster.owner() == to

        cluster.lab.nodes[to].kill()
        await page.until("document.getElementById('top').dataset.level !== 'OK'")
        await page.until("document.querySelectorAll('.edge.lost').length === 2")
        await page.until(runs_on(owner))
        await page.until(f"!!document.querySelector('.node.PROBLEM') && lease('{to}') === 0".replace("lease", LEASE))
        assert await page.run(f"{LEASE}('{owner}')") > 0
        assert await page.until("!!document.querySelector('#plot .noticed') && !!document.querySelector('#plot .took')")
        assert await page.until("document.querySelectorAll('#events .PROBLEM').length > 0")
        await cluster.back(to)
        await page.until(
            "document.getElementById('top').dataset.level === 'OK' && !document.querySelector('.edge.lost')"
        )


LEASE = """(name => Number([...document.querySelectorAll('.member')].find(
    row => row.querySelector('.name').textContent === name).querySelector('.lease').getAttribute('aria-valuenow')))"""


async def test_the_page_is_readable_by_all_asks_no_one_else_and_says_when_it_is_old(cluster, tmp_path):
    somebody = person(cluster, "carol", Right.VIEWER)
    async with page_for(cluster, somebody, tmp_path) as page:
        loaded = await page.run("performance.getEntriesByType('resource').map(one => one.name)")
        assert all(one.startswith(somebody.url("w", "/")) for one in loaded)
        assert {file.path for file in FILES} - {"/"} <= {one.removeprefix(somebody.url("w", "")) for one in loaded}
        policy = await page.run("fetch('/').then(answer => answer.headers.get('content-security-policy'))")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= {*policy.split("; ")}
        shown = "[...document.querySelectorAll('button.operator')].filter(one => one.checkVisibility()).length"
        assert await page.run(shown) == 0
        assert await page.run(COPIES) == {
            "resync": [True, "copies WARNING", False, 43],
            "good": [False, "copies", True, 0],
            "unknown": [False, "copies", True, 0],
        }
        for width, height, dark in ((1280, 800, False), (1280, 800, True), (360, 740, True), (360, 740, False)):
            await page.screen(width, height, dark=dark)
            assert await page.run(CONTRAST) == []
            assert await page.run("document.documentElement.scrollWidth") <= width

        for _ in range(CONNECTIONS):
            await page.go("about:blank")
            await page.go(somebody.url("w", "/"))
        await page.until("document.querySelectorAll('.qm').length === 1")

        pid = api_process(cluster, "w")
        assert pid is not None
        with cluster.stopped(pid):
            await page.until("!document.getElementById('stale').hidden")
            assert await page.run("document.querySelectorAll('#stale a').length") == 2
        await page.until("document.getElementById('stale').hidden")
