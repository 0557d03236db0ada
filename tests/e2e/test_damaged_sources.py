"""P11, never worse: what readers could open they can open, unless somebody took it away on purpose."""

from __future__ import annotations

import contextlib
import json
import shutil

import numpy as np
import pytest
import zarr
from target import CHUNKS, same
from team import Team
from trees import append, quiet_zarr, s3_tree, weather, write_cog, write_store, write_tree

import zsync
from zsync.errors import ConfigError, SourceError

FORMS = {
    "v2": {"zarr_format": 2},
    "v3": {"zarr_format": 3},
    "sharded": {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS)


def documents(directory):
    return [directory / name for name in (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")]


def lose(directory, *names):
    for path in [directory / name for name in names] or documents(directory):
        path.unlink(missing_ok=True)


def node_document(directory):
    return next(
        path for path in documents(directory) if path.name in (".zarray", ".zgroup", "zarr.json") and path.exists()
    )


@pytest.fixture
def run(site):
    """A tree of two stores with groups, published."""

    def made(form):
        nested = {"north": weather(6, 8, k=2), "north/high": weather(4, 8, k=3)}
        for name in ("t/a.zarr", "t/b.zarr"):
            site.store(name, weather(6, 8), groups=nested, **FORMS[form])
        site.publish()
        return site

    return made


def there(site):
    return s3_tree(site.s3, site.bucket)


def refused(site, *says, **options):
    """Assert that a publish and a plan refuse alike, name what is said, and write nothing."""
    before = there(site)
    with pytest.raises(SourceError) as raised:
        site.publish(**options)
    assert raised.value.exit_status == 3
    for text in (*says, "damaged: allow"):
        assert text in str(raised.value)
    assert there(site) == before
    with contextlib.suppress(SourceError):
        planned = site.publish(dry_run=True, **options)
        assert any(f.level == "error" and f.message in str(raised.value) for f in planned.findings)


DAMAGE = {
    "the root": (lose, ("a.zarr",)),
    "an array": (lambda store: lose(store / "t2m"), ("a.zarr/t2m",)),
    "an array's own document": (lambda store: node_document(store / "t2m").unlink(), ("a.zarr/t2m",)),
    "a coordinate": (lambda store: lose(store / "time"), ("a.zarr/time",)),
    "a group": (lambda store: lose(store / "north"), ("a.zarr/north",)),
    "a group in a group": (lambda store: lose(store / "north" / "high"), ("a.zarr/north/high",)),
    "all documents": (lambda store: [lose(path.parent) for path in [*store.rglob("*")] if path.is_file()], ("a.zarr",)),
    "all but the chunks' array": (lambda store: [lose(store), lose(store / "north")], ("a.zarr",)),
}  # fmt: skip


@EVERY_FORM
def test_p11_a_document_that_is_gone_while_what_is_below_it_is_left_is_refused(run, form):
    site = run(form)
    sound = site.root / "sound"
    shutil.copytree(site.root / "t" / "a.zarr", sound)
    for what, (damage, says) in DAMAGE.items():
        damage(site.root / "t" / "a.zarr")
        try:
            refused(site, *says)
        except BaseException as error:
            error.add_note(what)
            raise
        shutil.rmtree(site.root / "t" / "a.zarr")
        shutil.copytree(sound, site.root / "t" / "a.zarr")
    assert same(site.read("t/a.zarr"), weather(6, 8))


@EVERY_FORM
def test_p11_what_is_gone_with_all_below_it_goes_and_the_plan_says_so(run, form):
    site = run(form)
    shutil.rmtree(site.root / "t" / "a.zarr" / "north" / "high")
    shutil.rmtree(site.root / "t" / "a.zarr" / "t2m")
    shutil.rmtree(site.root / "t" / "b.zarr")
    with quiet_zarr():
        zarr.consolidate_metadata(str(site.root / "t" / "a.zarr"))
    plan = site.publish(dry_run=True, max_delete="100%").plan
    lost = {(loss["kind"], loss["key"], loss["inside"]) for loss in plan.to_dict()["losses"]}
    assert {("store", "b.zarr", None), ("group", "a.zarr/north/high", None), ("array", "a.zarr/t2m", None)} <= lost
    assert ("array", "a.zarr/north/high/t2m", "a.zarr/north/high") in lost
    assert "readers lose" in plan._repr_html_()
    site.publish(max_delete="100%")
    assert list(site.read("t/a.zarr").variables) == ["time", "x"]


@EVERY_FORM
def test_p11_watch_holds_a_damaged_store_back_alone(run, form, tmp_path):
    site, lost = run(form), ["the root", "an array", "a group", "all documents"]
    for number, damage in enumerate(lost):
        append(site.root / "t" / "b.zarr", weather(8, 8).isel(time=slice(6, None))) if number == 0 else None
        DAMAGE[damage][0](site.root / "t" / "a.zarr")
        a = {key: value for key, value in there(site).items() if "/a.zarr/" in key}
        result = zsync.watch(watched(site), once=True)
        assert result.exit_status == 3
        assert "a.zarr" in str(result.errors["one"])
        assert {key: value for key, value in there(site).items() if "/a.zarr/" in key} == a, damage
        assert same(site.read("t/a.zarr"), weather(6, 8))
        assert same(site.read("t/b.zarr"), weather(8, 8))


def watched(site):
    one = {"source": str(site.root / "t"), "target": f"s3://{site.bucket}/{site.prefix}/t"}
    settings = {"listen": "off", "interval": "50ms", "settle": "200ms", "backoff": "200ms", "events": "poll"}
    return {"sites": {"one": one}, "storage": site.config()["storage"], "watch": settings}


def pair(n, m=None, **options):
    """Two variables along one dimension, which may differ in length."""
    return {"a": (n, options), "b": (n if m is None else m, options)}


def write_pair(path, zarr_format, lengths, *, group="", named=True):
    """Write arrays along `x` with zarr alone, so that they can differ in length."""
    with quiet_zarr():
        root = zarr.open_group(path, mode="a", zarr_format=zarr_format)
        place = root.require_group(group) if group else root
        for name, length in lengths.items():
            if name in place:
                place[name].resize((length,))
                place[name][:] = np.arange(length) + 1
                continue
            extra = {"dimension_names": ["x"]} if zarr_format == 3 and named else {}
            array = place.create_array(name, shape=(length,), chunks=(2,), dtype="i4", **extra)
            array[:] = np.arange(length) + 1
            if zarr_format == 2 and named:
                array.attrs["_ARRAY_DIMENSIONS"] = ["x"]
        zarr.consolidate_metadata(path)
    return path


@pytest.fixture
def one(site):
    """Publish what lies at one place as one store."""
    site.products["s.zarr"] = {"path": "s.zarr", "kind": "zarr"}
    return site


BOTH = pytest.mark.parametrize("zarr_format", [2, 3])


@BOTH
@pytest.mark.parametrize("group", ["", "deep/er"])
def test_p11_dimensions_that_fitted_must_fit(one, zarr_format, group):
    path = one.root / "s.zarr"
    write_pair(path, zarr_format, {"a": 2, "b": 2, "x": 2}, group=group)
    one.publish()
    opened = one.read("s.zarr", group=group or None)
    write_pair(path, zarr_format, {"a": 4}, group=group)
    refused(one, "dimension x", "length 4 in a and 2 in b")
    write_pair(path, zarr_format, {"b": 4}, group=group)
    refused(one, "dimension x", "2 in x")
    write_pair(path, zarr_format, {"x": 4, "c": 3}, group=group)
    refused(one, "3 in c")
    write_pair(path, zarr_format, {"c": 4}, group=group)
    assert same(one.read("s.zarr", group=group or None), opened)
    one.publish()
    assert one.read("s.zarr", group=group or None).sizes == {"x": 4}


@BOTH
def test_groups_that_never_fitted_and_groups_apart_go(one, zarr_format):
    path = one.root / "s.zarr"
    write_pair(path, zarr_format, {"0": 8, "1": 4, "2": 2}, group="pyramid")
    write_pair(path, zarr_format, {"0": 8, "1": 4}, group="unnamed", named=False)
    write_pair(path, zarr_format, {"a": 2, "b": 2}, group="one")
    write_pair(path, zarr_format, {"a": 2, "b": 2}, group="two")
    write_pair(path, zarr_format, {"0": 4}, group="image")
    with quiet_zarr():
        zarr.open_group(path, use_consolidated=False)["image"].attrs["multiscales"] = [{"datasets": [{"path": "0"}]}]
    one.publish()
    write_pair(path, zarr_format, {"0": 16, "1": 9}, group="pyramid")
    write_pair(path, zarr_format, {"0": 9}, group="unnamed", named=False)
    write_pair(path, zarr_format, {"a": 6, "b": 6}, group="one")
    write_pair(path, zarr_format, {"1": 2}, group="image")
    one.publish()
    assert one.read("s.zarr", group="one").sizes == {"x": 6}
    assert one.read("s.zarr", group="two").sizes == {"x": 2}


@BOTH
def test_p11_the_names_of_dimensions_may_not_get_lost(one, zarr_format):
    path = one.root / "s.zarr"
    write_pair(path, zarr_format, {"a": 2, "b": 2})
    one.publish()
    name = ".zattrs" if zarr_format == 2 else "zarr.json"
    document = json.loads((path / "a" / name).read_text())
    document.pop("_ARRAY_DIMENSIONS" if zarr_format == 2 else "dimension_names")
    (path / "a" / name).write_text(json.dumps(document))
    refused(one, "a have no names")


def test_p11_attributes_that_are_gone_from_a_node_that_is_left(one):
    path = write_store(one.root / "s.zarr", weather(6, 8), chunks=CHUNKS, groups={"north": weather(4, 8)})
    one.publish()
    for place, names in (("t2m", "_ARRAY_DIMENSIONS, units"), ("", "title"), ("north", "title")):
        kept = (path / place / ".zattrs").read_bytes()
        (path / place / ".zattrs").unlink()
        refused(one, f"{place}/.zattrs".lstrip("/"), names)
        (path / place / ".zattrs").write_bytes(kept)
    write_store(path, weather(6, 8, k=5).drop_attrs(), chunks=CHUNKS, groups={"north": weather(4, 8)})
    lose(path, ".zattrs")
    refused(one, "/.zattrs", "title")
    write_store(path, weather(6, 8, k=5), chunks=CHUNKS, groups={"north": weather(4, 8, k=5).drop_attrs()})
    (path / "north" / ".zattrs").write_text("{}")
    one.publish()
    (path / "north" / ".zattrs").unlink()
    assert one.publish().status == "published", "nobody loses what was empty"


def test_p11_what_is_refused_goes_where_it_is_allowed_and_is_whole_there(one, run_zsync, tmp_path):
    path = write_store(one.root / "s.zarr", weather(6, 8), chunks=CHUNKS, groups={"north": weather(4, 8)})
    one.publish()
    lose(path / "t2m", ".zarray", ".zattrs")
    lose(path / "north", ".zgroup", ".zattrs")
    (tmp_path / "run.json").write_text(json.dumps(one.config()))
    done = run_zsync("publish", tmp_path / "run.json", "--damaged", "allow")
    assert "WARNING the array t2m has lost its .zarray" in done.stderr
    assert list(one.read("s.zarr").variables) == ["time", "x"]
    assert same(one.read("s.zarr", group="north").drop_attrs(), weather(4, 8).drop_attrs())


def test_p11_a_root_array(one):
    path = one.root / "s.zarr"
    one.products["s.zarr"]["kind"] = None
    one.products["s.zarr"] = {"path": "s.zarr"}
    zarr.create_array(path, shape=(4, 4), chunks=(2, 2), dtype="i4", zarr_format=3)[...] = 1
    one.publish()
    (path / "zarr.json").unlink()
    refused(one, "zarr.json", "the array at the root of the product")


# Rasters


@pytest.fixture
def cogs(site):
    site.products["cog"] = {"path": "cog", "kind": "cog"}
    write_cog(site.root / "cog" / "d" / "whole.tif", np.random.default_rng(1).random((600, 600)).astype("f4"))
    write_cog(site.root / "cog" / "a.tif", np.random.default_rng(2).random((600, 600)).astype("f4"))
    site.publish()
    return site


def cut(path, share=0.5):
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * share)])


