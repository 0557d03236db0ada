"""What only the bytes tell: digests, and MD5s where there is nothing else to hold them against."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import PreconditionError, VerifyError
from zsync.keys import under
from zsync.transfer import Batches, Check, cut
from zsync.transfer.batch import Batch
from zsync.transfer.checking import check_batch
from zsync.verifying.difference import Difference, Wrong, difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.report.progress import Progress
    from zsync.transfer import Executor, Failure, Outcome
    from zsync.transfer.batch import Cut
    from zsync.verifying.asking import Found

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Read:
    """What came of reading.

    Attributes
    ----------
    digests
        What the bytes of each object came to.
    failures
        Those that are not what they should be, or could not be read.
    objects, bytes
        How much was read.
    """

    digests: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0


def checks_of(found: Found, keys: Sequence[str], *, is_md5: bool = False) -> list[Check]:
    """Return what is to be read of a product, and what it should come to.

    Parameters
    ----------
    keys
        Of what is there.
    is_md5
        The MD5 is wanted, whatever it is.
    """
    place, rows = found.target.place, found.on_record(keys)
    there = zip(*(found.there[name].to_pylist() for name in ("key", "size", "etag")), strict=True)
    seen = {key: (size, etag) for key, size, etag in there}
    tells = place.store.capabilities.etags_tell
    made = []
    for key in keys:
        size, etag = seen[key]
        row = rows.get(key)
        version = row["version"] if row is not None and found.is_past and found.keeps_versions else None
        digest = row["digest"] if row is not None and not is_md5 else None
        is_told = tells and not is_md5 and digest is None and _MD5.fullmatch(etag or "") is not None
        made.append(
            Check(found.name, key, under(place.base, key), size, etag, None if version == "null" else version,
                  etag if is_told else digest, is_md5=is_md5 or is_told)
        )  # fmt: skip
    return made


def read_all(found: Found, checks: Sequence[Check], executor: Executor, progress: Progress) -> Read:
    """Read objects, many at a time."""
    done = Read()
    cuts = list(cut(found.name, [check.size for check in checks], executor.tasks, len(checks), executor.largest))

    def make(part: Cut) -> Batch:
        return Batch(found.target.place.spec, tuple(checks[part.start : part.stop]))

    def take(outcome: Outcome) -> None:
        done.digests |= {receipt.key: receipt.digest for receipt in outcome.receipts}
        done.failures += outcome.failures
        done.objects += outcome.objects
        done.bytes += outcome.bytes
        progress.advance(outcome.objects, outcome.bytes)

    progress.begin("check", len(checks), sum(check.size for check in checks))
    try:
        if cuts:
            executor.run(check_batch, Batches(cuts, make), take)
    finally:
        progress.end()
    return done


def differences_of(read: Read) -> list[Difference]:
    """Return what reading came to that it should not have."""
    kinds: defaultdict[type, Wrong] = defaultdict(lambda: Wrong.UNREADABLE)
    kinds |= {VerifyError: Wrong.CONTENT, PreconditionError: Wrong.OVERWRITTEN}
    return [
        difference(item.product, item.key, kinds[type(item.error)], item.error.message, item.error.advice)
        for item in read.failures
    ]
