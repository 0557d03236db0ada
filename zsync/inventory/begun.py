"""Uploads in parts that this machine began: what a crash cut off is gone on with, where the service still has it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from zsync.inventory.cache import cached_at
from zsync.system import keep_text

if TYPE_CHECKING:
    from zsync.keys import Key
    from zsync.storage import Headers, StoreSpec


class Begun:
    """What is known of an upload of one object, in a file that may be lost: then the upload is made anew.

    Only what was begun here is gone on with: of another upload nobody knows with which headers it was begun, or with
    which encryption.
    """

    def __init__(self, spec: StoreSpec, key: Key) -> None:
        self._encryption = f"{spec.sse or ''} {spec.sse_kms_key_id or ''}"
        self._path = cached_at("uploads", f"{spec.endpoint_url or ''} {spec.location.child(key).url}", ".json")

    def upload(self, headers: Headers | None = None) -> str | None:
        """Return the id of the upload that was begun, as it would be now with these headers, if any are given."""
        try:
            found = json.loads(self._path.read_bytes())
            upload, how = found["upload"], found["how"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return upload if isinstance(upload, str) and (headers is None or self._how(headers) == how) else None

    def keep(self, upload: str, headers: Headers) -> None:
        """Remember an upload, before anything is sent."""
        keep_text(self._path, json.dumps({"upload": upload, "how": self._how(headers)}))

    def _how(self, headers: Headers) -> str:
        return f"{headers.digest} {self._encryption}"

    def forget(self) -> None:
        """Forget it: it has ended."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
