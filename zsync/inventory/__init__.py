"""What is there: Arrow tables of a source on a file system and of a target in a store."""

from zsync.inventory.asking import agreed_listing, as_they_are
from zsync.inventory.cache import DigestCache, cache_directory
from zsync.inventory.digest import digest_source
from zsync.inventory.local import Scan, is_unfinished_transfer, scan
from zsync.inventory.origin import Directory, Objects, Origin, Reader
from zsync.inventory.remote import Listing, list_target
from zsync.inventory.selection import Selection, idle_patterns
from zsync.inventory.spare import is_leftover

__all__ = [
    "DigestCache",
    "Directory",
    "Listing",
    "Objects",
    "Origin",
    "Reader",
    "Scan",
    "Selection",
    "agreed_listing",
    "as_they_are",
    "cache_directory",
    "digest_source",
    "idle_patterns",
    "is_leftover",
    "is_unfinished_transfer",
    "list_target",
    "scan",
]
