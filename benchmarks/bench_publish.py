"""zsync beside s5cmd (and, with --rclone, rclone) on one tree and one server: whole processes, interleaved.

What is compared is in README.md beside this file. Ratios hold from machine to machine, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zsync.devserver import DevServer

BIN = Path(sys.executable).parent


@dataclass
class Run:
    """One process: seconds on the clock, seconds of CPU."""

    wall: float
    cpu: float


@dataclass
class Tool:
    """A publisher: its command line for a prefix."""

    name: str
    command: list[str]
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def run(self, work: str, target: str, environment: dict[str, str]) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        command = [part.replace("TARGET", target) for part in self.command]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.runs.setdefault(work, []).append(Run(wall, cpu))


def make_store(root: Path, objects: int, size: int) -> None:
    """Write a Zarr v2 store by hand: one array of `objects` chunks of `size` random bytes each."""
    rng = np.random.default_rng(0)
    array = root / "t2m"
    array.mkdir(parents=True)
    columns = 100
    zarray = {
        "zarr_format": 2, "shape": [objects // columns, columns * size], "chunks": [1, size], "dtype": "|u1",
        "order": "C", "fill_value": 0, "filters": None, "compressor": None, "dimension_separator": ".",
    }  # fmt: skip
    documents = {".zgroup": {"zarr_format": 2}, "t2m/.zarray": zarray, "t2m/.zattrs": {"_ARRAY_DIMENSIONS": ["y", "x"]}}
    for key, document in documents.items():
        (root / key).write_text(json.dumps(document))
    (root / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": documents}))
    for index in range(objects):
        (array / f"{index // columns}.{index % columns}").write_bytes(rng.bytes(size))


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


def table(tools: list[Tool], objects: int) -> list[str]:
    lines = ["| work | " + " | ".join(f"{tool.name}, s" for tool in tools) + " | first to second |"]
    lines.append("|---|" + "---|" * (len(tools) + 1))
    for work in tools[0].runs:
        if work == "warm up":
            continue
        medians = [statistics.median(run.wall for run in tool.runs[work]) for tool in tools]
        cells = []
        for median, tool in zip(medians, tools, strict=True):
            walls = [run.wall for run in tool.runs[work]]
            cells.append(f"{median:.2f} ({min(walls):.2f}-{max(walls):.2f})")
        lines.append(f"| {work} | {' | '.join(cells)} | {medians[0] / medians[1]:.2f} |")
    cpu = [statistics.median(run.cpu for run in tool.runs["first upload"]) / objects * 1000 for tool in tools]
    cells = " | ".join(f"{value:.2f} ms" for value in cpu)
    lines.append(f"| client CPU an object, first upload | {cells} | {cpu[0] / cpu[1]:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=16_384, help="bytes an object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rclone", action="store_true", help="run rclone sync --checksum too")
    parser.add_argument("--out", type=Path, help="write the runs as JSON")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="zsync-bench-"))
    root = scratch / "tree.zarr"
    make_store(root, options.objects, options.size)
    try:
        with DevServer(fast=True, buckets=("bench",)) as server:
            environment = {**os.environ, **server.env(), "ZSYNC_CACHE_DIR": str(scratch / "cache")}
            s5cmd = [str(BIN / "s5cmd"), "--endpoint-url", server.endpoint_url, "--log", "error", "sync"]
            tools = [
                Tool(
                    "zsync",
                    [sys.executable, "-m", "zsync", "publish", "-q", str(root), "--target", "s3://bench/TARGET"],
                ),
                Tool("s5cmd", [*s5cmd, f"{root}/", "s3://bench/TARGET/tree.zarr/"]),
            ]
            if options.rclone:
                remote = f":s3,provider=SeaweedFS,env_auth=true,endpoint='{server.endpoint_url}',region=us-east-1:bench"
                command = [str(BIN / "rclone"), "sync", "--checksum", "--transfers", "32", "--checkers", "32"]
                tools.append(Tool("rclone", [*command, str(root), f"{remote}/TARGET/tree.zarr"]))
            measure(root, tools, options.rounds, environment)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{options.objects:,} objects of {options.size:,} bytes, {options.rounds} rounds, median (min-max)")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print("\n".join(table(tools, options.objects)))
    if options.out:
        runs = {tool.name: {work: [vars(run) for run in done] for work, done in tool.runs.items()} for tool in tools}
        options.out.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
