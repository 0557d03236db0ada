"""zsync verify beside rclone check, near and far away, and verify --deep beside a pull: processes that take turns.

What is compared is in README.md beside this file. Ratios hold from machine to machine, seconds do not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from urllib.parse import urlsplit

from latency import Far
from tools import Place, Tool, options_of, place, table, title

PUBLISHED = "s3://bench/run/tree.zarr"


def listing(at: Place, rounds: int) -> list[Tool]:
    """Is all there: zsync asks the bucket, rclone hashes the tree and asks the bucket."""
    tools = [
        Tool("zsync verify", at.zsync("verify", "-q", PUBLISHED)),
        Tool("rclone check", at.rclone(str(at.tree), PUBLISHED, work=("check",))),
    ]
    for number in range(rounds + 1):
        for tool in tools[number % 2 :] + tools[: number % 2]:  # who goes first takes turns
            tool.run("is all there" if number else "warm up", "", at.environment)
    return tools


def deep(at: Place, rounds: int) -> list[Tool]:
    """Read all bytes."""
    here = at.scratch / "pulled"
    tools = [
        Tool("zsync verify --deep", at.zsync("verify", "-q", "--deep", PUBLISHED)),
        Tool("zsync pull", at.zsync("pull", "-q", PUBLISHED, str(here))),
    ]
    for number in range(rounds):
        for tool in tools[number % 2 :] + tools[: number % 2]:
            shutil.rmtree(here, ignore_errors=True)
            shutil.rmtree(at.scratch / f".zsync/{here.name}", ignore_errors=True)
            tool.run("all bytes", "", at.environment)
    return tools


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--rtt", type=float, default=50, help="round-trip time of the far case, milliseconds")
    options = parser.parse_args()
    done: dict[str, list[Tool]] = {}
    with place(options) as at:
        publish = at.zsync("publish", "-q", str(at.tree), "--target", "s3://bench/run")
        subprocess.run(publish, env=at.environment, check=True)
        done["near"], done["bytes"] = listing(at, options.rounds), deep(at, options.rounds)
        port = urlsplit(at.server.endpoint_url).port
        assert port is not None
        with Far(port, options.rtt) as far:
            at.through = far.endpoint_url
            done[f"{options.rtt:g} ms"] = listing(at, options.rounds)
    print(f"{title(options)}, load {os.getloadavg()[0]:.1f} at the end")
    for name, tools in done.items():
        print(f"\n### {name}\n\n" + "\n".join(table(tools, options.objects)))
    if options.out:
        runs = {
            name: {
                tool.name: {work: [vars(run) for run in walls] for work, walls in tool.runs.items()} for tool in tools
            }
            for name, tools in done.items()
        }
        options.out.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
