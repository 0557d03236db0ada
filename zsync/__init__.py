"""zsync publishes Zarr stores and Cloud-Optimized GeoTIFFs to object storage so that no reader sees a broken store.

Names are loaded when they are first used: ``import zsync`` costs a few milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import zsync.forking  # noqa: F401 - before anything that a fork must wait for
from zsync.version import __version__

if TYPE_CHECKING:
    from zsync.config import RunConfig as RunConfig
    from zsync.errors import ZsyncError as ZsyncError
    from zsync.history.between import Difference as Difference
    from zsync.history.log import Log as Log
    from zsync.planning import Plan as Plan
    from zsync.pulling.pulled import PullResult as PullResult
    from zsync.snapshots.store import SnapshotStore as SnapshotStore
    from zsync.steps.result import PublishResult as PublishResult
    from zsync.team.synced import SyncResult as SyncResult
    from zsync.verbs.log import log as log
    from zsync.verbs.open import open_rasterio as open_rasterio
    from zsync.verbs.open import open_zarr as open_zarr
    from zsync.verbs.publish import plan as plan
    from zsync.verbs.publish import publish as publish
    from zsync.verbs.pull import pull as pull
    from zsync.verbs.rollback import rollback as rollback
    from zsync.verbs.sync import sync as sync
    from zsync.verbs.verify import verify as verify
    from zsync.verbs.watch import WatchResult as WatchResult
    from zsync.verbs.watch import watch as watch
    from zsync.verifying.verification import Verification as Verification

_HOMES = {
    "Difference": "zsync.history.between",
    "Log": "zsync.history.log",
    "Plan": "zsync.planning",
    "PullResult": "zsync.pulling.pulled",
    "PublishResult": "zsync.steps.result",
    "RunConfig": "zsync.config",
    "SnapshotStore": "zsync.snapshots.store",
    "SyncResult": "zsync.team.synced",
    "Verification": "zsync.verifying.verification",
    "WatchResult": "zsync.verbs.watch",
    "ZsyncError": "zsync.errors",
    "log": "zsync.verbs.log",
    "open_rasterio": "zsync.verbs.open",
    "open_zarr": "zsync.verbs.open",
    "plan": "zsync.verbs.publish",
    "publish": "zsync.verbs.publish",
    "pull": "zsync.verbs.pull",
    "rollback": "zsync.verbs.rollback",
    "sync": "zsync.verbs.sync",
    "verify": "zsync.verbs.verify",
    "watch": "zsync.verbs.watch",
}

__all__ = [
    "Difference",
    "Log",
    "Plan",
    "PublishResult",
    "PullResult",
    "RunConfig",
    "SnapshotStore",
    "SyncResult",
    "Verification",
    "WatchResult",
    "ZsyncError",
    "__version__",
    "log",
    "open_rasterio",
    "open_zarr",
    "plan",
    "publish",
    "pull",
    "rollback",
    "sync",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zsync' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
