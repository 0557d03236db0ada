"""What the user asked for: `RunConfig`, and the readers of the dialects that it may be written in."""

from zsync.config.hpc import find
from zsync.config.location import Location
from zsync.config.model import Product, Publish, RunConfig, Storage, seconds
from zsync.config.resolve import ResolvedProduct
from zsync.config.show import to_native, to_yaml
from zsync.config.template import template

__all__ = [
    "Location",
    "Product",
    "Publish",
    "ResolvedProduct",
    "RunConfig",
    "Storage",
    "find",
    "seconds",
    "template",
    "to_native",
    "to_yaml",
]
