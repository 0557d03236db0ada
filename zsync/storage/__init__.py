"""Objects in, objects out, conditional writes: one seam, two transports."""

from zsync.storage.base import PARTS_MAX, Capabilities, Fetched, Headers, ObjectStore, Page, Stored
from zsync.storage.retrying import RetryPolicy, retry
from zsync.storage.spec import StoreSpec, connect, s3fs_options, spec_for

__all__ = [
    "PARTS_MAX",
    "Capabilities",
    "Fetched",
    "Headers",
    "ObjectStore",
    "Page",
    "RetryPolicy",
    "StoreSpec",
    "Stored",
    "connect",
    "retry",
    "s3fs_options",
    "spec_for",
]
