"""`SnapshotStore` passes zarr's own tests of a store, as far as they read; what they write is published for them."""

from __future__ import annotations

import asyncio
import functools
import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from zarr.core.buffer import cpu
from zarr.testing.store import StoreTests

import zsync
from zsync.config import Location, Storage
from zsync.inventory import cache_directory
from zsync.keys import under
from zsync.publication import Publication, PublishedProduct, StateKeys, manifest, move_head, read_head, write_record
from zsync.publication.state import new_publication_id
from zsync.snapshots.store import SnapshotStore
from zsync.storage import Headers, connect, spec_for
from zsync.tables import MANIFEST, table_of
from zsync.tasks import TaskGroup


class Rows:
    """A table as the rows of a manifest, which are asked for part by part."""

    def __init__(self, table):
        self.table, self.places = table, table.select(["store", "array", "key"])

    def rows(self, places):
        return self.table.take(places)


class Product:
    """A product whose publications are put on record object by object, without the rest of a publish."""

    def __init__(self, directory):
        self.location = Location.parse(directory)
        self.spec, self.state = spec_for(self.location, Storage()), StateKeys.of(self.location)
        self.rows = {}
        self.publish({})

    def publish(self, objects):
        store = connect(self.spec)
        for key, body in objects.items():
            etag = store.put(under(self.location.path, key), body, Headers()).etag
            self.rows[key] = {"key": key, "size": len(body), "etag": etag}
        with TaskGroup(4, "test") as tasks:
            rows = Rows(table_of([self.rows[key] for key in sorted(self.rows)], MANIFEST))
            parts = manifest.write(store, self.state, rows, (), cache_directory() / "manifests", tasks)
        share = PublishedProduct("p", self.location.url, "files", None, len(objects), 0, 0, 0, parts)
        made = Publication.now(new_publication_id(), (share,), "0")
        write_record(store, self.state, made, share)
        move_head(store, self.state, read_head(store, self.state), made, share)
        return made.id, parts


class Recorded(SnapshotStore):
    """A snapshot that follows what is published through it, for tests that write what they read."""

    product: Product

    def __init__(self, product):
        super().__init__(product.location.url)
        self.product = product

    async def set(self, key, value):
        await self._set_many([(key, value)])

    async def _set_many(self, values):
        publication, parts = self.product.publish({key: value.to_bytes() for key, value in values})
        self.snapshot = replace(self.snapshot, publication=publication, parts=parts)


_WRITES = {
    "test_set", "test_set_not_open", "test_set_many", "test_set_if_not_exists", "test_clear", "test_delete",
    "test_delete_dir", "test_delete_nonexistent_key_does_not_raise", "test_set_sync", "test_delete_sync",
    "test_delete_sync_missing", "test_store_read_only", "test_store_open_read_only", "test_read_only_store_raises",
    "test_with_read_only_store",
}  # fmt: skip


def run(test):
    """Return a test that runs to its end: what is a coroutine, pytest alone does not wait for."""

    @functools.wraps(test)
    def run_it(*args, **named):
        return asyncio.run(test(*args, **named))

    return run_it


class TestSnapshotStore(StoreTests[Recorded, cpu.Buffer]):
    store_cls = Recorded
    buffer_cls = cpu.Buffer

    async def set(self, store, key, value):
        await store.set(key, value)

    async def get(self, store, key):
        return self.buffer_cls.from_bytes(Path(f"/{store.product.location.path}", key).read_bytes())

    @pytest.fixture
    def store_kwargs(self, tmp_path):
        return {"product": Product(tmp_path / "p")}

    @pytest.fixture
    def store(self, store_kwargs):
        return asyncio.run(self.store_cls.open(**store_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs):
        return self.store_cls(**store_kwargs)

    def test_store_repr(self, store):
        assert repr(store) == f"SnapshotStore({store.url!r}, at={store.publication!r})"

    def test_store_supports_writes(self, store):
        assert not store.supports_writes
        assert not store.supports_deletes

    def test_store_supports_listing(self, store):
        assert store.supports_listing

    def test_it_is_read_only(self, store):
        plain = zsync.SnapshotStore(store.url)
        assert plain.read_only
        assert plain.with_read_only(read_only=True) == plain
        for change in (plain.set("a", self.buffer_cls.from_bytes(b"1")), plain.delete("a")):
            with pytest.raises(ValueError, match="read-only"):
                asyncio.run(change)
        with pytest.raises(ValueError, match="read-only"):
            plain.with_read_only()
        with pytest.raises(ValueError, match="read-only"):
            zsync.SnapshotStore(store.url, read_only=False)


for _name, _test in inspect.getmembers(StoreTests, inspect.isfunction):
    if _name in _WRITES:
        setattr(TestSnapshotStore, _name, None)
    elif _name.startswith("test_") and inspect.iscoroutinefunction(_test):
        setattr(TestSnapshotStore, _name, run(_test))
