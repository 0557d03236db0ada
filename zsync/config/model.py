"""What the user asked for: the run configuration and its sections.

The description of a field is the line that explains it in the file of ``zsync config init``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from zsync.config.problems import problems_of, report

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from zsync.config.resolve import ResolvedProduct

from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch
from zsync.config.values import LocalPath, Patterns, ProductName, Section, TargetUrl


class RunConfig(Section):
    """What to publish, to where, and how.

    Parameters
    ----------
    source
        Directory that the paths of products are relative to; without products it is itself the product.
    target
        URL that the products' `to` are relative to.
    products
        What is published, by name.
    storage
        How the object store is reached, and how objects are stored in it.
    publish
        How a publication is made.
    pull
        How targets are brought back.
    team
        How a folder is kept in step with others.
    watch
        How targets are kept up to date.
    sites
        Many directories that are watched, by name, each with a target of its own.
    notify
        Who is told of publications.
    only
        Names of the products to publish; empty for all of them.
    dry_run
        Plan, and stop there.
    verbose
        Log in detail.
    notes
        What the configuration says that is not needed. Not part of a configuration file.
    nothing_to_do
        Why there is nothing to publish, if so. Not part of a configuration file.

    Raises
    ------
    ConfigError
        All that is wrong with the values, in one line.
    """

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

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[RunConfig], info: ValidationInfo) -> RunConfig:
        try:
            return handler(data)
        except ValidationError as error:
            problems = problems_of(error, cls)
        # Raised here, not above: an exception's context would keep the values.
        raise report(problems, (info.context or {}).get("place", lambda _: None))

    @classmethod
    def from_any(
        cls,
        value: Mapping[str, Any] | str | os.PathLike[str] | RunConfig | None,
        *,
        target: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> RunConfig:
        """Return the configuration that a value describes, in any dialect that zsync reads.

        Parameters
        ----------
        value
            A mapping, the path of a file (YAML, JSON, TOML), a configuration, or None for the environment. Relative
            paths in a file are relative to the file, others to the current directory.
        target
            Replaces the target.
        environ
            The environment; by default that of the process.
        **overrides
            Replace what the value says: any name at the top level, in `publish` or in `storage`. None means not given.

        Raises
        ------
        ConfigError
            All that is wrong with the configuration, in one line.
        """
        from zsync.config.read import read

        return read(value, {**overrides, "target": target}, environ)

    def by_site(self) -> dict[str, RunConfig]:
        """Return a configuration for each site; this one, under its own name, if there are no sites.

        Raises
        ------
        ConfigError
            Sites get in each other's way.
        """
        from zsync.config.sites import by_site

        return by_site(self)

    def resolve(self) -> tuple[ResolvedProduct, ...]:
        """Return what is published, from where and to where: nothing, if there is nothing to do.

        Raises
        ------
        ConfigError
            The source or the target is missing, or places overlap that must not.
        """
        from zsync.config.resolve import resolved

        return resolved(self)