@pytest.mark.parametrize("policy", ["warn", "refuse", "off"])
def test_p11_a_raster_that_is_cut_off_is_refused(cogs, policy):
    cut(cogs.root / "cog" / "a.tif")
    refused(cogs, "cog/a.tif", "the file ends before", check_cogs=policy)


@pytest.mark.parametrize("share", [0.999, 0.9, 0.1, 0.001])
def test_p11_wherever_it_is_cut(cogs, share):
    cut(cogs.root / "cog" / "a.tif", share)
    refused(cogs, "cog/a.tif")
    cogs.publish(damaged="allow", check_cogs="off")


def test_p11_rasters_in_any_product_and_what_belongs_to_them(site):
    for kind, product in (("files", "plain"), ("zarr", "tree")):
        site.products[product] = {"path": product, "kind": kind}
        write_cog(site.root / product / "cog" / "a.tif", np.random.default_rng(2).random((600, 600)).astype("f4"))
        shutil.copy(site.root / product / "cog" / "a.tif", site.root / product / "cog" / "b.tif.ovr")
    write_store(site.root / "tree" / "s.zarr", weather(6, 8), chunks=CHUNKS)
    (site.root / "plain" / "text.tif").write_text("is no raster, and none is asked for")
    site.publish()
    for product in ("plain", "tree"):
        for name in ("a.tif", "b.tif.ovr"):
            whole = (site.root / product / "cog" / name).read_bytes()
            cut(site.root / product / "cog" / name)
            refused(site, f"{product}/cog/{name}")
            (site.root / product / "cog" / name).write_bytes(whole)


