"""Check a configuration all the way to its targets: `zsync config check`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.config import RunConfig
from zsync.errors import ExitStatus, SourceError, ZsyncError
from zsync.publication import StateKeys
from zsync.publication.probe import Probe
from zsync.report.found import Found
from zsync.storage import connect, spec_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from zsync.config import ResolvedProduct
    from zsync.config.options import Options


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Attributes
    ----------
    product, name
        What was tried, for which product.
    error
        What went wrong; None if it works.
    note
        What else is to be said.
    """

    product: str
    name: str
    error: ZsyncError | None = None
    note: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether it works."""
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON."""
        said = self.error.said if self.error is not None else self.note
        return {"product": self.product, "check": self.name, "ok": self.is_fine, "message": said}

    def __str__(self) -> str:
        said = f": {self.note}" if self.note else ""
        return f"{self.product}: {self.name}: " + (f"ok{said}" if self.is_fine else f"FAILED: {self.error}")


def check_config(
    run_config: Any = None, target: str | os.PathLike[str] | None = None, **overrides: Unpack[Options]
) -> Found[Check]:
    """Try for every product what a publish needs: source, bucket, listing, reading, writing, conditional writing.

    What is written is one small object in the product's state, beside the product, and it is deleted again.

    Parameters are those of `zsync.publish`.

    Returns
    -------
    list of Check
        In the order in which they were tried; what needs a check that failed is not tried.

    Raises
    ------
    ConfigError
        The configuration is wrong or incomplete.

    Examples
    --------
    >>> import zsync
    >>> all(check.is_fine for check in zsync.check("zsync.yaml"))  # doctest: +SKIP
    True
    """
    config = RunConfig.from_any(run_config, target=target, **overrides)
    if config.nothing_to_do is not None:
        return Found()
    return Found(
        check
        for site in config.by_site().values()
        for product in site.resolve()
        for check in _check_product(site, product)
    )


def exit_status(checks: list[Check]) -> ExitStatus:
    """Return the exit status that checks come to: that of the first that failed."""
    return next((check.error.exit_status for check in checks if check.error is not None), ExitStatus.DONE)


def _check_product(config: RunConfig, product: ResolvedProduct) -> list[Check]:
    checks = [_try(product, "source", lambda: _see_source(product))]
    try:
        store = connect(spec_for(product.location, config.storage, config.publish.transport))
    except ZsyncError as error:
        return [*checks, Check(product.name, "credentials", error)]
    probe = Probe(store, StateKeys.of(product.location), f"{product.location.path}/" if product.location.path else "")
    for name, action in (
        ("bucket and listing", probe.list),
        ("reading", probe.read_absent),
        ("writing", probe.write),
        ("conditional writing", probe.write_conditionally),
        ("deleting", probe.delete),
    ):
        check = _try(product, name, action)
        checks.append(check)
        if not check.is_fine and name in ("bucket and listing", "writing"):
            break
    return checks


def _try(product: ResolvedProduct, name: str, action: Callable[[], str]) -> Check:
    try:
        return Check(product.name, name, note=action())
    except ZsyncError as error:
        return Check(product.name, name, error)


def _see_source(product: ResolvedProduct) -> str:
    if not os.path.isdir(product.root):
        raise SourceError("the source is not there", product.root, "check `source` and the product's path")
    if not os.access(product.root, os.R_OK | os.X_OK):
        raise SourceError("the source cannot be read", product.root, "check its permissions")
    return product.root
