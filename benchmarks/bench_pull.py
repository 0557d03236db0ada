"""zsync pull beside s5cmd (and, with --rclone, rclone): one published tree, fetched by whole processes that take turns.

What is compared is in README.md beside this file. Ratios hold from machine to machine, seconds do not.
"""

from __future__ import annotations

import subprocess

from tools import Tool, arguments, place, show


def main() -> None:
    options = arguments(__doc__)
    with place(options) as at:
        published, here = "s3://bench/run/tree.zarr", str(at.scratch / "TARGET")
        publish = at.zsync("publish", "-q", str(at.tree), "--target", "s3://bench/run")
        subprocess.run(publish, env=at.environment, check=True)
        tools = [
            Tool("zsync", at.zsync("pull", "-q", published, here)),
            Tool("s5cmd", at.s5cmd(f"{published}/*", f"{here}/")),
        ]
        if options.rclone:
            tools.append(Tool("rclone", at.rclone(published, here)))
        for number in range(options.rounds):
            for work in ("first pull", "nothing changed"):
                for tool in tools[number % 2 :] + tools[: number % 2]:  # who goes first takes turns
                    tool.run(work, f"{tool.name}-{number}", at.environment)
    show(tools, options)


if __name__ == "__main__":
    main()
