"""A real browser: Debian's chromium, driven over its DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

START_S = 20.0
ANSWER_S = 20.0
MAX_MESSAGE = 64 * 1024 * 1024
LOOK_EVERY_S = 0.05


class Page:
    """One tab. `problems` collects what its console and its loader complain of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._session = ""
        self.problems: list[str] = []
        self.loaded: dict[str, int] = {}
        """Bytes on the wire by request."""

    async def open(self) -> None:
        target = await self.do("Target.createTarget", url="about:blank")
        attached = await self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.do(f"{domain}.enable")

    async def do(self, method: str, **values: Any) -> Any:
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": values, **session}))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._waiting[number]
        finally:
            del self._waiting[number]

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                waiting = self._waiting.get(said["id"])
                if waiting and not waiting.done():
                    if "error" in said:
                        waiting.set_exception(AssertionError(said["error"]))
                    else:
                        waiting.set_result(said["result"])
            else:
                self._note(said["method"], said["params"])

    def _note(self, method: str, values: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.problems.append(str(values["exceptionDetails"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.problems.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")
        elif method == "Network.loadingFinished":
            self.loaded[values["requestId"]] = values["encodedDataLength"]

    async def run(self, expression: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise."""
        got = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    async def go(self, url: str) -> None:
        await self.do("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({url!r}) && document.readyState === 'complete'")

    async def until(self, expression: str, within_s: float = 20.0) -> Any:
        """Look until an expression is true; its value."""
        try:
            async with asyncio.timeout(within_s):
                while not (value := await self.run(expression)):  # noqa: ASYNC110 - the page tells nobody
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise AssertionError(f"never: {expression}\n{self.problems}\n{shown}") from None
        return value

    async def click(self, selector: str) -> None:
        await self.until(f"!!document.querySelector({selector!r}) && !document.querySelector({selector!r}).disabled")
        await self.run(f"document.querySelector({selector!r}).click()")

    async def press(self, key: str) -> None:
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            await self.do(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **more
            )

    async def screen(self, width: int, height: int, *, scale: float = 1, dark: bool = False) -> None:
        phone = width < 500
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.do("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, file: Path, *, whole: bool = False) -> None:
        got = await self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(got["data"]))


@contextlib.asynccontextmanager
async def browsing(directory: Path) -> AsyncIterator[Page]:
    """A browser of its own with one tab; it takes every certificate, for it knows no authority of a lab."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: apt-get install chromium"
    process = await asyncio.create_subprocess_exec(
        *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--ignore-certificate-errors", "--remote-debugging-port=0", f"--user-data-dir={directory}", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "about:blank"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(START_S):
            while not (told := _port(directory)):
                assert process.returncode is None, "chromium ended"
                await asyncio.sleep(LOOK_EVERY_S)
        url = f"ws://127.0.0.1:{told[0]}{told[1]}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=MAX_MESSAGE) as socket:
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            await page.open()
            yield page
            listening.cancel()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it has many processes
        await process.wait()


def _port(directory: Path) -> list[str]:
    """Port and path that it writes down once it listens; nothing before."""
    with contextlib.suppress(FileNotFoundError):
        lines = (directory / "DevToolsActivePort").read_text(encoding="ascii").splitlines()
        return lines if len(lines) > 1 else []
    return []
