"""The commit protocol: manifests, publications, heads."""

from zsync.publication.conditional import ignored_conditions
from zsync.publication.holding import Leases
from zsync.publication.lease import LeaseState, break_lease, read_lease, refuse_if_held
from zsync.publication.manifest import ManifestLostError, Part
from zsync.publication.prune import prune
from zsync.publication.record import Head, Publication, PublishedProduct, commit, read_head, read_parts
from zsync.publication.state import StateKeys, new_publication_id

__all__ = [
    "Head",
    "LeaseState",
    "Leases",
    "ManifestLostError",
    "Part",
    "Publication",
    "PublishedProduct",
    "StateKeys",
    "break_lease",
    "commit",
    "ignored_conditions",
    "new_publication_id",
    "prune",
    "read_head",
    "read_lease",
    "read_parts",
    "refuse_if_held",
]
