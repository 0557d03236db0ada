"""Check a configuration all the way to its targets: `zsync config check`."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.config import RunConfig
from zsync.errors import ExitStatus, ObjectNotFoundError, SourceError, TargetError, ZsyncError
from zsync.keys import under
from zsync.publication import StateKeys, ignored_conditions
from zsync.storage import Headers, ObjectStore, connect, spec_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.config import ResolvedProduct


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


def check_config(run_config: Any = None, *, target: str | None = None, **overrides: Any) -> list[Check]:
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
    """
    config = RunConfig.from_any(run_config, target=target, **overrides)
    if config.nothing_to_do is not None:
        return []
    return [
        check
        for site in config.by_site().values()
        for product in site.resolve()
        for check in _check_product(site, product)
    ]


def exit_status(checks: list[Check]) -> ExitStatus:
    """Return the exit status that checks come to: that of the first that failed."""
    return next((check.error.exit_status for check in checks if check.error is not None), ExitStatus.DONE)


def _check_product(config: RunConfig, product: ResolvedProduct) -> list[Check]:
    checks = [_try(product, "source", lambda: _see_source(product))]
    try:
        store = connect(spec_for(product.location, config.storage, config.publish.transport))
    except ZsyncError as error:
        return [*checks, Check(product.name, "credentials", error)]
    probe = _Probe(store, StateKeys.of(product.location), f"{product.location.path}/" if product.location.path else "")
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


class _Probe:
    """Tries what a publish does, on an object of its own in the product's state."""

    def __init__(self, store: ObjectStore, state: StateKeys, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._key = under(state.prefix, f"check-{secrets.token_hex(6)}.json")
        self._etag: str | None = None

    def list(self) -> str:
        objects, prefixes = self._store.list_level(self._prefix)
        url = self._store.url(self._prefix)
        return url if objects.keys or prefixes else f"{url} (nothing there yet)"

    def read_absent(self) -> str:
        try:
            self._store.get(self._key)
        except ObjectNotFoundError:
            return "an absent object is answered with 404, as readers of Zarr need it"
        raise TargetError("an object is there that nobody wrote", self._store.url(self._key))

    def write(self) -> str:
        self._etag = self._store.put(self._key, b"{}", Headers(content_type="application/json")).etag
        return self._store.url(self._key)

    def write_conditionally(self) -> str:
        if not self._store.capabilities.conditional_put:
            return "not available here: two publishers of one product are not kept apart"
        headers = Headers(content_type="application/json")
        self._etag = self._store.put_if(self._key, b'{"a": 1}', headers, self._etag).etag
        if ignored := ignored_conditions(self._store, self._key, b'{"a": 1}'):
            raise TargetError(
                f"the service ignores {' and '.join(ignored)}: two publishers are not kept apart reliably",
                self._store.url(self._key),
                "use another service, or see to it that only one publisher runs at a time",
            )
        return "If-Match and If-None-Match are honoured"

    def delete(self) -> str:
        self._store.delete([self._key])
        return ""
