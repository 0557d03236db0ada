"""zsync publishes Zarr stores and Cloud-Optimized GeoTIFFs to object storage so that no reader sees a broken store.

Names are loaded when they are first used: ``import zsync`` costs a few milliseconds.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import zsync.forking  # noqa: F401 - before anything that a fork must wait for
from zsync.version import __version__

if TYPE_CHECKING:
    from zsync.config import RunConfig as RunConfig
    from zsync.config.options import Options as Options
    from zsync.config.options import StorageOptions as StorageOptions
    from zsync.delayed import publish_delayed as publish_delayed
    from zsync.errors import ArchivedError as ArchivedError
    from zsync.errors import CertificateError as CertificateError
    from zsync.errors import ConfigError as ConfigError
    from zsync.errors import ConflictError as ConflictError
    from zsync.errors import CredentialsError as CredentialsError
    from zsync.errors import ExitStatus as ExitStatus
    from zsync.errors import GoneError as GoneError
    from zsync.errors import GuardError as GuardError
    from zsync.errors import LinkError as LinkError
    from zsync.errors import MalformedKeyError as MalformedKeyError
    from zsync.errors import NetworkError as NetworkError
    from zsync.errors import NoBucketError as NoBucketError
    from zsync.errors import NotSupportedError as NotSupportedError
    from zsync.errors import ObjectNotFoundError as ObjectNotFoundError
    from zsync.errors import OutdatedError as OutdatedError
    from zsync.errors import PermissionDeniedError as PermissionDeniedError
    from zsync.errors import PreconditionError as PreconditionError
    from zsync.errors import RegionError as RegionError
    from zsync.errors import SilentError as SilentError
    from zsync.errors import SourceChangedError as SourceChangedError
    from zsync.errors import SourceError as SourceError
    from zsync.errors import TargetError as TargetError
    from zsync.errors import ThrottledError as ThrottledError
    from zsync.errors import TooLargeError as TooLargeError
    from zsync.errors import TransientError as TransientError
    from zsync.errors import UnansweredError as UnansweredError
    from zsync.errors import UnfitKeyError as UnfitKeyError
    from zsync.errors import VerifyError as VerifyError
    from zsync.errors import ZsyncError as ZsyncError
    from zsync.history.between import Difference as Difference
    from zsync.history.log import Log as Log
    from zsync.planning import Plan as Plan
    from zsync.pulling.pulled import PullResult as PullResult
    from zsync.snapshots.store import SnapshotStore as SnapshotStore
    from zsync.steps.result import PublishResult as PublishResult
    from zsync.team.synced import SyncResult as SyncResult
    from zsync.verbs.check import Check as Check
    from zsync.verbs.check import check_config as check
    from zsync.verbs.lease import ProductLease as ProductLease
    from zsync.verbs.lease import leases as lease
    from zsync.verbs.log import log as log
    from zsync.verbs.log import prune_log as prune_log
    from zsync.verbs.open import open_rasterio as open_rasterio
    from zsync.verbs.open import open_zarr as open_zarr
    from zsync.verbs.publish import plan as plan
    from zsync.verbs.publish import publish as publish
    from zsync.verbs.pull import pull as pull
    from zsync.verbs.reset import Forgotten as Forgotten
    from zsync.verbs.reset import reset as reset
    from zsync.verbs.rollback import rollback as rollback
    from zsync.verbs.sync import sync as sync
    from zsync.verbs.trash import Discarded as Discarded
    from zsync.verbs.trash import empty_trash as empty_trash
    from zsync.verbs.trash import list_trash as trash
    from zsync.verbs.trash import restore_trash as restore_trash
    from zsync.verbs.verify import verify as verify
    from zsync.verbs.watch import watch as watch
    from zsync.verifying.verification import Verification as Verification
    from zsync.watching.watched import WatchResult as WatchResult

# Where each is; after a colon, how it is called there.
_HOMES = {
    "ArchivedError": "zsync.errors",
    "CertificateError": "zsync.errors",
    "Check": "zsync.verbs.check",
    "ConfigError": "zsync.errors",
    "ConflictError": "zsync.errors",
    "CredentialsError": "zsync.errors",
    "Difference": "zsync.history.between",
    "Discarded": "zsync.verbs.trash",
    "ExitStatus": "zsync.errors",
    "Forgotten": "zsync.verbs.reset",
    "GoneError": "zsync.errors",
    "GuardError": "zsync.errors",
    "LinkError": "zsync.errors",
    "Log": "zsync.history.log",
    "MalformedKeyError": "zsync.errors",
    "NetworkError": "zsync.errors",
    "NoBucketError": "zsync.errors",
    "NotSupportedError": "zsync.errors",
    "ObjectNotFoundError": "zsync.errors",
    "Options": "zsync.config.options",
    "OutdatedError": "zsync.errors",
    "PermissionDeniedError": "zsync.errors",
    "Plan": "zsync.planning",
    "PreconditionError": "zsync.errors",
    "ProductLease": "zsync.verbs.lease",
    "PublishResult": "zsync.steps.result",
    "PullResult": "zsync.pulling.pulled",
    "RunConfig": "zsync.config",
    "RegionError": "zsync.errors",
    "SilentError": "zsync.errors",
    "SnapshotStore": "zsync.snapshots.store",
    "SourceChangedError": "zsync.errors",
    "SourceError": "zsync.errors",
    "StorageOptions": "zsync.config.options",
    "SyncResult": "zsync.team.synced",
    "TargetError": "zsync.errors",
    "ThrottledError": "zsync.errors",
    "TooLargeError": "zsync.errors",
    "TransientError": "zsync.errors",
    "UnansweredError": "zsync.errors",
    "UnfitKeyError": "zsync.errors",
    "Verification": "zsync.verifying.verification",
    "VerifyError": "zsync.errors",
    "WatchResult": "zsync.watching.watched",
    "ZsyncError": "zsync.errors",
    "check": "zsync.verbs.check:check_config",
    "empty_trash": "zsync.verbs.trash",
    "lease": "zsync.verbs.lease:leases",
    "log": "zsync.verbs.log",
    "open_rasterio": "zsync.verbs.open",
    "open_zarr": "zsync.verbs.open",
    "plan": "zsync.verbs.publish",
    "prune_log": "zsync.verbs.log",
    "publish": "zsync.verbs.publish",
    "publish_delayed": "zsync.delayed",
    "pull": "zsync.verbs.pull",
    "reset": "zsync.verbs.reset",
    "restore_trash": "zsync.verbs.trash",
    "rollback": "zsync.verbs.rollback",
    "sync": "zsync.verbs.sync",
    "trash": "zsync.verbs.trash:list_trash",
    "verify": "zsync.verbs.verify",
    "watch": "zsync.verbs.watch",
}

__all__ = [
    "ArchivedError",
    "CertificateError",
    "Check",
    "ConfigError",
    "ConflictError",
    "CredentialsError",
    "Difference",
    "Discarded",
    "ExitStatus",
    "Forgotten",
    "GoneError",
    "GuardError",
    "LinkError",
    "Log",
    "MalformedKeyError",
    "NetworkError",
    "NoBucketError",
    "NotSupportedError",
    "ObjectNotFoundError",
    "Options",
    "OutdatedError",
    "PermissionDeniedError",
    "Plan",
    "PreconditionError",
    "ProductLease",
    "PublishResult",
    "PullResult",
    "RegionError",
    "RunConfig",
    "SilentError",
    "SnapshotStore",
    "SourceChangedError",
    "SourceError",
    "StorageOptions",
    "SyncResult",
    "TargetError",
    "ThrottledError",
    "TooLargeError",
    "TransientError",
    "UnansweredError",
    "UnfitKeyError",
    "Verification",
    "VerifyError",
    "WatchResult",
    "ZsyncError",
    "__version__",
    "check",
    "empty_trash",
    "lease",
    "log",
    "open_rasterio",
    "open_zarr",
    "plan",
    "prune_log",
    "publish",
    "publish_delayed",
    "pull",
    "reset",
    "restore_trash",
    "rollback",
    "sync",
    "trash",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zsync' has no attribute {name!r}")
    from zsync.report.traces import show_in_ipython

    show_in_ipython()
    module, _, inside = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), inside or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if hasattr(sys.modules.get("xarray"), "register_dataset_accessor"):  # it is there, and whole
    importlib.import_module("zsync.xarray")
