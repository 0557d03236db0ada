"""What a publish does with a store, tried on an object of its own: for `zsync config check`."""

from __future__ import annotations

import secrets

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.keys import under
from zsync.publication import StateKeys, ignored_conditions
from zsync.storage import Headers, ObjectStore


class Probe:
    """Tries what a publish does, on an object of its own in the product's state."""

    def __init__(self, store: ObjectStore, state: StateKeys, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._key = under(state.prefix, f"check-{secrets.token_hex(6)}.json")
        self._etag: str | None = None

    def list(self) -> str:
        """Look at what lies where the product is."""
        objects, prefixes = self._store.list_level(self._prefix)
        url = self._store.url(self._prefix)
        return url if objects.keys or prefixes else f"{url} (nothing there yet)"

    def read_absent(self) -> str:
        """Ask for an object that is not there."""
        try:
            self._store.get(self._key)
        except ObjectNotFoundError:
            return "an absent object is answered with 404, as readers of Zarr need it"
        raise TargetError("an object is there that nobody wrote", self._store.url(self._key))

    def write(self) -> str:
        """Write an object of its own."""
        self._etag = self._store.put(self._key, b"{}", Headers(content_type="application/json")).etag
        return self._store.url(self._key)

    def write_conditionally(self) -> str:
        """Write it on conditions, and see whether they are honoured."""
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
        """Delete it again."""
        self._store.delete([self._key])
        return ""
