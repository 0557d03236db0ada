"""The story that `zsync demo` tells: publish, read back, publish again, and see what is sent each time, and why."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

import zsync
from zsync.demo import data
from zsync.demo.check import check
from zsync.demo.reader import Reader
from zsync.devserver import DevServer, until_told, wait
from zsync.errors import ConfigError, VerifyError
from zsync.report.format import human_bytes
from zsync.system import advice_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.steps.result import PublishResult

TARGET = "s3://zsync/products/demo"
_MONTHS = 26  # not a multiple of the chunks' length, so that the next month rewrites the last chunk of each row


def run(directory: str | Path | None = None, *, keep: bool = False, serve: bool = False) -> int:
    """Tell the whole story.

    Parameters
    ----------
    directory
        Where to put products and bucket: a directory that is empty or not there. Temporary if left out.
    keep
        Leave both there at the end.
    serve
        Go on serving the bucket until Ctrl-C.

    Returns
    -------
    int
        Exit status; anything that does not come out as it should raises.
    """
    console = Console(highlight=False, soft_wrap=True)
    begun = time.monotonic()
    with _workplace(directory, keep=keep) as place, DevServer(place / "bucket") as server:
        story = _Story(console, place / "products", server)
        console.print(f"An S3 server (SeaweedFS) at {server.endpoint_url}, up in {time.monotonic() - begun:.1f} s.")
        story.tell()
        console.print(f"\nAll of it took {time.monotonic() - begun:.0f} s.")
        story.say_where_to_look(is_kept=keep or serve)
        if serve:
            console.print("\nServing until Ctrl-C.")
            with until_told() as told:
                wait(server, told)
    return 0


@dataclass
class _Story:
    console: Console
    root: Path
    server: DevServer
    products: dict[str, dict[str, str]] | None = None

    @property
    def storage(self) -> dict[str, str]:
        return {
            "endpoint_url": self.server.endpoint_url,
            "region": self.server.region,
            "access_key_id": self.server.access_key,
            "secret_access_key": self.server.secret_key,
        }

    def tell(self) -> None:
        self._heading("Products, as a pipeline leaves them")
        begun = time.monotonic()
        self.root.mkdir(parents=True)
        self.products = data.make_products(self.root, _MONTHS)
        self._show_products(time.monotonic() - begun)

        self._heading("The first publish")
        self._publish(
            "published", why=f"To {TARGET}. Nothing is there yet: everything goes up, what makes a store visible last."
        )
        self._read_back()

        self._heading("The same again")
        self._publish("unchanged", why="Nothing changed: nothing is sent, and nothing but the listing is asked for.")

        self._heading("A new month, while somebody reads")
        data.append_month(self.root, _MONTHS)
        with Reader(self.root, TARGET, self.storage).reading() as seen:
            self._publish(
                "published",
                why="`time` grew: last chunks, the arrays' shapes, each store's consolidated metadata, and new COGs.",
            )
        self._show_what_was_seen(seen)
        self._read_back()

        self._heading("One value, same size, same modification time")
        store, variable, index, old, new = data.change_one_value(self.root)
        self.console.print(f"{store.name} {variable}{list(index)}: {old:.3f} is now {new:.3f}.")
        result = self._publish(
            "published",
            why="Tools that compare size and time would miss it. zsync compares content: one chunk goes up.",
        )
        sent = sum(product.sent for product in result.products)
        if sent != 1:
            raise VerifyError(f"one chunk changed, but {sent} objects were sent", TARGET)
        self._read_back()

    def say_where_to_look(self, *, is_kept: bool) -> None:
        if is_kept:
            exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.server.env().items())
            self.console.print(f"\nProducts: {self.root}\nBucket's data: {self.server.directory}")
            self.console.print(f"Serve it again with: zsync dev-server --directory {self.server.directory}")
            self.console.print(f"While it is served: env {exports} s5cmd ls '{TARGET}/*'")
        self.console.print(
            "\nFor a bucket of your own, write this to zsync.yaml. `zsync plan zsync.yaml` writes nothing and says what"
            " would be done, `zsync publish zsync.yaml` does it."
            " Credentials come from the usual AWS variables and profiles.\n\n"
            "source: /data/oco3\n"
            "target: s3://my-bucket/products/oco3\n"
            "products:\n"
            "  post_qf: {path: oco3_post_qf.zarr, kind: zarr}\n"
            "  cog: {path: cog, kind: cog, to: cog}\n"
            "storage: {region: us-west-2}"
        )

    def _publish(self, expected: str, *, why: str) -> PublishResult:
        self.console.print(why)
        result = zsync.publish(
            {"source": str(self.root), "target": TARGET, "products": self.products, "storage": self.storage},
            progress=False,
        )
        if result.status != expected:
            raise VerifyError(f"the publish came out as {result.status!r}, not {expected!r}", TARGET)
        self.console.print(_products_table(result))
        for line in _sent_by_stage(result):
            self.console.print(f"  {line}")
        for finding in result.findings:
            self.console.print(f"  {finding.level}: {finding.product}: {finding.message}")
        self.console.print(f"{result.status} in {result.seconds:.2f} s, publication {result.publication}")
        return result

    def _read_back(self) -> None:
        begun = time.monotonic()
        compared = check(self.root, TARGET, self.storage)
        self.console.print(
            f"Read back through xarray and GDAL: {compared.values:,} values of {compared.variables} variables in"
            f" {compared.stores} stores and {compared.pixels:,} pixels of {compared.cogs} COGs"
            f" equal the source ({time.monotonic() - begun:.1f} s)."
        )

    def _show_what_was_seen(self, seen: Counter[int]) -> None:
        if set(seen) != {_MONTHS, _MONTHS + 1}:
            raise VerifyError(f"the reader did not see the store before and after: {dict(seen)}", TARGET)
        self.console.print(
            f"Of a reader's {seen.total()} reads of {data.POST_QF} before, during and after, {seen[_MONTHS]} found"
            f" {_MONTHS} months and {seen[_MONTHS + 1]} found {_MONTHS + 1}: every value right, nothing in between."
        )

    def _show_products(self, seconds: float) -> None:
        table = Table("product", "path", "files", "bytes", box=None, pad_edge=False)
        for name, product in (self.products or {}).items():
            sizes = [path.stat().st_size for path in (self.root / product["path"]).rglob("*") if path.is_file()]
            table.add_row(name, product["path"], f"{len(sizes):,}", human_bytes(sum(sizes)))
        self.console.print(table)
        self.console.print(
            f"From {_MONTHS} months of OSTIA sea-surface temperature and the E1 climate simulation ({seconds:.1f} s)."
        )

    def _heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]")


def _products_table(result: PublishResult) -> Table:
    table = Table("product", "sent", "unchanged", "retired", "bytes sent", box=None, pad_edge=False)
    for product in result.products:
        counts = (f"{count:,}" for count in (product.sent, product.unchanged, product.retired))
        table.add_row(product.name, *counts, human_bytes(product.bytes))
    return table


def _sent_by_stage(result: PublishResult) -> list[str]:
    """Return a line a stage, in the order of publishing: how many objects were sent, and why."""
    if result.plan is None:
        return []
    rows: list[dict[str, Any]] = result.plan.table.select(["stage", "action", "reason"]).to_pylist()
    count = Counter((row["stage"], row["reason"]) for row in rows if row["action"] == "send")
    lines = []
    for stage in ("data", "array", "group", "root"):
        said = [f"{number:,} {reason}" for (at, reason), number in count.items() if at == stage]
        lines += [f"{stage}: {', '.join(said)}"] if said else []
    return lines


@contextlib.contextmanager
def _workplace(directory: str | Path | None, *, keep: bool) -> Iterator[Path]:
    place = None if directory is None else Path(directory).absolute()
    try:
        if place is not None and place.exists() and any(place.iterdir()):
            raise ConfigError(
                "the directory for the demo is not empty", str(place), "name one that is, or is not there"
            )
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the data cannot be kept there ({error.strerror})", str(place), advice_on(error)) from error
    with contextlib.ExitStack() as stack:
        parent = None if place is None else str(place)
        if keep:
            yield place or Path(tempfile.mkdtemp(prefix="zsync-demo-"))
        else:
            yield Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zsync-demo-", dir=parent)))
