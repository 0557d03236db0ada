"""What a plan takes in requests, and at S3's list price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import column, scalar
from zsync.words import PART_SIZE, WHOLE_SIZE, Action, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# US dollars a request, S3 Standard, us-east-1 and us-west-2: https://aws.amazon.com/s3/pricing/ (2026-11).
# Deletes are free. Uploading is free; what is stored and read is not part of a publish.
PRICE_PUT = 0.005 / 1000  # PUT, COPY, POST, LIST
PRICE_GET = 0.0004 / 1000  # GET, HEAD and all other requests

# Requests a second that S3 takes at least below one prefix: "Best practices design patterns", Amazon S3 User Guide.
RATE_PUT, RATE_GET = 3500, 5500

_STATE_WRITES = 7  # lease taken, tried and given back, manifest part, publication, head
_STATE_READS = 9  # lease, head, and the lease again before each stage


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests, and their price in US dollars."""

    puts: int
    copies: int
    lists: int
    gets: int
    deletes: int

    @property
    def dollars(self) -> float:
        """The list price of the requests, in US dollars."""
        return (self.puts + self.copies + self.lists) * PRICE_PUT + self.gets * PRICE_GET

    @property
    def seconds(self) -> float:
        """How long the requests take at least, at the rate that S3 takes them at below one prefix, in seconds."""
        return (self.puts + self.copies) / RATE_PUT + self.gets / RATE_GET

    def to_dict(self) -> dict[str, Any]:
        """Return the cost as JSON."""
        return {
            "puts": self.puts,
            "copies": self.copies,
            "lists": self.lists,
            "gets": self.gets,
            "deletes": self.deletes,
            "dollars": round(self.dollars, 6),
            "seconds": round(self.seconds, 3),
        }


def cost_of(table: pa.Table, retire: Mapping[str, str], keeping: Sequence[str] = ()) -> Cost:
    """Return the cost of a plan.

    Parameters
    ----------
    table
        `zsync.tables.PLAN`.
    retire
        What happens to retired objects, by product.
    keeping
        Products of which what is replaced goes to the trash as well: it is looked at, and copied.
    """
    sent = table.filter(pc.equal(table["action"], scalar(str(Action.SEND))))
    retired = table.filter(pc.equal(table["action"], scalar(str(Action.RETIRE))))
    trashed = [name for name, mode in retire.items() if mode in ("trash", "keep")]
    not_lost = column([str(Reason.WITHDRAWN), str(Reason.FLIPPED)], pa.string())
    lost = retired.filter(pc.invert(pc.is_in(retired["reason"], not_lost)))
    kept = sent.filter(pc.and_(pc.is_valid(sent["etag"]), _is_of(sent, keeping)))
    rekeyed = _count(pc.equal(table["action"], scalar(str(Action.COPY))))
    flipped = retired.filter(pc.equal(retired["reason"], scalar(str(Reason.FLIPPED))))
    copies = _count(_is_of(lost, [*trashed, *keeping])) + _count(_is_of(flipped, keeping)) + len(kept) + rekeyed
    in_target = _count(pc.is_valid(table["etag"]))
    idle = not len(sent) and not len(retired) and not rekeyed
    return Cost(
        puts=_puts(sent) + (0 if idle else _STATE_WRITES * len(retire)),
        copies=copies,
        lists=in_target // 1000 + len(retire),
        gets=_STATE_READS * len(retire) + len(kept),
        deletes=-(-len(retired) // 1000),
    )


def _is_of(table: pa.Table, products: Sequence[str]) -> pa.ChunkedArray:
    return pc.is_in(table["product"], value_set=column(list(products), pa.string()))


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _puts(sent: pa.Table) -> int:
    """Count one request an object, or one a part and two around them."""
    large = sent.filter(pc.greater(sent["size"], scalar(WHOLE_SIZE, pa.int64())))
    parts = sum(-(-size // PART_SIZE) + 2 for size in large["size"].to_pylist())
    return int(len(sent) - len(large) + parts)
