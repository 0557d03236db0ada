"""What the state machine of a publish has found, each as the shortest way there."""

from __future__ import annotations

import shutil

import pytest
from clock import clock_off
from proxy import Fault, on
from target import absent, looking, same
from trees import s3_tree, weather

from zsync.errors import ZsyncError

FORMATS = {"v2": {"zarr_format": 2}, "v3": {"zarr_format": 3}}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("how", ["never on record", "grace", "on record"])
@pytest.mark.usefixtures("impatient")
def test_what_is_removed_while_other_arrays_shrink_leaves_with_the_fence(site, form, how):
    """At its old length it would fit beside nothing, and nobody could open the store."""
    group, new = weather(6, 4, k=5), weather(4, 2)
    old = weather(6, 4).assign(d2m=weather(6, 4, k=2).t2m)
    site.store("a.zarr", old, groups={"Auxiliary": group}, **FORMATS[form])
    if how == "never on record":
        site.proxy.faults.append(on(Fault.error(403), method="PUT", key="*/manifests/*", times=None))
        with pytest.raises(ZsyncError):
            site.publish()
        site.proxy.faults.clear()
    else:
        site.publish()
    site.store("a.zarr", new, **FORMATS[form])
    seen = []

    def look(key):
        if key.endswith(("zarr.json", ".zmetadata")):
            seen.append((site.read("a.zarr"), site.read("a.zarr", group="Auxiliary")))

    with looking(site, look):
        site.publish(max_delete="100%", **({"grace": "2h"} if how == "grace" else {}))
    assert len(seen) > 1
    common = new.drop_attrs()
    for now, inside in seen:
        assert same(now, old) or same(now, common), now
        assert absent(inside) or same(inside, group), inside
    assert same(site.read("a.zarr"), new)
    assert absent(site.read("a.zarr", group="Auxiliary"))


def test_a_clock_that_was_ahead_does_not_make_a_grace_longer(site):
    for name in ("t.zarr/a.zarr", "t.zarr/b.zarr"):
        site.store(name, weather(6, 4))
    site.publish()
    shutil.rmtree(site.root / "t.zarr/b.zarr")
    with clock_off(3600):
        site.publish(max_delete="100%", grace="2h")
    assert s3_tree(site.s3, site.bucket, "run/t.zarr/b.zarr/")
    site.publish(max_delete="100%", grace="0s")
    assert not s3_tree(site.s3, site.bucket, "run/t.zarr/b.zarr/")
