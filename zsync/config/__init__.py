"""What the user asked for: `RunConfig`, and the readers of the dialects that it may be written in."""

from zsync.config.dialect import ConfigOrigin
from zsync.config.hpc import find
from zsync.config.location import Location
from zsync.config.proposal import proposed
from zsync.config.publishing import Publish, Storage
from zsync.config.read import in_section
from zsync.config.resolve import ResolvedProduct
from zsync.config.run_config import RunConfig
from zsync.config.sections import Product
from zsync.config.show import to_native, to_yaml
from zsync.config.template import template
from zsync.config.values import credential, endpoint, region, seconds

__all__ = [
    "ConfigOrigin",
    "Location",
    "Product",
    "Publish",
    "ResolvedProduct",
    "RunConfig",
    "Storage",
    "credential",
    "endpoint",
    "find",
    "in_section",
    "proposed",
    "region",
    "seconds",
    "template",
    "to_native",
    "to_yaml",
]