def test_a_plan_counts_the_rasters_that_go(cogs, run_zsync, tmp_path):
    (cogs.root / "cog" / "a.tif").unlink()
    (tmp_path / "run.json").write_text(json.dumps(cogs.config()))
    done = run_zsync("plan", tmp_path / "run.json", "--max-delete", "100%")
    assert "readers lose rasters: 1, the first is a.tif" in done.stdout


# Patterns and kinds


def test_patterns_that_select_nothing(run):
    site = run("v2")
    before = there(site)
    for options in (
        {"include": ["typo*"]},
        {"exclude": ["**"]},
        {"include": ["a.zarr"], "exclude": ["a*"]},
        {"only": ["typo"]},
    ):
        for dry_run in (False, True):
            with pytest.raises(ConfigError) as raised:
                site.publish(dry_run=dry_run, **options)
            assert raised.value.exit_status == 2
            assert any(word in str(raised.value) for word in ("typo", "exclude", "include"))
    assert there(site) == before
    found = site.publish(include=["a.zarr", "typo*"])
    assert [finding.code for finding in found.findings if finding.level == "warning"] == ["idle-pattern"]
    assert "typo*" in found.findings[0].message


def test_a_product_that_a_pattern_for_all_of_them_misses_is_left_alone(run):
    site = run("v2")
    site.products["files"] = {"path": "files"}
    write_tree(site.root / "files", {"f": "1", "t2m": {"g": "2"}})
    site.publish()
    shutil.rmtree(site.root / "files" / "t2m")
    append(site.root / "t" / "a.zarr", weather(8, 8).isel(time=slice(6, None)))
    before = {key: value for key, value in there(site).items() if key.startswith("run/files/")}
    found = site.publish(include=["a.zarr"])
    assert ("nothing-selected", "files") in {(finding.code, finding.product) for finding in found.findings}
    assert {key: value for key, value in there(site).items() if key.startswith("run/files/")} == before
    assert same(site.read("t/a.zarr"), weather(8, 8))


