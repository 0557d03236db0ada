"""What comes of the cases that do not simply work: what is refused, and why that is right."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Pattern of cases: words of the refusal, and why it is right.
OWN_LENGTH = (
    "chunk shape was .* one way only to write the keys",
    (
        "an array of Zarr v2 and one dimension, kept in one chunk of its own length, changes its chunk shape when it "
        "grows: old chunks would be read with new metadata, and it has no other keys; write the store as Zarr v3, or "
        "with fixed chunk lengths, or publish with `on_incompatible: replace`"
    ),
)
REFUSED = {
    "anndata_*/*-v2-longer": OWN_LENGTH,
    "xarray_*/defaults-longer-v2": OWN_LENGTH,
    "zarr_2_13/nested": (
        "readers take it for missing",
        (
            "when it resizes an array, zarr-python 2.13 drops `dimension_separator` from `.zarray`: the chunks are "
            "there, and no reader finds them; write the separator back, or use zarr-python 2.18"
        ),
    ),
    "*/migrated": (
        "have no names",
        (
            "zarr-python's migration to format 3 takes `_ARRAY_DIMENSIONS` along as an attribute and writes no "
            "`dimension_names`: xarray takes the new documents and cannot open what it could; write the names, or set "
            "`damaged: allow`"
        ),
    ),
}
REPLACED = {OWN_LENGTH}


def refusal(key: str) -> tuple[str, str] | None:
    """Return words and reason of the refusal that a case meets; None if it is published."""
    return next((told for pattern, told in REFUSED.items() if fnmatchcase(key, pattern)), None)
