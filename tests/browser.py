"""JupyterLab as a user sees it: a server, and a headless Chromium that is told what to do by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PICTURES = Path(__file__).parents[1] / "build" / "screenshots"
_SIZE = "1100,1600"
_WAIT_S = 40.0
# Nothing asks: for a kernel, or whether news may be fetched; and what is out of sight is there all the same.
_SETTINGS: dict[str, dict[str, Any]] = {
    "docmanager-extension/plugin": {"autoStartDefaultKernel": True},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
# How well each text stands out from what is behind it: 21 is black on white, and below 4.5 it is hard to read.
_CONTRASTS = """
(selector => {
  const parsed = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = parsed(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > .9) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll(selector)].filter(e => e.offsetHeight && e.innerText.trim()).map(e => {
    const pair = [light(parsed(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
    return [(pair[0] + .05) / (pair[1] + .05), e.innerText.slice(0, 40)]; });
})"""


def missing() -> str | None:
    """Return what is not there, and how to get it."""
    if not any(map(shutil.which, BROWSERS)):
        return "there is no Chromium: apt-get install chromium"
    if importlib.util.find_spec("jupyterlab") is None:
        return "there is no JupyterLab: pip install jupyterlab"
    return None


class Page:
    """A page of the browser."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket, self._number = socket, 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something, and return what it says."""
        self._number += 1
        await self._socket.write_message(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(await self._socket.read_message() or "{}")).get("id") != self._number:
            assert answer, "the browser has ended"
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def js(self, expression: str) -> Any:
        """Return what JavaScript comes to."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until it is true, and return it."""
        end = time.monotonic() + _WAIT_S
        while not (value := await self.js(expression)):
            if time.monotonic() > end:
                await self.picture("failed")
                raise AssertionError(f"{PICTURES}/failed.png: never came true: {expression}")
            await asyncio.sleep(0.2)
        return value

    async def contrasts(self, selector: str) -> list[tuple[float, str]]:
        """Return how well each text that can be seen stands out, and how it begins."""
        return [(ratio, text) for ratio, text in await self.js(f"{_CONTRASTS}({json.dumps(selector)})")]

    async def picture(self, name: str) -> None:
        """Keep a picture of it, to be looked at."""
        shot = await self.call("Page.captureScreenshot", format="png")
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(scratch: Path) -> AsyncIterator[Page]:
    """Run a browser, with an empty page."""
    program = next(filter(None, map(shutil.which, BROWSERS)))
    command = [
        program, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-extensions", "--disable-background-networking", "--no-first-run", "--remote-debugging-port=0",
        f"--window-size={_SIZE}", f"--user-data-dir={scratch / 'chromium'}", "about:blank",
    ]  # fmt: skip
    async with _running(command, scratch / "chromium.log", r"DevTools listening on ws://(\S+?)/", os.environ) as at:
        answer = await AsyncHTTPClient().fetch(f"http://{at}/json/list")
        place = next(page["webSocketDebuggerUrl"] for page in json.loads(answer.body) if page["type"] == "page")
        socket = await websocket_connect(place, max_message_size=2**27)
        try:
            yield Page(socket)
        finally:
            socket.close()
            await socket.read_message()  # None, once it is closed


@asynccontextmanager
async def jupyterlab(root: Path, scratch: Path) -> AsyncIterator[str]:
    """Run JupyterLab on a directory, without anything that users may have set up, and yield its URL."""
    for plugin, said in _SETTINGS.items():
        file = scratch / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said))
    without = {"jupyter_lsp": False, "jupyter_server_terminals": False, "notebook_shim": False}
    (scratch / "config").mkdir()
    (scratch / "config" / "jupyter_server_config.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": without}})
    )
    own = {f"JUPYTER_{name}_DIR": str(scratch / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(scratch / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser", "--port=0",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.token=", "--ServerApp.password=", f"--ServerApp.root_dir={root}",
    ]  # fmt: skip
    async with _running(
        command, scratch / "lab.log", r"(http://127\.0\.0\.1:[1-9]\d*)/lab", {**os.environ, **own}
    ) as url:
        yield url


async def run(page: Page, url: str) -> None:
    """Open a notebook in a tab of its own, and run it from top to bottom, or to where it fails."""
    first = "[...jupyterapp.shell.widgets('main')][0]"
    await page.call("Page.navigate", url=url)
    await page.until(f"!!window.jupyterapp && {first}?.sessionContext?.session?.kernel?.status === 'idle'")
    await page.js("window.done = 0; jupyterapp.commands.execute('notebook:run-all-cells').finally(() => done = 1); 0")
    await page.until("done")


async def in_theme(page: Page, theme: str) -> None:
    """Have JupyterLab be light or dark."""
    name = f"JupyterLab {theme.title()}"
    await page.js(f"jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}}); 0")
    await page.until(f"document.body.dataset.jpThemeName === '{name}'")
    await asyncio.sleep(0.3)  # until its style sheet counts


@asynccontextmanager
async def _running(command: list[str], log: Path, ready: str, env: Any) -> AsyncIterator[str]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=dict(env), stdout=file, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + _WAIT_S
        while not (found := re.search(ready, log.read_text(errors="replace"))):
            is_lost = process.poll() is not None or time.monotonic() > end
            assert not is_lost, log.read_text(errors="replace")[-2000:]
            await asyncio.sleep(0.1)
        yield found[1]
    finally:
        process.terminate()
        process.wait()
