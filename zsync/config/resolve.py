"""From the configuration to products with their places, and the checks that no two of those get in each other's way.

Paths are compared as they are written; nothing is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING

from zsync.config.location import CONTROL, Location, absolute, anchored
from zsync.config.problems import report, unknown_key
from zsync.config.sections import Product
from zsync.errors import ConfigError
from zsync.words import STATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.config.model import Sections


@dataclass(frozen=True, slots=True)
class ResolvedProduct:
    """A product with its places.

    Parameters
    ----------
    name
        What it is called.
    root
        The local directory, absolute.
    kind
        ``zarr``, ``cog``, ``files``, or None where that is still to be seen.
    location
        The target.
    include, exclude
        Patterns of keys.
    has_own_patterns
        Some of them are of this product alone.
    """

    name: str
    root: str
    kind: str | None
    location: Location
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    has_own_patterns: bool = field(default=False, compare=False)


def resolved(config: Sections) -> tuple[ResolvedProduct, ...]:
    """Return the products of a configuration; see `RunConfig.resolve`."""
    if config.nothing_to_do is not None:
        return ()
    products = [_product(name, product, config) for name, product in _products(config).items()]
    for product in products:
        _check_state_area(product)
    for first, second in permutations(products, 2):
        _check_targets(first, second)
    for product in products:
        _check_sources(product, products)
    check_only(config.only, [product.name for product in products])
    return tuple(product for product in products if not config.only or product.name in config.only)


def _products(config: Sections) -> dict[str, Product]:
    if config.products:
        return config.products
    if config.source is None and config.sites:
        raise ConfigError("the configuration has sites, each with a target of its own", None, "use `zsync watch`")
    if config.source is None:
        raise ConfigError("nothing to publish: there is no source and there are no products", None, "give `source`")
    root = _absolute(config.source)
    last = root.rpartition("/")[2]
    # Not validated: the name of a directory may be what a `to` may not, and is looked at with those of other products.
    implied = Product.model_construct(path=root, to=_implied_to(last, config.target))
    return {last.removesuffix(".zarr") or last: implied}


def _implied_to(last: str, target: str | None) -> str:
    """Return where the source itself goes: below the target, unless the target is named like it already."""
    if target is not None and Location.parse(target).name == last:
        return target
    return last


def _product(name: str, product: Product, config: Sections) -> ResolvedProduct:
    root = _root(name, product, config)
    return ResolvedProduct(
        name=name,
        root=root,
        kind=product.kind,
        location=_location(name, product.to or root.rpartition("/")[2], config.target),
        include=tuple(product.include or config.publish.include),
        exclude=tuple(dict.fromkeys([*config.publish.exclude, *product.exclude])),
        has_own_patterns=bool(product.include or product.exclude),
    )


def _root(name: str, product: Product, config: Sections) -> str:
    if config.source is None and not product.path.startswith("/"):
        raise ConfigError(f"the path of product {name} is relative", product.path, "give `source`, or an absolute path")
    return _absolute(anchored(product.path, config.source or "/"))


def _absolute(path: str) -> str:
    root = absolute(path)
    if root == "/":
        raise ConfigError("the root of the file system is no product", root, "name a directory in it")
    return root


def _location(name: str, to: str, target: str | None) -> Location:
    if CONTROL.search(to):
        raise ConfigError(f"a control character ends up in the target of product {name!r}", None, "give it a `to`")
    if "://" in to:
        return Location.parse(to)
    if target is None:
        raise ConfigError(
            f"target is missing: product {name} has nowhere to go", None, "give `target`: s3://bucket/prefix"
        )
    place = Location.parse(target)
    if place.scheme in {"http", "https"}:
        bucket, _, path = place.path.partition("/")
        raise ConfigError(
            "what is published goes to an object store, not to a web address",
            target,
            f"write s3://{bucket or 'bucket'}/{path or 'prefix'}, and its service as"
            f" `endpoint_url`: {place.scheme}://{place.bucket}",
        )
    return place.child(to)


def _check_state_area(product: ResolvedProduct) -> None:
    place = f"product {product.name}: {product.location}"
    if not product.location.path and product.location.scheme == "file":
        raise ConfigError("a product cannot be the root of the file system", place, "name a directory in it")
    if STATE in product.location.path.split("/"):
        raise ConfigError(f"the target lies in a {STATE} area, where zsync keeps its state", place, "choose another")


def _check_targets(first: ResolvedProduct, second: ResolvedProduct) -> None:
    if first.location == second.location:
        raise ConfigError(
            f"products {first.name} and {second.name} have one target",
            first.location.url,
            "give one of them another `to`",
        )
    if first.location.contains(second.location):
        raise ConfigError(
            f"the target of product {second.name} lies inside that of product {first.name}",
            second.location.url,
            "give one of them another `to`",
        )


def _check_sources(product: ResolvedProduct, products: Sequence[ResolvedProduct]) -> None:
    """Check that no product is published into what is read, nor over it."""
    if product.location.scheme != "file":
        return
    for other in products:
        source = Location("file", "", other.root.strip("/"))
        if source.contains(product.location):
            raise ConfigError(
                f"the target of product {product.name} lies inside the source of product {other.name}",
                product.location.url,
                "publish to another directory",
            )
        if product.location.contains(source):
            raise ConfigError(
                f"the source of product {other.name} lies inside the target of product {product.name}",
                other.root,
                "publish to another directory",
            )


def check_only(only: Sequence[str], names: Sequence[str]) -> None:
    """Raise if a product is asked for that there is not."""
    problems = [unknown_key(name, names, what="product") for name in only if name not in names]
    if problems:
        raise report(problems, lambda _: "only")
