"""What is there: Arrow tables of a source on a file system and of a target in a store.

Why it is so
------------

- Directory markers (empty objects whose key ends in `/`) show in obstore's listings under a key that does not exist;
  empty objects that the source lacks are asked for before they count (`inventory/asking`).
- What is kept on this machine carries checksums, for Arrow trusts what it reads; a digest is kept only of a file that
  was old when its hashing began.
- Neighbours are known by their state, which a listing shows anyway: what is below them is dropped where the listing
  is made, so that no plan can touch it. Links are read through by a publish; whoever writes to a directory asks
  `inventory/links` first.
- What lies among data and is none is told in one place (`inventory/spare`): leftovers, unless they are nodes; secrets
  and repositories, unless an include pattern calls them by name. A team leaves both out on both sides.
- Damage is judged from the whole scan, not from what is selected: what is held back, or excluded, is there all the
  same.
"""

from zsync.inventory.asking import agreed_listing, as_they_are
from zsync.inventory.cache import DigestCache, cache_directory
from zsync.inventory.chain import bounds_among
from zsync.inventory.digest import digest_source
from zsync.inventory.lately import keep_seen, seen_lately
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
    "bounds_among",
    "cache_directory",
    "digest_source",
    "idle_patterns",
    "is_leftover",
    "is_unfinished_transfer",
    "keep_seen",
    "list_target",
    "scan",
    "seen_lately",
]
