"""What results look like in JupyterLab, in light and in dark; pictures of it stay in `build/screenshots`."""

from __future__ import annotations

import asyncio

import browser
import nbformat
import numpy as np
import pytest
import xarray as xr

READABLE = 4.5
CELLS = (
    'import zsync\n\nzsync.plan("out.zarr", "./there")',
    'zsync.publish("out.zarr", "./there")',
    'zsync.log("./there/out.zarr")',
    """import os
os.rename("out.zarr", "x")
os.rename("other.zarr", "out.zarr")
zsync.publish("out.zarr", "./there", on_incompatible="refuse")""",
)


@pytest.fixture
def root(tmp_path):
    """A directory with a store of many arrays, one that does not go with it, and a notebook that publishes both."""
    root = tmp_path / "work"
    root.mkdir()
    values = {f"variable_{number:02}": (("time", "x"), np.arange(40.0).reshape(8, 5)) for number in range(30)}
    for name, kind in (("out", "f8"), ("other", "f4")):
        xr.Dataset(values).astype(kind).to_zarr(root / f"{name}.zarr", zarr_format=2)
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "here.ipynb")
    return root


async def looked_at(root, scratch):
    seen = {}
    async with browser.jupyterlab(root, scratch) as lab, browser.browser(scratch) as page:
        await browser.run(page, f"{lab}/doc/tree/here.ipynb")
        cells = "[...document.querySelectorAll('.jp-CodeCell')]"
        seen["heights"] = await page.js(f"{cells}.map(cell => cell.querySelector('.jp-Cell-outputArea').offsetHeight)")
        seen["texts"] = await page.js(f"{cells}.map(cell => cell.querySelector('.jp-Cell-outputArea').innerText)")
        seen["bars"] = await page.js(
            f"{cells}.map(c => [...c.querySelectorAll('progress')].map(bar => bar.value / bar.max))"
        )
        seen["folded"] = await page.js(f"{cells}.map(c => [...c.querySelectorAll('details')].map(one => one.open))")
        for theme in ("light", "dark"):
            await browser.in_theme(page, theme)
            await page.picture(f"jupyterlab-{theme}")
            seen[theme] = await page.contrasts(
                ".zsync td, .zsync th, .zsync p, .zsync summary, .zsync li, progress ~ span"
            )
            await page.js("document.querySelectorAll('details').forEach(one => one.open = true)")
            await page.picture(f"jupyterlab-{theme}-open")
            seen[f"{theme} heights"] = await page.js(f"{cells}.map(cell => cell.offsetHeight)")
            await page.js("document.querySelectorAll('details').forEach(one => one.open = false)")
        await page.call("Page.navigate", url=(root / "report.html").as_uri())
        for theme in ("light", "dark"):
            media = [{"name": "prefers-color-scheme", "value": theme}]
            await page.call("Emulation.setEmulatedMedia", features=media)
            await page.picture(f"report-{theme}")
            seen[f"report {theme}"] = await page.contrasts("td, th, p, summary, li, h1, h2, code")
    return seen


def test_what_is_shown_is_small_complete_and_readable_in_light_and_dark(root, tmp_path, run_zsync):
    if (why := browser.missing()) is not None:
        pytest.skip(why)
    run_zsync("publish", root / "out.zarr", tmp_path / "reported", "--report", root / "report.html")
    seen = asyncio.run(asyncio.wait_for(looked_at(root, tmp_path), 120))
    assert [len(bars) for bars in seen["bars"]] == [1, 1, 0, 1]  # one line a run
    assert {value for bars in seen["bars"] for value in bars} == {1.0}  # and each is complete
    for number, said in ((0, "93 to send"), (0, "30 arrays: new"), (1, "93 objects"), (1, "Published")):
        assert said in seen["texts"][number]
    assert [len(folds) for folds in seen["folded"]] == [3, 3, 0, 0]
    assert not any(is_open for folds in seen["folded"] for is_open in folds)
    failed = seen["texts"][3].splitlines()
    assert any("GuardError: 30 incompatible changes" in line for line in failed), failed
    assert len(failed) < 15, failed
    assert not any("site-packages" in line or "/zsync/" in line for line in failed)
    assert max(seen["heights"]) < 300, seen["heights"]
    assert max(seen["light heights"]) < 1500  # all unfolded: tables scroll
    for where in ("light", "dark", "report light", "report dark"):
        assert len(seen[where]) > 10
        assert min(seen[where])[0] > READABLE, (where, min(seen[where]))
