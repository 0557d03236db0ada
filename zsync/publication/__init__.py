"""The commit protocol: leases, manifests, publications, heads.

One publisher, to the object
----------------------------

What replaces an object goes out with `If-Match` of the ETag that stock was taken of, what is new with `If-None-Match:
*`; uploads in parts have the condition at their end, deletions carry the ETag of each key. So a publisher that was
paused (a suspended machine, a stalled network) cannot overwrite what its successor wrote, whenever its requests
arrive. A 412 is a conflict, unless what is there is just what was sent: then the first answer was lost. What a
service does with conditions is learned while working (`storage.Habits`): *honoured*; *ignored* (then deletions are
looked at first, and a warning says what is lost); *refused* with 501 (then every write is looked at first). Before
each object a worker asks two clocks whether the lease still holds (`publication/clock`): one that goes on while the
machine sleeps, and the time of day, which a virtual machine that was stopped has again first. Whether *another's*
lease has run out is told by the clock of the service alone: by the age of the lease, compared with an object written
for that.

What is left: an ETag names a content, not a generation. A request that was on its way when its publisher was paused,
and that arrives after the successor has published, may still change an object that the successor left just as it was.

Why it is so
------------

- Manifest parts: an array, or a store's rest, of at least 512 objects has its own part; what is smaller shares one.
  Hundreds of small stores must not cost a request an array.
- Versioning is told from the version that the store gave the head; a bucket not known to keep versions gets a trash.
"""

from zsync.publication.conditional import heeds_conditions_of_copies, ignored_conditions
from zsync.publication.finding import Records, find, find_in_each, read_parts
from zsync.publication.holding import Leases
from zsync.publication.lease import LeaseState, break_lease, read_lease, refuse_if_held
from zsync.publication.manifest import ManifestLostError, Part
from zsync.publication.prune import Keeping, Pruned, is_due, prune, to_prune
from zsync.publication.record import (
    Head,
    Publication,
    PublishedProduct,
    Remarks,
    move_head,
    read_head,
    read_record,
    write_record,
)
from zsync.publication.state import StateKeys, new_publication_id, time_of
from zsync.publication.trials import Trials

__all__ = [
    "Head",
    "Keeping",
    "LeaseState",
    "Leases",
    "ManifestLostError",
    "Part",
    "Pruned",
    "Publication",
    "PublishedProduct",
    "Records",
    "Remarks",
    "StateKeys",
    "Trials",
    "break_lease",
    "find",
    "find_in_each",
    "heeds_conditions_of_copies",
    "ignored_conditions",
    "is_due",
    "move_head",
    "new_publication_id",
    "prune",
    "read_head",
    "read_lease",
    "read_parts",
    "read_record",
    "refuse_if_held",
    "time_of",
    "to_prune",
    "write_record",
]
