"""What it costs that readers see no mix: values of one store rewritten in place, and under other chunk keys (the flip).

Both are done by turns, on prefixes of their own, near and far. The proxy counts what goes up: a flip sends what changed
and the metadata, and has the service copy the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from latency import Far
from shapes import SHAPES, chunks_of, flip
from tools import Run, empty_place

HOW = {"in place": ("--rewrites", "inplace"), "flip": ("--rewrites", "flip", "--grace", "0")}
SHARES = (0.01, 0.25, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="few")
    parser.add_argument("--rtt", type=float, nargs="+", default=[0, 50], help="round-trip times in ms; 0 is near")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where figures go")
    given = parser.parse_args()
    shape, found, said = SHAPES[given.shape], {}, []
    with empty_place() as at:
        shape.make(at.tree)
        port, size = urlsplit(at.server.endpoint_url).port, sum(path.stat().st_size for path in chunks_of(at.tree))
        assert port is not None
        for rtt in given.rtt:
            title = f"{shape.text}, {f'{rtt:g} ms' if rtt else 'near'}"
            said += [f"### {title}", "", "| rewritten | in place, s | flip, s | ratio | requests | sent by the flip |"]
            said.append("|---|---|---|---|---|---|")
            with ExitStack() as until_then:
                far = until_then.enter_context(Far(port, rtt or 0.01))  # also near: it counts
                at.through = far.endpoint_url
                for how, words in HOW.items():
                    at.run(at.zsync("publish", "-q", str(at.tree), "--target", target(rtt, how), *words))
                for share in SHARES:
                    runs: dict[str, list[Run]] = {how: [] for how in HOW}
                    counts = dict.fromkeys(HOW, (0, 0))
                    for _ in range(given.rounds):
                        flip(at.tree, share)
                        for how, words in HOW.items():
                            far.counts()
                            runs[how].append(
                                at.run(at.zsync("publish", "-q", str(at.tree), "--target", target(rtt, how), *words))
                            )
                            seen = far.counts()
                            counts[how] = seen.requests, seen.up
                    found[f"{title}, {share:.0%}"] = {how: [vars(run) for run in runs[how]] for how in HOW}
                    said.append(row(share, runs, counts, size))
                    print(said[-1], flush=True)
            said.append("")
    said += [f"Python {platform.python_version()}, {os.cpu_count()} cores, {given.rounds} rounds, medians", ""]
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "flip.md").write_text("\n".join(said))
    (given.results / "flip.json").write_text(json.dumps(found, indent=1))


def target(rtt: float, how: str) -> str:
    return f"s3://bench/{rtt:g}-{how.replace(' ', '-')}/tree.zarr"


def row(share: float, runs: dict[str, list[Run]], counts: dict[str, tuple[int, int]], size: int) -> str:
    walls = {how: statistics.median(run.wall for run in found) for how, found in runs.items()}
    requests = " / ".join(f"{number:,}" for number, _ in counts.values())
    sent = f"{counts['flip'][1] / 2**20:.1f} of {size / 2**20:.1f} MiB"
    ratio = walls["flip"] / walls["in place"]
    return f"| {share:.0%} | {walls['in place']:.2f} | {walls['flip']:.2f} | {ratio:.1f} | {requests} | {sent} |"


if __name__ == "__main__":
    main()
