"""The version of this package and what it is installed by, apart from its face: what is below needs it too."""

from __future__ import annotations

__version__ = "0.1.0"
DISTRIBUTION = "zarr-publish"  # on the package index `zsync` is somebody else's


def install(extra: str) -> str:
    """Return what to type to have what an extra names.

    Examples
    --------
    >>> install("demo")
    "pip install 'zarr-publish[demo]'"
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"
