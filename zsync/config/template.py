"""The commented file of ``zsync config init``, made from the model, so that it cannot fall behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.config.model import Sections
from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

_PRODUCTS = {
    "pre_qf": {"path": "oco3_pre_qf.zarr", "kind": "zarr"},
    "post_qf": {"path": "oco3_post_qf.zarr", "kind": "zarr"},
    "cog": {"path": "cog", "kind": "cog", "to": "cog"},
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "storage": Storage,
    "publish": Publish,
    "pull": Pull,
    "team": Team,
    "watch": Watch,
}
_ENTRIES: dict[str, type[BaseModel]] = {"sites": Site, "notify": Notification}
_HEADER = """\
# zsync publishes what lies below `source` to object storage below `target`.
# Every option is here with its default; leave out what you do not change.
# `zsync config check FILE` checks this file, `zsync publish FILE --dry-run` shows what it would do.
"""


def template(
    source: str = "/data/oco3",
    target: str = "s3://my-bucket/products/oco3",
    products: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return a commented configuration with every option and its default.

    Parameters
    ----------
    source
        The source to write in it.
    target
        The target to write in it.
    products
        The products to write in it, by name; without them, an example.
    """
    given = {"source": source, "target": target, "products": dict(_PRODUCTS if products is None else products)}
    lines = [_HEADER]
    for name, field in Sections.model_fields.items():
        if field.exclude:
            continue
        lines.append(f"# {field.description}")
        if name == "products":
            lines += _product_lines(given["products"])
        elif name in _ENTRIES:
            lines += [*_entry_lines(_ENTRIES[name]), f"{name}: {_text(_default(Sections, name))}"]
        elif name in _SECTIONS:
            lines += [f"{name}:", *_section_lines(_SECTIONS[name])]
        else:
            lines.append(f"{name}: {_text(given.get(name, _default(Sections, name)))}")
        lines.append("")
    return "\n".join(lines)


def _product_lines(products: Any) -> Iterable[str]:
    lines = list(_entry_lines(Product))
    if not products:
        return [*lines, "products: {}"]
    return [*lines, "products:", *(f"  {_text(name)}: {_text(dict(value))}" for name, value in products.items())]


def _entry_lines(model: type[BaseModel]) -> Iterable[str]:
    return [f"#   {name}: {field.description}" for name, field in model.model_fields.items()]


def _section_lines(section: type[BaseModel]) -> Iterable[str]:
    for name, field in section.model_fields.items():
        yield f"  # {field.description}"
        yield f"  {name}: {_text(_default(section, name))}"


def _default(model: type[BaseModel], name: str) -> Any:
    return model.model_fields[name].get_default(call_default_factory=True)


def _text(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("...\n").strip()
