"""Chunks under other keys: which encodings share any, and metadata that names them, groups' own copies included."""

from __future__ import annotations

import itertools
import json
import warnings

import pytest
import zarr

from zsync.layout import KeyEncoding, describe, encoded, fixed_keys, rewritten
from zsync.words import Kind

ENCODINGS = KeyEncoding.all_of(3)


def keys(encoding, ndim):
    return {encoding.encode(index) for index in itertools.product((0, 1, 10), repeat=ndim)}


@pytest.mark.parametrize(("one", "other"), [*itertools.product(ENCODINGS, repeat=2)])
def test_two_encodings_meet_where_a_key_of_one_is_a_key_of_the_other_or_lies_above_it(one, other):
    for ndim, other_ndim in itertools.product(range(4), repeat=2):
        mine, theirs = keys(one, ndim), keys(other, other_ndim)
        clash = mine & theirs or any(a.startswith(f"{b}/") or b.startswith(f"{a}/") for a in mine for b in theirs
                                     if "/" in a + b)  # fmt: skip
        assert one.meets(ndim, other, other_ndim) == bool(clash), (ndim, other_ndim)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_key_tells_how_it_is_written(encoding):
    for ndim in range(4):
        for key in keys(encoding, ndim):
            assert KeyEncoding.of_key(key).meets(ndim, encoding, ndim)
            assert KeyEncoding.of_key(key).parse(key, ndim) == encoding.parse(key, ndim)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_whoever_opens_any_group_finds_the_chunks_under_their_other_keys(tmp_path, zarr_format):
    root = zarr.open_group(str(tmp_path / "a"), mode="w", zarr_format=zarr_format)
    inner = root.create_group("g").create_group("h")
    for group in (root, root["g"], inner):
        group.create_array("v", shape=(4, 4), chunks=(2, 2), dtype="f4")[...] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in ("g/h", "g", None):
            zarr.consolidate_metadata(str(tmp_path / "a"), path=path, zarr_format=zarr_format)
    files = {path.relative_to(tmp_path / "a").as_posix(): path.read_bytes() for path in (tmp_path / "a").rglob("*")
             if path.is_file()}  # fmt: skip
    layout, other = describe(Kind.ZARR, "p", sorted(files), files), KeyEncoding("v2", "/")
    assert fixed_keys(layout.stores[""], "g/h/v") is None
    documents = rewritten(layout.stores[""].documents, {"g/h/v": other})
    new = encoded(layout, {("", "g/h/v"): other}).objects["key"].to_pylist()
    assert {key for key in new if key not in files} == {f"g/h/v/{i}/{j}" for i in range(2) for j in range(2)}
    for key, name in zip(sorted(files), new, strict=True):
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes(json.dumps(documents[key]).encode() if key in documents else files[key])
    for group, array in (("", "g/h/v"), ("g", "h/v"), ("g/h", "v"), ("", "g/v")):
        for consolidated in (True, False):
            found = zarr.open_group(str(tmp_path / "b"), path=group, mode="r", use_consolidated=consolidated)
            assert (found[array][...] == 1).all(), (group, array)
