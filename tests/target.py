"""A run and its target: published through the proxy by zsync, read directly by the real readers."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import prepared
import xarray as xr
import zarr
from servers import opened
from trees import write_store
from zarr.errors import ZarrUserWarning

import zsync

CHUNKS = {"time": 5, "x": 4}
NOT_FOUND = {"FileNotFoundError", "GroupNotFoundError", "KeyError", "NotConsolidated"}


class Site:
    """One target, reached through the proxy by zsync and directly by readers."""

    def __init__(self, s3, proxy, bucket, root, options=None):
        self.s3, self.proxy, self.bucket, self.root = s3, proxy, bucket, root
        self.options = options or {}  # of a publish
        self.prefix = "run"
        self.products: dict[str, dict[str, str]] = {}
        self._reads = itertools.count()

    def store(self, name, data, **options):
        write_store(self.root / name, data, chunks=CHUNKS, **options)
        self.products.setdefault(name.split("/")[0], {"path": name.split("/")[0], "kind": "zarr"})

    def config(self, **more):
        return {
            "source": str(self.root),
            "target": f"s3://{self.bucket}/{self.prefix}",
            "products": self.products,
            "storage": {
                "endpoint_url": self.proxy.endpoint_url,
                "region": self.s3.region,
                "access_key_id": self.s3.access_key,
                "secret_access_key": self.s3.secret_key,
            },
            **({"publish": self.options} if self.options else {}),
            **more,
        }

    def publish(self, **overrides):
        return zsync.publish(self.config(), progress=False, **overrides)

    def place(self, store, number):
        """Return where the reader of this number opens a store, and with what.

        Once in ten times by URL, as most readers do, through s3fs and dask; else through obstore, ten times as fast.
        """
        place = f"{self.prefix}/{store}"
        if not prepared.is_sampled(f"look {number}"):
            there = zarr.storage.ObjectStore(opened(self.s3, self.bucket, place), read_only=True)
            return there, {"chunks": None}
        options = {
            "key": self.s3.access_key,
            "secret": self.s3.secret_key,
            "endpoint_url": self.s3.endpoint_url,
            "use_listings_cache": False,
        }
        return f"s3://{self.bucket}/{place}", {"storage_options": options}

    def read(self, store, *, consolidated=True, group=None):
        """Return the store as a reader sees it, or the name of the error that it gets."""
        where, options = self.place(store, next(self._reads))
        try:
            with warnings.catch_warnings():
                # Who lists a store while things come and go meets objects that belong to no node.
                warnings.filterwarnings("ignore", category=ZarrUserWarning)
                return xr.open_zarr(where, consolidated=consolidated, group=group, **options).load()
        except Exception as error:
            # xarray says so where there is a store without the consolidated metadata that was asked for.
            return "NotConsolidated" if str(error) == ".zmetadata" else type(error).__name__

    def writes(self):
        return [
            (e.method, e.key.removeprefix(f"{self.prefix}/"))
            for e in self.proxy.completed
            if e.is_write and e.status == 200
        ]

    def puts(self):
        return [key for method, key in self.writes() if method == "PUT" and not key.startswith(".zsync/")]


@contextlib.contextmanager
def looking(site, look):
    """Look after every write."""

    def watch(exchange):
        if exchange.is_write and "/.zsync/" not in f"/{exchange.key}":
            look(exchange.key)

    site.proxy.watchers.append(watch)
    yield
    site.proxy.watchers.remove(watch)


def collapse(seen):
    return [value for i, value in enumerate(seen) if i == 0 or value != seen[i - 1]]


def same(left, right):
    return isinstance(left, xr.Dataset) and left.equals(right)


def absent(found):
    """Whether a reader was told that there is no such store."""
    return isinstance(found, str) and found in NOT_FOUND


class At:
    """Progress that does something when a step begins."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def begin(self, step, objects, size):
        if step == self.step:
            self.action()

    def advance(self, objects, size):
        pass

    def end(self):
        pass
