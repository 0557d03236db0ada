"""zsync beside s5cmd, rclone and aws: publishing and pulling, near and far, trees of several shapes.

Whole processes that take turns; what each leaves in the bucket is compared with the tree, byte for byte by its MD5s.
Ratios hold from machine to machine, seconds do not. What is compared is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from latency import Far
from shapes import SHAPES, flip, flip_one, touch_all
from tools import Place, Run, empty_place

if TYPE_CHECKING:
    from collections.abc import Callable

TOOLS = ("zsync", "s5cmd", "rclone", "aws")
IN_PLACE = ("--rewrites", "inplace")  # as the others do it; what a flip costs beside that is told by `bench_flip`
FINDS_BY_TIME = ("s5cmd", "aws")  # compare size and time
BY_CONTENT = ("1 % changed", "one object changed")  # size and time are kept


@dataclass(frozen=True)
class Case:
    """What is timed, and how the tree changes before."""

    name: str
    pulls: bool = False
    before: Callable[[Path], object] = lambda _tree: None
    is_counted: bool = True


CASES = (
    Case("first publish"),
    Case("warm up", before=lambda _tree: time.sleep(2.1), is_counted=False),  # what changed just now is hashed again
    Case("nothing changed"),
    Case("1 % changed", before=lambda tree: flip(tree, 0.01)),
    Case("one object changed", before=flip_one),
    Case("all touched", before=touch_all),
    Case("pull", pulls=True),
    Case("pull, nothing changed", pulls=True),
)


def command(at: Place, products: tuple[str, ...], tool: str, prefix: str, *, pulls: bool) -> list[str]:
    tree, there, here = str(at.tree), f"s3://bench/{prefix}", str(pulled(at, prefix))
    if tool == "zsync" and pulls:
        return at.zsync("pull", "-q", f"{there}/tree.zarr", here)
    if tool == "zsync" and products:
        config = at.scratch / f"{prefix}.json"
        named = {name: {"path": name} for name in products}
        config.write_text(json.dumps({"source": tree, "target": f"{there}/tree.zarr", "products": named}))
        return at.zsync("publish", "-q", str(config), *IN_PLACE)
    if tool == "zsync":
        return at.zsync("publish", "-q", tree, "--target", there, *IN_PLACE)
    if tool == "s5cmd":
        return at.s5cmd(f"{there}/tree.zarr/*", f"{here}/") if pulls else at.s5cmd(f"{tree}/", f"{there}/tree.zarr/")
    one = at.rclone if tool == "rclone" else at.aws
    return one(f"{there}/tree.zarr", here) if pulls else one(tree, f"{there}/tree.zarr")


def pulled(at: Place, prefix: str) -> Path:
    return at.scratch / f"pulled-{prefix}"


def measure(
    at: Place, products: tuple[str, ...], tools: list[str], rounds: int, far: Far | None
) -> dict[str, dict[str, list[Run]]]:
    """Return what was measured, by case and tool."""
    at.through = None if far is None else far.endpoint_url
    where = "near" if far is None else "far"
    runs: dict[str, dict[str, list[Run]]] = {}
    for number in range(rounds):
        order = tools[number % len(tools) :] + tools[: number % len(tools)]  # who goes first takes turns
        for case in CASES:
            case.before(at.tree)
            for tool in order:
                prefix = f"{where}-{number}-{tool}"
                if far is not None:
                    far.counts()
                run = at.run(command(at, products, tool, prefix, pulls=case.pulls))
                run.requests = None if far is None else far.counts().requests
                if case.is_counted:
                    runs.setdefault(case.name, {}).setdefault(tool, []).append(run)
        for tool in tools:
            refuse_unless_same(at, f"{where}-{number}-{tool}", tool)
            shutil.rmtree(pulled(at, f"{where}-{number}-{tool}"))
    return runs


def refuse_unless_same(at: Place, prefix: str, tool: str) -> None:
    """End the benchmark if the bucket, or what was pulled, is not as the tree is."""
    wanted, here = sums(at.tree), sums(pulled(at, prefix))
    found = at.listed(f"{prefix}/tree.zarr/")
    if sorted(here.values()) != sorted(wanted.values()):
        raise SystemExit(f"{tool} did not pull what the tree holds")
    if found != wanted:
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise SystemExit(f"{tool} did not leave what the tree holds: {len(wrong)} objects, {wrong[:3]}")


def sums(tree: Path) -> dict[str, str]:
    """Return the MD5 of each file, by its path; zsync's records, where it pulled, are none."""
    files = ((path.relative_to(tree).as_posix(), path) for path in tree.rglob("*") if path.is_file())
    return {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in files if ".zsync/" not in name}


