"""Objects in, objects out, conditional writes: one seam, three transports.

Why it is so
------------

- Retrying is one layer over all transports (`storage/retrying`), with the transports' own retries off: only there can
  throttling be seen and paced. `storage/pacing` has one window of requests in flight a bucket: halved when the
  service says 503 SlowDown or 429, grown by one a window of successes. Throttled requests wait up to two minutes;
  other retries draw on a budget that successes refill. Streams and conditional writes pass through it; their callers
  alone know whether a second try is the same write.
- Secrets live in a vault in the process (`storage/spec`). What travels in task graphs is a `StoreSpec`, which names
  the place.
- Listings are obstore's, which reads whatever is no listing as an empty page. Where its answer may hide one (it is
  empty, or full to the last page) it is asked once more by a strict lister, and only that is believed. What a
  manifest names and a listing lacks is asked for by its key.
- Whether ETags tell of bytes is learned (`storage.Habits`): the first answer that is no MD5 is looked into by reading
  the object back. Where they do not (a key of KMS), the answers themselves are kept, batch by batch. A receipt says
  which ETag belongs to which bytes; that the object still has it only a listing tells, so a receipt that is lost,
  torn or old costs a transfer and never a belief. What a `kill -9` forgets is what was on its way: a batch a worker.
- A place is asked, not tried (`storage/writable`), so that a dry run can tell of it.
- obstore's threads do not survive a fork, so fsspec moves the bytes in a forked child.
"""

from zsync.storage.base import (
    PAGE,
    PARTS_MAX,
    PIECE,
    Answer,
    Capabilities,
    Fetched,
    Habits,
    Headers,
    ObjectStore,
    Over,
    Page,
    Seen,
    Stored,
    is_absent,
    sizes_of,
)
from zsync.storage.described import Described, Version, described, list_versions, tags_of
from zsync.storage.header_rules import HeaderRules
from zsync.storage.opening import connect, connected_once, pace_of, s3fs_options
from zsync.storage.pacing import Pace
from zsync.storage.retrying import RetryPolicy, retry
from zsync.storage.spec import StoreSpec, spec_for
from zsync.storage.uploads import Upload, abort_uploads, unfinished_uploads

__all__ = [
    "PAGE",
    "PARTS_MAX",
    "PIECE",
    "Answer",
    "Capabilities",
    "Described",
    "Fetched",
    "Habits",
    "HeaderRules",
    "Headers",
    "ObjectStore",
    "Over",
    "Pace",
    "Page",
    "RetryPolicy",
    "Seen",
    "StoreSpec",
    "Stored",
    "Upload",
    "Version",
    "abort_uploads",
    "connect",
    "connected_once",
    "described",
    "is_absent",
    "list_versions",
    "pace_of",
    "retry",
    "s3fs_options",
    "sizes_of",
    "spec_for",
    "tags_of",
    "unfinished_uploads",
]
