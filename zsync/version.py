"""The version of this package, apart from its face: what is below needs it too."""

from __future__ import annotations

__version__ = "0.1.0"