def table(runs: dict[str, dict[str, list[Run]]], tools: list[str]) -> list[str]:
    lines = [f"| work | {' | '.join(f'{tool}, s' for tool in tools)} | zsync to the best | requests of zsync |"]
    lines.append("|---|" + "---|" * (len(tools) + 2))
    for name, walls in runs.items():
        medians = {tool: statistics.median(run.wall for run in walls[tool]) for tool in tools}
        cells = []
        for tool in tools:
            of = sorted(run.wall for run in walls[tool])
            told = ", nothing found" if tool in FINDS_BY_TIME and name in BY_CONTENT else ""
            cells.append(f"{medians[tool]:.2f} ({of[0]:.2f}-{of[-1]:.2f}){told}")
        best = min((wall for tool, wall in medians.items() if tool != "zsync"), default=medians["zsync"])
        requests = walls["zsync"][-1].requests
        lines.append(f"| {name} | {' | '.join(cells)} | {medians['zsync'] / best:.2f} | {requests or ''} |")
    first = next(iter(runs))
    costs = [f"{statistics.median(run.cpu for run in runs[first][tool]):.2f}" for tool in tools]
    lines.append(f"| client CPU, {first} | {' | '.join(costs)} | | |")
    memory = [f"{max(run.memory for run in runs[first][tool]) / 2**20:.0f} MiB" for tool in tools]
    lines.append(f"| memory, {first} | {' | '.join(memory)} | | |")
    return lines


def draw(results: dict[str, dict[str, dict[str, list[Run]]]], tools: list[str], path: Path) -> None:
    """Draw the time of each tool in that of zsync, for every case."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(results), figsize=(9, 2.6 * len(results)), layout="constrained", squeeze=False)
    for axis, (title, runs) in zip(axes[:, 0], results.items(), strict=True):
        width = 0.8 / len(tools)
        for number, tool in enumerate(tools):
            heights = [
                statistics.median(run.wall for run in walls[tool])
                / statistics.median(run.wall for run in walls["zsync"])
                for walls in runs.values()
            ]
            places = [place + number * width for place in range(len(runs))]
            axis.bar(places, heights, width, label=tool)
        axis.axhline(1, color="0.5", linewidth=0.8)
        axis.set(title=title, ylabel="time, zsync = 1", yscale="log")
        axis.set_xticks([place + 0.4 - width / 2 for place in range(len(runs))], list(runs), fontsize=7)
    axes[0, 0].legend(ncols=len(tools), fontsize=7)
    figure.savefig(path, dpi=110)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["small", "large", "mission"])
    parser.add_argument("--rtt", type=float, nargs="+", default=[0, 50], help="round-trip times in ms; 0 is near")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=["zsync", "s5cmd", "rclone"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where figures go")
    parser.add_argument("--name", default="transfers", help="what the files are called")
    return parser.parse_args()


def main() -> None:
    given = options()
    tools = ["zsync", *(tool for tool in given.tools if tool != "zsync")]
    results: dict[str, dict[str, dict[str, list[Run]]]] = {}
    said = [f"Python {platform.python_version()}, {os.cpu_count()} cores, {given.rounds} rounds, median (min-max)"]
    for name in given.shapes:
        shape = SHAPES[name]
        with empty_place() as at:
            shape.make(at.tree)
            port = urlsplit(at.server.endpoint_url).port
            assert port is not None
            for rtt in given.rtt:
                title = f"{shape.text}, {f'{rtt:g} ms' if rtt else 'near'}"
                if rtt:
                    with Far(port, rtt) as far:
                        results[title] = measure(at, shape.products, tools, given.rounds, far)
                else:
                    results[title] = measure(at, shape.products, tools, given.rounds, None)
                said += ["", f"### {title}", "", *table(results[title], tools)]
                print("\n".join(said[-len(results[title]) - 7 :]), flush=True)
    given.results.mkdir(parents=True, exist_ok=True)
    said.append(f"\nload {os.getloadavg()[0]:.1f} at the end\n")
    (given.results / f"{given.name}.md").write_text("\n".join(said))
    (given.results / f"{given.name}.json").write_text(json.dumps(results, default=vars, indent=1))
    draw(results, tools, given.results / f"{given.name}.png")


if __name__ == "__main__":
    main()