@EVERY_FORM
@pytest.mark.parametrize("place", ["", "deep/er/s.zarr"])
def test_a_zarr_store_is_no_raster_and_no_mere_files(site, form, place):
    write_store(site.root / "p" / place, weather(6, 8), chunks=CHUNKS, **FORMS[form])
    site.products["p"] = {"path": "p", "kind": "cog"}
    for dry_run in (False, True):
        with pytest.raises(SourceError, match="set kind: zarr"):
            site.publish(dry_run=dry_run)
    assert there(site) == {}
    site.products["p"] = {"path": "p", "kind": "files"}
    found = site.publish()
    assert [finding.code for finding in found.findings] == ["zarr-as-files"]
    assert "kind: zarr" in found.findings[0].message


# A team's folder


@EVERY_FORM
def test_p11_a_damaged_store_stays_here_and_stops_nobody(s3, bucket, tmp_path, form):
    ann = Team(s3, bucket, tmp_path)("ann")
    for name in ("one.zarr", "two.zarr"):
        write_store(ann.folder / name, weather(6, 8), chunks=CHUNKS, **FORMS[form])
    write_cog(ann.folder / "a.tif", np.random.default_rng(1).random((600, 600)).astype("f4"))
    ann.sync()
    before = ann.team.remote()
    shutil.rmtree(ann.folder / "two.zarr")
    ann.write("new", "1")
    whole = (ann.folder / "a.tif").read_bytes()
    cut(ann.folder / "a.tif")
    for damage in ("the root", "an array", "all documents", "a step"):
        shutil.copytree(ann.folder / "one.zarr", tmp_path / "kept")
        if damage == "a step":
            with quiet_zarr():
                zarr.open_group(ann.folder / "one.zarr", use_consolidated=False)["t2m"].resize((9, 8))
                zarr.consolidate_metadata(ann.folder / "one.zarr")
        else:
            DAMAGE[damage][0](ann.folder / "one.zarr")
        [product] = (result := ann.sync()).products
        actions = {change.unit: change.action for change in product.changes}
        assert (actions["one.zarr"], actions["a.tif"]) == ("skipped", "skipped")
        if damage == "the root":
            assert (actions["two.zarr"], actions["new"]) == ("uploaded", "uploaded")
        assert {finding.code for finding in result.findings} == {"not-uploaded"}
        assert ann.team.remote() == {**{k: v for k, v in before.items() if not k.startswith("two.zarr/")}, "new": b"1"}
        shutil.rmtree(ann.folder / "one.zarr")
        shutil.move(tmp_path / "kept", ann.folder / "one.zarr")
    (ann.folder / "a.tif").write_bytes(whole)
    assert ann.did() == {}
    cut(ann.folder / "a.tif")
    DAMAGE["an array"][0](ann.folder / "one.zarr")
    ann.sync(damaged="allow")
    assert ann.read() == ann.team.remote()


