"""The configuration of a run: read from any dialect, checked as a whole, and resolved to products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator

from zsync.config.model import Sections
from zsync.config.problems import problems_of, report
from zsync.config.read import Written, read
from zsync.config.resolve import resolved
from zsync.config.sites import refuse_overlaps, site_documents
from zsync.errors import ConfigError
from zsync.forking import undivided

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Unpack

    from zsync.config.options import Document, Options
    from zsync.config.resolve import ResolvedProduct


class RunConfig(Sections):
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
    origin
        The file that it was read from, for the record of what is published. Not part of a configuration file.

    Raises
    ------
    ConfigError
        All that is wrong with the values, in one line.
    """

    if TYPE_CHECKING:  # a section may be a mapping, a path may be one

        def __init__(self, **said: Unpack[Document]) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            problems = problems_of(error, cls)
        # Raised here, not above: an exception's context would keep the values.
        raise report(problems, (info.context or {}).get("place", lambda _: None))

    @classmethod
    def from_any(
        cls,
        value: Mapping[str, Any] | str | os.PathLike[str] | Sections | None,
        *,
        target: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        **overrides: Unpack[Options],
    ) -> Self:
        """Return the configuration that a value describes, in any dialect that zsync reads.

        Parameters
        ----------
        value
            A mapping, the path of a file (YAML, JSON, TOML), a configuration, or None for the environment, or else the
            ``zsync.yaml`` of the current directory. Relative paths in a file are relative to the file, others to the
            current directory.
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
        said = {name: told for name, told in {**overrides, "target": target}.items() if told is not None}
        return value if isinstance(value, cls) and not said else cls._of(read(value, said, environ))

    @classmethod
    def _of(cls, written: Written) -> Self:
        with undivided:
            config = cls.model_validate(written.doc, context={"place": written.place_of})
        outcomes = {"notes": list(written.notes), "nothing_to_do": written.nothing_to_do, "origin": written.origin}
        return config.model_copy(update=outcomes)

    def by_site(self) -> dict[str, Self]:
        """Return a configuration for each site; this one, under its own name, if there are no sites.

        Raises
        ------
        ConfigError
            Sites get in each other's way.
        """
        if not self.sites:
            products = self.resolve()
            return {products[0].name if len(products) == 1 else "all": self} if products else {}
        with undivided:
            sites = {name: self.model_validate(doc) for name, doc in site_documents(self).items()}
        sites = {name: site.model_copy(update={"origin": self.origin}) for name, site in sites.items()}
        refuse_overlaps(sites)
        return sites

    def resolve(self) -> tuple[ResolvedProduct, ...]:
        """Return what is published, from where and to where: nothing, if there is nothing to do.

        Raises
        ------
        ConfigError
            The source or the target is missing, or places overlap that must not.
        """
        try:
            return resolved(self)
        except ConfigError as error:
            if self.origin.file is None:
                raise
            found = error.at(self.origin.file)
        raise found
