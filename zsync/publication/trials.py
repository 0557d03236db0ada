"""What services do with conditions, as it was found out on this machine: who knows that looks less often."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from typing import TYPE_CHECKING

from zsync.system import keep_text

if TYPE_CHECKING:
    from pathlib import Path

    from zsync.storage import Habits, StoreSpec

BELIEVED_S = 7 * 86_400.0  # a gateway may be replaced by another


class Trials:
    """What was found out, a file for each bucket of a service. Only that conditions are honoured is kept.

    Parameters
    ----------
    directory
        Where the files are; they may be lost.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def recall(self, spec: StoreSpec, habits: Habits) -> bool:
        """Have a store be known to honour conditions if that was found out lately; return whether its way is known."""
        if habits.conditions != "unknown":
            return True
        try:
            found = json.loads(self._path(spec).read_bytes())
            age_s = time.time() - float(found["at_s"])
            is_honoured = found["conditions"] == "honoured" and 0 <= age_s < BELIEVED_S
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False
        if is_honoured:
            habits.conditions = "honoured"
        return bool(is_honoured)

    def keep(self, spec: StoreSpec, habits: Habits) -> None:
        """Remember what was found out of a store."""
        path = self._path(spec)
        if habits.conditions == "honoured":
            keep_text(path, json.dumps({"conditions": "honoured", "at_s": time.time()}))
            return
        with contextlib.suppress(OSError):  # only a cache
            path.unlink(missing_ok=True)

    def _path(self, spec: StoreSpec) -> Path:
        place = f"{spec.endpoint_url or ''} {spec.location.url}"
        return self._directory / f"{hashlib.blake2b(place.encode(), digest_size=16).hexdigest()}.json"