@EVERY_FORM
def test_p11_an_array_that_became_a_group_while_its_chunks_are_left(one, form):
    path = write_store(one.root / "s.zarr", weather(6, 8), chunks=CHUNKS, **FORMS[form])
    one.publish()
    lose(path / "t2m")
    zarr.open_group(path, mode="a", use_consolidated=False).create_group("t2m")
    refused(one, "s.zarr/t2m")
    for chunk in [*path.glob("t2m/0*"), *path.glob("t2m/1*"), *path.glob("t2m/c")]:
        shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()
    one.publish(max_delete="100%")


def test_p11_watch_holds_back_whatever_is_damaged_and_nothing_else(site, tmp_path):
    rasters = np.random.default_rng(1).random((600, 600)).astype("f4")
    for name in ("cut.tif", "good.tif"):
        write_cog(site.root / "t" / name, rasters)
    for name in ("steps.zarr", "bare.zarr", "good.zarr"):
        write_store(site.root / "t" / name, weather(6, 8), chunks=CHUNKS)
    assert zsync.watch(watched(site), once=True).exit_status == 0
    before = there(site)
    cut(site.root / "t" / "cut.tif")
    write_cog(site.root / "t" / "good.tif", rasters + 1)
    (site.root / "t" / "bare.zarr" / "t2m" / ".zattrs").unlink()
    append(site.root / "t" / "good.zarr", weather(8, 8).isel(time=slice(6, None)))
    with quiet_zarr():
        zarr.open_group(site.root / "t" / "steps.zarr", use_consolidated=False)["t2m"].resize((9, 8))
        zarr.consolidate_metadata(site.root / "t" / "steps.zarr")
    result = zsync.watch(watched(site), once=True)
    assert result.exit_status == 3
    after = there(site)
    for unit in ("cut.tif", "bare.zarr", "steps.zarr"):
        mine = {key: value for key, value in before.items() if f"/{unit}" in key}
        assert {key: value for key, value in after.items() if f"/{unit}" in key} == mine
    assert after["run/t/good.tif"] != before["run/t/good.tif"]
    assert same(site.read("t/good.zarr"), weather(8, 8))


def test_watch_holds_back_a_zarr_store_among_rasters(site):
    write_cog(site.root / "t" / "a.tif", np.ones((64, 64), "f4"))
    write_store(site.root / "t" / "d" / "s.zarr", weather(6, 8), chunks=CHUNKS)
    config = watched(site)
    config["sites"]["one"]["kind"] = "cog"
    result = zsync.watch(config, once=True)
    assert (result.exit_status, "set kind: zarr" in str(result.errors["one"])) == (3, True)
    assert [key for key in there(site) if "/.zsync/" not in key] == ["run/t/a.tif"]
