"""What the benchmarks share: tools that are run as processes, the tree, the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zsync.devserver import DevServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent


@dataclass
class Run:
    """One process: seconds on the clock, seconds of CPU, bytes of its largest resident set, requests if counted."""

    wall: float
    cpu: float
    memory: int = 0
    requests: int | None = None


def timed(command: list[str], environment: dict[str, str]) -> Run:
    """Run a command to its end."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}\n{said.read()[-2000:]}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@dataclass
class Tool:
    """A tool: its command line, in which TARGET stands for where it is to work."""

    name: str
    command: list[str]
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def run(self, work: str, target: str, environment: dict[str, str]) -> None:
        command = [part.replace("TARGET", target) for part in self.command]
        self.runs.setdefault(work, []).append(timed(command, environment))


def make_store(root: Path, objects: int, size: int, *, columns: int = 100, seed: int = 0) -> None:
    """Write a Zarr v2 store by hand: one array of `objects` chunks of `size` random bytes each."""
    rng = np.random.default_rng(seed)
    array = root / "t2m"
    array.mkdir(parents=True)
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
    first = next(iter(tools[0].runs))
    cpu = [statistics.median(run.cpu for run in tool.runs[first]) / objects * 1000 for tool in tools]
    costs = " | ".join(f"{value:.2f} ms" for value in cpu)
    lines.append(f"| client CPU an object, {first} | {costs} | {cpu[0] / cpu[1]:.2f} |")
    return lines


@dataclass
class Place:
    """Where a benchmark works: a directory of its own, the tree in it, a server with one bucket.

    Attributes
    ----------
    through
        The endpoint that the tools are given, if it is not the server's own.
    """

    scratch: Path
    server: DevServer
    through: str | None = None

    @property
    def endpoint_url(self) -> str:
        return self.through or self.server.endpoint_url

    @property
    def tree(self) -> Path:
        return self.scratch / "tree.zarr"

    @property
    def environment(self) -> dict[str, str]:
        there = {"AWS_ENDPOINT_URL": self.endpoint_url, "S3_ENDPOINT_URL": self.endpoint_url}
        return {**os.environ, **self.server.env(), **there, "ZSYNC_CACHE_DIR": str(self.scratch / "cache")}

    def zsync(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "zsync", *words]

    def run(self, command: list[str]) -> Run:
        return timed(command, self.environment)

    def listed(self, prefix: str) -> dict[str, str]:
        """Return MD5s of what is below a prefix, as its ETags tell them, by key; of records there are none."""
        from botocore.session import get_session

        client = get_session().create_client("s3", endpoint_url=self.server.endpoint_url, **self._reach)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix=prefix)
        objects = [found for page in pages for found in page.get("Contents", ())]
        return {
            found["Key"].removeprefix(prefix): found["ETag"].strip('"')
            for found in objects
            if ".zsync/" not in found["Key"]
        }

    @property
    def _reach(self) -> dict[str, str]:
        keys = {"aws_access_key_id": self.server.access_key, "aws_secret_access_key": self.server.secret_key}
        return {**keys, "region_name": self.server.region}

    def aws(self, *words: str) -> list[str]:
        return [str(BIN.parent / "aws/bin/aws"), "s3", "sync", "--only-show-errors", *words]

    def s5cmd(self, *words: str) -> list[str]:
        return [str(BIN / "s5cmd"), "--endpoint-url", self.endpoint_url, "--log", "error", "sync", *words]

    def rclone(self, *words: str, work: tuple[str, ...] = ("sync", "--checksum")) -> list[str]:
        remote = f":s3,provider=SeaweedFS,env_auth=true,endpoint='{self.endpoint_url}',region=us-east-1:bench"
        there = [word.replace("s3://bench", remote) for word in words]
        return [str(BIN / "rclone"), *work, "--transfers", "32", "--checkers", "32", *there]


@contextmanager
def empty_place() -> Iterator[Place]:
    """Start the server beside a tree that is still to be made."""
    scratch = Path(tempfile.mkdtemp(prefix="zsync-bench-"))
    try:
        with DevServer(fast=True, buckets=("bench",)) as server:
            yield Place(scratch, server)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def place(options: argparse.Namespace) -> Iterator[Place]:
    """Make the tree and start the server."""
    with empty_place() as at:
        make_store(at.tree, options.objects, options.size)
        yield at


def options_of(doc: str | None) -> argparse.ArgumentParser:
    """Return what reads the command line."""
    assert doc is not None
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=16_384, help="bytes an object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the runs as JSON")
    return parser


def title(options: argparse.Namespace) -> str:
    """Return what was measured, and on what."""
    objects = f"{options.objects:,} objects of {options.size:,} bytes, {options.rounds} rounds, median (min-max)"
    return f"{objects}\nPython {platform.python_version()}, {os.cpu_count()} cores"
