"""The commit protocol: manifests, publications, heads."""

from zsync.publication.manifest import ManifestLostError, Part
from zsync.publication.record import Head, Publication, PublishedProduct, commit, read_head, who
from zsync.publication.state import StateKeys, new_publication_id

__all__ = [
    "Head",
    "ManifestLostError",
    "Part",
    "Publication",
    "PublishedProduct",
    "StateKeys",
    "commit",
    "new_publication_id",
    "read_head",
    "who",
]
