"""zsync beside s5cmd (and, with --rclone, rclone) on one tree and one server: whole processes, interleaved.

What is compared is in README.md beside this file. Ratios hold from machine to machine, seconds do not.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tools import Tool, arguments, place, show

if TYPE_CHECKING:
    from pathlib import Path


def flip(root: Path, share: float) -> int:
    """Flip a byte in some chunks, keeping size and modification time; return how many."""
    chunks = sorted((root / "t2m").glob("[0-9]*"))[:: round(1 / share)]
    for chunk in chunks:
        status, body = chunk.stat(), bytearray(chunk.read_bytes())
        body[0] ^= 1
        chunk.write_bytes(body)
        os.utime(chunk, ns=(status.st_atime_ns, status.st_mtime_ns))
    return len(chunks)


def measure(root: Path, tools: list[Tool], rounds: int, environment: dict[str, str]) -> None:
    for number in range(rounds):
        for tool in tools[number % 2 :] + tools[: number % 2]:  # who goes first takes turns
            tool.run("first upload", f"{tool.name}-{number}", environment)
        time.sleep(2.1)  # files that changed just now are not remembered as hashed
        for work in ("warm up", "nothing changed", "nothing changed"):
            for tool in tools:
                tool.run(work, f"{tool.name}-{number}", environment)
        flip(root, 0.01)
        for tool in tools:
            tool.run("1 % changed, size and time kept", f"{tool.name}-{number}", environment)
        for path in root.rglob("*"):
            os.utime(path)
        for tool in tools:
            tool.run("all touched", f"{tool.name}-{number}", environment)


def main() -> None:
    options = arguments(__doc__)
    with place(options) as at:
        tree, there = str(at.tree), "s3://bench/TARGET"
        tools = [
            Tool("zsync", at.zsync("publish", "-q", tree, "--target", there)),
            Tool("s5cmd", at.s5cmd(f"{tree}/", f"{there}/tree.zarr/")),
        ]
        if options.rclone:
            tools.append(Tool("rclone", at.rclone(tree, f"{there}/tree.zarr")))
        measure(at.tree, tools, options.rounds, at.environment)
    show(tools, options)


if __name__ == "__main__":
    main()
