"""What the user asked for: all that a configuration may hold.

The description of a field is the line that explains it in the file of ``zsync config init``.
"""

from __future__ import annotations

from pydantic import Field

from zsync.config.dialect import ConfigOrigin
from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch
from zsync.config.values import LocalPath, Patterns, ProductName, Section, TargetUrl


class Sections(Section):
    """The fields of a configuration, which `zsync.config.RunConfig` documents: what readers and checks are told."""

    source: LocalPath | None = Field(None, description="directory that holds the products; file:// URLs are fine")
    target: TargetUrl | None = Field(None, description="URL that the products are published below")
    products: dict[ProductName, Product] = Field(default_factory=dict, description="what is published, by name")
    storage: Storage = Field(default_factory=Storage, description="how the object store is reached and used")
    publish: Publish = Field(default_factory=Publish, description="how a publication is made")
    pull: Pull = Field(default_factory=Pull, description="how targets are brought to this machine")
    team: Team = Field(default_factory=Team, description="how `zsync sync` keeps a folder in step with a team's")
    watch: Watch = Field(default_factory=Watch, description="how `zsync watch` keeps targets up to date")
    sites: dict[ProductName, Site] = Field(
        default_factory=dict, description="many directories for `zsync watch`, by name, instead of source and products"
    )
    notify: list[Notification] = Field(default_factory=list, description="who is told of publications")
    only: Patterns = Field(default_factory=list, description="names of the products to publish; empty: all of them")
    dry_run: bool = Field(default=False, description="plan, and stop there")
    verbose: bool = Field(default=False, description="log in detail")
    # Excluded: what reading a configuration comes to, not what one may hold.
    notes: list[str] = Field(default_factory=list, exclude=True)
    nothing_to_do: str | None = Field(None, exclude=True)
    origin: ConfigOrigin = Field(default_factory=ConfigOrigin, exclude=True)
