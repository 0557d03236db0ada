"""Peak memory of zsync: whole processes over trees of tiny objects, and how many bytes each object more takes.

What is measured is in README.md beside this file. Bytes an object hold from machine to machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from shapes import flip
from tools import Place, make_store

from zsync.devserver import DevServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = ("first publish", "nothing changed", "1 % changed", "pull")


def peak(command: list[str], environment: dict[str, str]) -> int:
    """Run a process, and return its largest resident set, in bytes."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}\n{said.decode()[-2000:]}")
    return usage.ru_maxrss * 1024


def measured(at: Place, target: str) -> Iterator[tuple[str, int]]:
    """Yield the case and the peak of each run over one tree."""
    publish = at.zsync("publish", "-q", str(at.tree), "--target", target)
    yield "first publish", peak(publish, at.environment)
    time.sleep(2.1)  # files that changed just now are not remembered as hashed
    peak(publish, at.environment)
    yield "nothing changed", peak(publish, at.environment)
    flip(at.tree, 0.01)
    yield "1 % changed", peak(publish, at.environment)
    pull = at.zsync("pull", "-q", f"{target}/tree.zarr", str(at.scratch / "pulled"))
    yield "pull", peak(pull, at.environment)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--objects",
        type=int,
        nargs="+",
        default=[1_000, 50_000, 200_000],
        help="the first is what others are compared with",
    )
    parser.add_argument("--size", type=int, default=8, help="bytes an object")
    parser.add_argument("--target", choices=["s3", "file"], default="s3")
    parser.add_argument("--out", type=Path, help="write the peaks as JSON")
    options = parser.parse_args()
    found: dict[int, dict[str, int]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(DevServer(fast=True, buckets=("bench",)))
        for objects in options.objects:
            scratch = Path(tempfile.mkdtemp(prefix="zsync-bench-"))
            try:
                make_store(scratch / "tree.zarr", objects, options.size)
                target = f"s3://bench/{objects}" if options.target == "s3" else f"file://{scratch}/target"
                found[objects] = {}
                for case, most in measured(Place(scratch, server), target):
                    print(f"{objects:,}: {case}: {most / 1e6:.0f} MB", file=sys.stderr, flush=True)
                    found[objects][case] = most
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    show(found)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


def show(found: dict[int, dict[str, int]]) -> None:
    """Print the peaks, and how much more each object takes than in the smallest tree."""
    least, *more = found
    head = [f"{count:,}: MB | bytes an object" for count in more]
    print(f"| work | {least:,}: MB | {' | '.join(head)} |\n|---|{'---|' * (2 * len(more) + 1)}")
    for case in CASES:
        cells = [f"{found[least][case] / 1e6:.0f}"]
        for count in more:
            extra = (found[count][case] - found[least][case]) / (count - least)
            cells += [f"{found[count][case] / 1e6:.0f}", f"{extra:,.0f}"]
        print(f"| {case} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
