"""zsync beside s5cmd (and, with --rclone, rclone) with a bucket that is far away: a proxy adds a round-trip time.

Requests and connections are counted. What is compared is in README.md beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench_publish import flip
from latency import Counts, Far
from tools import Place, Tool, make_store, options_of, place, title

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[[Place, str], list[str]]

THREE = ("one", "two", "three")


@dataclass
class Case:
    """What is timed: what each tool does, and how the source changes before.

    Attributes
    ----------
    commands
        By tool, given the place and the prefix in the bucket.
    before
        Changes the tree.
    counts
        Requests and connections of each run, by tool.
    """

    name: str
    commands: dict[str, Command]
    before: Callable[[Path], object] = lambda _tree: None
    counts: dict[str, list[Counts]] = field(default_factory=dict)


PUBLISH: dict[str, Command] = {
    "zsync": lambda at, prefix: at.zsync("publish", "-q", str(at.tree), "--target", f"s3://bench/{prefix}"),
    "s5cmd": lambda at, prefix: at.s5cmd(f"{at.tree}/", f"s3://bench/{prefix}/tree.zarr/"),
    "rclone": lambda at, prefix: at.rclone(str(at.tree), f"s3://bench/{prefix}/tree.zarr"),
}
PULL: dict[str, Command] = {
    "zsync": lambda at, prefix: at.zsync("pull", "-q", f"s3://bench/{prefix}/tree.zarr", str(pulled(at, "zsync"))),
    "s5cmd": lambda at, prefix: at.s5cmd(f"s3://bench/{prefix}/tree.zarr/*", f"{pulled(at, 's5cmd')}/"),
    "rclone": lambda at, prefix: at.rclone(f"s3://bench/{prefix}/tree.zarr", str(pulled(at, "rclone"))),
}


def pulled(at: Place, tool: str) -> Path:
    return at.scratch / f"pulled-{tool}"


def flip_one(tree: Path) -> None:
    """Flip a byte of one chunk, keeping size and modification time."""
    flip(tree, 1 / len(list((tree / "t2m").glob("[0-9]*"))))


def three_products(at: Place, prefix: str) -> list[str]:
    products = {name: {"path": f"{name}.zarr"} for name in THREE}
    config = at.scratch / "three.json"
    config.write_text(json.dumps({"source": str(at.scratch), "target": f"s3://bench/{prefix}", "products": products}))
    return at.zsync("publish", "-q", str(config))


def cases() -> list[Case]:
    def flip_three(tree: Path) -> None:
        for name in THREE:
            flip_one(tree.parent / f"{name}.zarr")

    three: dict[str, Command] = {"zsync": three_products}
    return [
        Case("first publish", PUBLISH),
        Case("warm up", PUBLISH, lambda _tree: time.sleep(2.1)),
        Case("nothing changed", PUBLISH),
        Case("1 % changed, size and time kept", PUBLISH, lambda tree: flip(tree, 0.01)),
        Case("one object changed, size and time kept", PUBLISH, flip_one),
        Case("pull", PULL),
        Case("warm up", three),
        Case("three products, one object each", three, flip_three),
    ]


def measure(at: Place, done: list[Case], prefix: str, far: Far, runs: dict[str, Tool], *, reverse: bool) -> None:
    """Run each case once, the tools one after the other."""
    at.through = far.endpoint_url
    for case in done:
        case.before(at.tree)
        for name in sorted(case.commands.keys() & runs.keys(), reverse=reverse):
            shutil.rmtree(pulled(at, name), ignore_errors=True)
            far.counts()
            tool = runs[name]
            tool.command = case.commands[name](at, f"{prefix}-{name}")
            tool.run(case.name, "", at.environment)
            case.counts.setdefault(name, []).append(far.counts())


def show(rtt: float, done: list[Case], runs: dict[str, Tool]) -> None:
    names = list(runs)
    print(f"\n### {rtt:g} ms\n\n| work | {' | '.join(f'{name}, s' for name in names)} | zsync to s5cmd | requests |")
    print("|---|" + "---|" * (len(names) + 2))
    for case in done:
        if case.name == "warm up":
            continue
        medians = {
            name: statistics.median(run.wall for run in runs[name].runs[case.name])
            for name in case.commands
            if name in runs
        }
        cells = []
        for name in names:
            walls = [run.wall for run in runs[name].runs.get(case.name, [])]
            cells.append(f"{medians[name]:.2f} ({min(walls):.2f}-{max(walls):.2f})" if walls else "")
        ratio = f"{medians['zsync'] / medians['s5cmd']:.2f}" if "s5cmd" in medians else ""
        counts = "; ".join(f"{name} {case.counts[name][-1].requests}" for name in medians)
        print(f"| {case.name} | {' | '.join(cells)} | {ratio} | {counts} |")


def main() -> None:
    parser = options_of(__doc__)
    parser.set_defaults(objects=2_000)
    parser.add_argument("--rtt", type=float, nargs="+", default=[20, 50, 150], help="round-trip times, milliseconds")
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, list[dict[str, float]]]]] = {}
    with place(options) as at:
        for name in THREE:
            make_store(at.scratch / f"{name}.zarr", 100, options.size)
        port = urlsplit(at.server.endpoint_url).port
        assert port is not None
        print(title(options))
        for rtt in options.rtt:
            done, runs = cases(), {name: Tool(name, []) for name in PUBLISH if name != "rclone" or options.rclone}
            with Far(port, rtt) as far:
                for number in range(options.rounds):
                    measure(at, done, f"{rtt:g}-{number}", far, runs, reverse=number % 2 == 0)
            show(rtt, done, runs)
            results[f"{rtt:g} ms"] = {
                name: {work: [vars(run) for run in walls] for work, walls in tool.runs.items()}
                for name, tool in runs.items()
            }
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
