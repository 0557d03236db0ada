"""What zsync itself writes: strict JSON that every reader reads, and no more of it than was asked for."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
import rasterio
import zarr
from target import same
from trees import read_tree, s3_bytes, s3_tree, weather, write_store, write_tree

import zsync
from zsync.errors import GuardError
from zsync.words import Stage

PUBLISH = {"on_incompatible": "refuse"}  # flips have tests of their own: test_flip

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


def strictly(body):
    """Parse JSON as other languages do."""

    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(body, parse_constant=refuse)


def unconsolidated(site, zarr_format, name="a.zarr", **attributes):
    """Write a store of two arrays without consolidated metadata."""
    site.products.setdefault(name, {"path": name, "kind": "zarr"})
    group = zarr.open_group(str(site.root / name), mode="w", zarr_format=zarr_format)
    for array, kind in (("t2m", "f4"), ("flag", "u1")):
        made = group.create_array(array, shape=(6, 4), chunks=(3, 4), dtype=kind, attributes=attributes)
        made[...] = np.arange(24).reshape(6, 4)
    return "zarr.json" if zarr_format == 3 else ".zmetadata"


def published(site, name="a.zarr"):
    return s3_bytes(site.s3, site.bucket, f"{site.prefix}/{name}/")


def said(result, code="consolidated"):
    return [(finding.level, finding.message) for finding in result.findings if finding.code == code]


# --- what is asked for ------------------------------------------------------------------------------------------------


@FORMATS
def test_what_is_added_is_told_with_its_size_and_once(site, zarr_format):
    key = unconsolidated(site, zarr_format)
    [(level, message)] = said(site.publish(dry_run=True))
    assert level == "info"
    assert "no consolidated metadata here, and it is added (" in message
    assert ("-> " in message) == (zarr_format == 3)
    assert said(site.publish()) == [(level, message)]
    assert strictly(published(site)[key])
    assert said(site.publish()) == []  # nothing is sent, and nothing said
    array = zarr.open_array(str(site.root / "a.zarr/t2m"), mode="r+")
    array.resize((9, 4))
    assert "added" in said(site.publish())[0][1]
    zarr.consolidate_metadata(str(site.root / "a.zarr"))
    assert said(site.publish()) == []


def test_many_stores_are_told_in_one_line(site):
    for number in range(4):
        unconsolidated(site, 3, f"tree/{number}.zarr")
    site.products = {"tree": {"path": "tree", "kind": "zarr"}}
    [(_, message)] = said(site.publish(dry_run=True))
    assert "(the largest of 4)" in message


@FORMATS
@pytest.mark.parametrize("stale", [False, True])
def test_as_it_is_the_target_is_the_source_byte_for_byte(site, tmp_path, run_zsync, zarr_format, stale):
    key = unconsolidated(site, zarr_format, limit=math.nan)
    if stale:
        zarr.consolidate_metadata(str(site.root / "a.zarr"))
        zarr.open_array(str(site.root / "a.zarr/t2m"), mode="r+").resize((9, 4))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config(publish={"consolidate": "as-is"})))
    told = run_zsync("plan", config).stderr
    assert ("is untrue here, and goes up as it is" if stale else "none is added (consolidate: as-is)") in told
    run_zsync("publish", config)
    assert published(site) == read_tree(site.root / "a.zarr")
    assert run_zsync("publish", config).stderr.count("consolidate") == 0
    config.write_text(json.dumps(site.config()))
    assert run_zsync("plan", config, "--consolidate", "as-is").stdout.startswith("a.zarr -> ")
    assert zsync.plan(site.config(), consolidate="as-is").is_empty
    assert (key in published(site)) == (zarr_format == 3 or stale)


@FORMATS
@pytest.mark.parametrize("retire", ["auto", "keep"])
def test_never_makes_none_and_leaves_out_what_is_untrue(site, zarr_format, retire):
    key = unconsolidated(site, zarr_format)
    site.publish(consolidate="never")
    assert published(site) == read_tree(site.root / "a.zarr")
    zarr.consolidate_metadata(str(site.root / "a.zarr"))
    site.publish(consolidate="never")
    assert published(site) == read_tree(site.root / "a.zarr")  # it is true
    zarr.open_array(str(site.root / "a.zarr/t2m"), mode="r+").resize((9, 4))
    result = site.publish(consolidate="never", retire=retire)
    assert "is left out" in said(result)[0][1]
    assert "consolidated_metadata" not in json.loads(published(site).get(key, b"{}"))
    assert (key in published(site)) == (zarr_format == 3)
    assert site.publish(consolidate="never", retire=retire).status == "unchanged"
    assert site.publish(retire=retire).status == "published"
    assert zarr.open_consolidated(write_tree_of(site))["t2m"].shape == (9, 4)


def write_tree_of(site):
    """Return a local copy of what is published."""
    where = site.root.parent / "copy"
    shutil.rmtree(where, ignore_errors=True)
    write_tree(where, published(site))
    return str(where)


@FORMATS
def test_always_refuses_what_it_cannot_make(site, zarr_format):
    unconsolidated(site, zarr_format, limit=math.inf)
    with pytest.raises(GuardError, match=r"no way to say Infinity in .*limit.*consolidate: auto"):
        site.publish(consolidate="always")
    assert published(site) == {}


@FORMATS
def test_a_pull_adds_nothing_to_what_is_published(site, tmp_path, zarr_format):
    unconsolidated(site, zarr_format)
    site.publish(consolidate="never")
    storage = {"endpoint_url": site.s3.endpoint_url, "access_key_id": site.s3.access_key, "region": site.s3.region}
    storage["secret_access_key"] = site.s3.secret_key
    url = f"s3://{site.bucket}/{site.prefix}/a.zarr"
    zsync.pull(url, tmp_path / "here", progress=False, **storage)
    pulled = {key: body for key, body in read_tree(tmp_path / "here/a.zarr").items() if not key.startswith(".zsync/")}
    assert pulled == read_tree(site.root / "a.zarr")


# --- what others read -------------------------------------------------------------------------------------------------


def test_consolidated_metadata_that_shrinks_is_strict_while_it_does(site):
    """The fence is made from what is published, NaN included."""

    def write(count):
        site.store("a.zarr", weather(count, 8), zarr_format=3)
        zarr.open_array(str(site.root / "a.zarr/t2m"), mode="r+").attrs["limit"] = math.nan
        zarr.consolidate_metadata(str(site.root / "a.zarr"))

    write(12)
    site.publish()
    write(7)
    fence = site.publish().plan.shown_while(Stage.FENCE)
    assert {row["key"] for row in fence} >= {"zarr.json", "t2m/zarr.json"}
    assert all(strictly(row["content"])["zarr_format"] == 3 for row in fence)
    assert site.read("a.zarr").sizes["time"] == 7


@pytest.fixture(scope="module")
def what_is_published(tmp_path_factory, s3):
    """Return four stores as they are published, and their sources: two formats, with and without a NaN."""
    import boto3

    where = tmp_path_factory.mktemp("published")
    client = boto3.client(
        "s3", endpoint_url=s3.endpoint_url, region_name=s3.region, aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
    )  # fmt: skip
    client.create_bucket(Bucket="what-is-published")
    for zarr_format in (2, 3):
        for name, attributes in (("plain", {"units": "K"}), ("nan", {"limit": math.nan})):
            group = zarr.open_group(str(where / f"source/{name}{zarr_format}"), mode="w", zarr_format=zarr_format)
            for array, fill in (("t2m", math.nan), ("odd", math.inf)):
                made = group.create_array(array, shape=(6, 4), chunks=(3, 4), dtype="f4", fill_value=fill)
                made[...] = np.arange(24).reshape(6, 4)
                made.attrs.update(attributes if array == "odd" else {"units": "K"})
    storage = {"endpoint_url": s3.endpoint_url, "access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    result = zsync.publish(
        {
            "source": str(where / "source"),
            "target": "s3://what-is-published/run",
            "products": {
                f"{name}{n}": {"path": f"{name}{n}", "kind": "zarr"} for name in ("plain", "nan") for n in (2, 3)
            },
            "storage": {**storage, "region": s3.region},
        },
        progress=False,
    )
    objects = s3_bytes(s3, "what-is-published", "run/")
    write_tree(where / "copy", {key: body for key, body in objects.items() if not key.startswith(".zsync/")})
    return where / "copy", where / "source", result


STORES = pytest.mark.parametrize("name", ["plain2", "plain3", "nan2", "nan3"])


def test_what_is_made_is_strict_and_what_cannot_be_made_is_told(what_is_published):
    copy, source, result = what_is_published
    assert {(f.level, f.product, f.key) for f in result.findings if f.code == "not-strict-json"} == {
        ("warning", "nan2", ".zmetadata"), ("warning", "nan3", "zarr.json"),
    }  # fmt: skip
    assert read_tree(copy / "nan2") == read_tree(source / "nan2")
    assert read_tree(copy / "nan3") == read_tree(source / "nan3")
    for made in ("plain2/.zmetadata", "plain3/zarr.json", "nan3/zarr.json"):
        assert strictly((copy / made).read_bytes())


@STORES
def test_zarr_python_reads_it(what_is_published, name):
    group = zarr.open_group(str(what_is_published[0] / name), mode="r")
    assert group["t2m"][5, 3] == 23
    assert sorted(group.array_keys()) == ["odd", "t2m"]


@STORES
def test_tensorstore_reads_it(what_is_published, name):
    tensorstore = pytest.importorskip("tensorstore")
    where = {"driver": "file", "path": str(what_is_published[0] / name / "t2m")}
    array = tensorstore.open({"driver": "zarr3" if name.endswith("3") else "zarr", "kvstore": where}).result()
    assert array[5, 3].read().result() == 23


@STORES
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_reads_it(what_is_published, name):
    if name.endswith("3") and tuple(map(int, rasterio.__gdal_version__.split(".")[:2])) < (3, 11):
        pytest.skip("this GDAL reads only what Zarr v3 was before it was settled")
    with rasterio.open(f'ZARR:"{what_is_published[0] / name}":/t2m') as band:
        assert band.read(1)[5, 3] == 23


@STORES
def test_zarrita_reads_it(what_is_published, zarrita, name):
    done = subprocess.run(
        ["node", "read.mjs", str(what_is_published[0] / name)],
        cwd=zarrita, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    value, listed = done.stdout.split()
    assert value == "23"
    assert int(listed) == (3 if name.startswith("plain") else 0)  # the group and its two arrays


# --- the same in other words ------------------------------------------------------------------------------------------


def rewritten(path, **changes):
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, **changes}))


def test_a_store_that_says_the_same_in_other_words_is_published(site):
    write_store(site.root / "a.zarr", weather(12, 8), zarr_format=3, chunks={"time": 5, "x": 4})
    site.products = {"a.zarr": {"path": "a.zarr", "kind": "zarr"}}
    key = site.root / "a.zarr/t2m/zarr.json"
    rewritten(
        key, codecs=[{"name": "bytes", "configuration": {"endian": "little"}}], chunk_key_encoding={"name": "default"}
    )
    zarr.open_array(str(key.parent), mode="r+")[...] = np.asarray(weather(12, 8).t2m)
    zarr.consolidate_metadata(str(site.root / "a.zarr"))
    site.publish()
    rewritten(
        key, codecs=["endian"], data_type={"name": "float32"}, fill_value="0x7fc00000",
        chunk_key_encoding={"name": "default", "configuration": {"separator": "/"}},
    )  # fmt: skip
    plan = zsync.plan(site.config())
    assert {change.array: str(change.kind) for change in plan.changes}["t2m"] == "metadata"
    assert said(site.publish()) == []  # what is consolidated says the same as well
    assert same(site.read("a.zarr"), weather(12, 8))


def test_all_arrays_that_change_incompatibly_are_named(site, tmp_path, run_zsync):
    names = [f"wavelength_band{number:03d}" for number in range(30)]

    def write(kind):
        group = zarr.open_group(str(site.root / "a.zarr"), mode="w", zarr_format=2)
        for name in names:
            group.create_array(name, shape=(4,), chunks=(4,), dtype=kind, fill_value=7)

    site.products = {"a.zarr": {"path": "a.zarr", "kind": "zarr"}}
    write("f4")
    site.publish()
    write("f8")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(site.config()))
    line = run_zsync("publish", config, check=3).stderr.splitlines()[-1]
    assert "30 incompatible changes of published arrays: wavelength_band000, wavelength_band001, " in line
    assert " more. The first: data type was '<f4' and is now '<f8'" in line
    assert "on_incompatible: replace" in line
    document = json.loads(run_zsync("plan", config, "--json", check=3).stdout)
    found = [finding["key"] for finding in document["findings"] if finding["code"] == "incompatible"]
    assert found == names


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_store_of_another_format_is_told_as_such(site, consolidated):
    site.store("a.zarr", weather(12, 8))
    if not consolidated:
        (site.root / "a.zarr/.zmetadata").unlink()
    site.publish(consolidate="as-is")
    shutil.rmtree(site.root / "a.zarr")
    site.store("a.zarr", weather(12, 8), zarr_format=3)
    with pytest.raises(
        GuardError, match=r"published store is Zarr v2, and the source is Zarr v3: none of t2m, time, x"
    ):
        site.publish()
    site.publish(on_incompatible="replace")
    assert same(site.read("a.zarr"), weather(12, 8))


def test_a_store_that_was_migrated_goes_up_with_its_chunks_as_they_are(site):
    """`zarr migrate v3` writes documents beside the old ones, which `--remove-v2-metadata` takes away."""
    site.store("a.zarr", weather(12, 8))
    site.publish()
    root = site.root / "a.zarr"
    for name in ("", "t2m/", "time/", "x/"):
        attributes = json.loads((root / f"{name}.zattrs").read_bytes())
        dimensions = attributes.pop("_ARRAY_DIMENSIONS", None)
        document = {"zarr_format": 3, "node_type": "array" if name else "group", "attributes": attributes}
        if name:
            old = json.loads((root / f"{name}.zarray").read_bytes())
            kind = {"<f4": "float32", "<i4": "int32"}[old["dtype"]]
            codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
            if old["compressor"] is not None:
                asked = {name: value for name, value in old["compressor"].items() if name != "id"}
                codecs.append({"name": f"numcodecs.{old['compressor']['id']}", "configuration": asked})
            document |= {
                "shape": old["shape"], "data_type": kind, "dimension_names": dimensions, "codecs": codecs,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": old["chunks"]}},
                "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
                "fill_value": old["fill_value"] or 0,
            }  # fmt: skip
        (root / f"{name}zarr.json").write_text(json.dumps(document))
    for leftover in [
        path for path in root.rglob(".z*") if path.name in (".zarray", ".zgroup", ".zattrs", ".zmetadata")
    ]:
        leftover.unlink()
    chunks = {key for key in s3_tree(site.s3, site.bucket, "run/a.zarr/") if key[-1].isdigit()}
    plan = zsync.plan(site.config())
    assert {str(change.kind) for change in plan.changes} == {"metadata"}
    result = site.publish(max_delete="100%")
    assert chunks.isdisjoint(site.puts()[-result.products[0].sent :])
    assert same(site.read("a.zarr"), weather(12, 8))
