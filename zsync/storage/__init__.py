"""Objects in, objects out, conditional writes: one seam, three transports."""

from zsync.storage.base import PARTS_MAX, Capabilities, Fetched, Headers, ObjectStore, Over, Page, Stored, is_absent
from zsync.storage.header_rules import HeaderRules
from zsync.storage.opening import connect, connected_once, pace_of, s3fs_options
from zsync.storage.pacing import Pace
from zsync.storage.retrying import RetryPolicy, retry
from zsync.storage.spec import StoreSpec, spec_for
from zsync.storage.uploads import Upload, abort_uploads, unfinished_uploads

__all__ = [
    "PARTS_MAX",
    "Capabilities",
    "Fetched",
    "HeaderRules",
    "Headers",
    "ObjectStore",
    "Over",
    "Pace",
    "Page",
    "RetryPolicy",
    "StoreSpec",
    "Stored",
    "Upload",
    "abort_uploads",
    "connect",
    "connected_once",
    "is_absent",
    "pace_of",
    "retry",
    "s3fs_options",
    "spec_for",
    "unfinished_uploads",
]
