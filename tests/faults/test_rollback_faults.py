"""Rollbacks that are killed: readers see one publication or the other, and the same call ends right."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from scenarios import FORMATS, OnServer, View, check_flip, check_states, same, single
from trees import s3_bytes

import zsync


@pytest.mark.slow
@pytest.mark.parametrize("rewrites", ["inplace", "auto"])
def test_p1_to_p4_and_p9_of_a_rollback(s3, bucket, tmp_path, impatient, fate, rewrites):
    """One axis longer, one shorter, back and forth: watched after every write, then killed at every request.

    In place readers see what both have in common, and then what is there is what was there, byte for byte. A flip shows
    the one, then the other, and leaves keys as they come.
    """
    how, flips = {"rewrites": rewrites}, rewrites == "auto"
    storage = {"region": s3.region, "access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    reach = {**storage, "endpoint_url": s3.endpoint_url}
    url = f"s3://{bucket}/run/a.zarr"
    sides, known = [], {}
    for name, write in (("one", single(10, 8)), ("two", single(13, 6))):
        data = write(tmp_path / name, FORMATS["v3"])
        products = {"a": {"path": "a.zarr"}}
        config = {
            "source": str(tmp_path / name),
            "target": f"s3://{bucket}/run",
            "products": products,
            "storage": reach,
        }
        published = zsync.publish(config, keep_history=True, max_delete="100%", progress=False, **how).publication
        sides.append((published, data, s3_bytes(s3, bucket, "run/a.zarr/", known)))

    def back(to):
        return zsync.rollback(url, to, progress=False, **reach, **how)

    def look(before, after):
        check = check_flip if flips else check_states
        check(View(OnServer(s3, bucket, "run"), before, after))

    def is_back(after, body):
        found = View(OnServer(s3, bucket, "run"), {}, {}).read("a.zarr")
        return same(found, after["a.zarr"]) if flips else s3_bytes(s3, bucket, "run/a.zarr/", known) == body

    looks = itertools.count()
    (first, one, bytes_of_one), (second, two, _) = sides
    fate.set(watch=lambda: next(looks) < 0 or look(two, one))
    assert back(first).status == "published"
    fate.set()
    assert is_back(one, bytes_of_one)
    assert next(looks) > (3 if flips else 10)  # what a flip has left is still there

    killed = 0
    for n, (was, to) in zip(itertools.count(1), itertools.cycle([(0, 1), (1, 0)]), strict=False):
        (_, before, _), (publication, after, body) = sides[was], sides[to]
        fate.set(n, acts=n % 4 < 2)
        with contextlib.suppress(zsync.ZsyncError):
            back(publication)
        has_come = fate.has_come
        fate.set()
        look(before, after)
        back(publication)
        assert is_back(after, body)
        if not has_come:
            break
        killed += 1
    assert killed > (15 if flips else 30)
    assert [entry.restores for entry in zsync.log(url, **reach)][-1] in (first, second)
