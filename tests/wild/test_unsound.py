"""What is unsound is refused with the right word, and nothing is written: forty mutations of the corpus."""

from __future__ import annotations

import json

from kept import cases
from test_wild import Lab
from trees import s3_tree

from zsync.errors import SourceError

V2, V3, SHARDED, NESTED, NESTED_2, PACKED, COGS, TREE = (
    "zarr_3_1/format-2-append",
    "zarr_3_1/append",
    "zarr_3_1/sharded-append",
    "zarr_3_1/nested",
    "zarr_2_18/nested",
    "xarray_2024/era5-v2",
    "gdal_cog/days",
    "xarray_newest/pyramid-v3",
)


def lost(*keys):
    """Take files away."""
    return lambda files: [files.pop(key) for key in keys]


def to(key, content):
    return lambda files: files.update({key: content if isinstance(content, bytes) else content.encode()})


def cut(key, part=0.5):
    return lambda files: files.update({key: files[key][: int(len(files[key]) * part)]})


def says(key, **values):
    """Change what a document says."""

    def change(files):
        files[key] = json.dumps({**json.loads(files[key]), **values}).encode()

    return change


def attributes(key, **values):
    def change(files):
        document = json.loads(files[key])
        held = document.setdefault("attributes", {}) if key.endswith("zarr.json") else document
        held.update(values)
        files[key] = json.dumps(document).encode()

    return change


def replaced(key, old, new):
    def change(files):
        assert old.encode() in files[key], (key, old, files[key])
        files[key] = files[key].replace(old.encode(), new.encode(), 1)

    return change


def moved(old, new):
    return lambda files: files.update({new: files.pop(old)})


def also(*steps):
    return lambda files: [step(files) for step in steps]


ARRAY = {"zarr_format": 3, "node_type": "array"}
MUTATIONS = {}
# What is gone while what is below it is left
MUTATIONS |= {
    "root of format 2 gone": (
        V2,
        lost(".zgroup", ".zattrs", ".zmetadata"),
        "the group at the root of the product has lost its .zgroup",
    ),
    "root of format 3 gone": (V3, lost("zarr.json"), "the group at the root of the product has lost its zarr.json"),
    "array of format 2 gone": (V2, lost("t2m/.zarray"), "the array t2m has lost its .zarray"),
    "array of format 3 gone": (V3, lost("t2m/zarr.json"), "the array t2m has lost its zarr.json"),
    "coordinate gone": (SHARDED, lost("time/zarr.json"), "the array time has lost its zarr.json"),
    "group of format 2 gone": (NESTED_2, lost("a/b/.zgroup"), "the group a/b has lost its .zgroup"),
    "group of format 3 gone": (NESTED, lost("a/b/zarr.json"), "the group a/b has lost its zarr.json"),
    "level of a pyramid gone": (TREE, lost("2/zarr.json"), "the group 2 has lost its zarr.json"),
    "all documents gone": (
        V3,
        lost("zarr.json", "t2m/zarr.json", "time/zarr.json", "x/zarr.json"),
        "there is no Zarr store here",
    ),
    "everything gone": (V3, lambda files: files.clear(), "the source is empty"),
    "chunks gone": (
        V2,
        lost(*(f"t2m/{i}.{j}" for i in range(3) for j in range(2))),
        "6 of 17 objects would be retired",
    ),
}
# What is no document
MUTATIONS |= {
    "array of format 2 cut": (V2, cut("t2m/.zarray"), "t2m/.zarray is not JSON"),
    "array of format 3 cut": (V3, cut("t2m/zarr.json"), "t2m/zarr.json is not JSON"),
    "root of format 3 cut": (V3, cut("zarr.json"), "zarr.json is not JSON"),
    "group of format 2 empty": (V2, to(".zgroup", ""), ".zgroup is empty"),
    "attributes cut": (V2, cut("t2m/.zattrs"), "t2m/.zattrs is not JSON"),
    "attributes a list": (V2, to("t2m/.zattrs", "[1]"), "t2m/.zattrs is not a JSON object"),
    "document that is a list": (V3, to("x/zarr.json", "[]"), "x/zarr.json is not a JSON object"),
    "document deeper than anything reads": (
        V2,
        to("t2m/.zattrs", '{"a":' * 3000 + "1" + "}" * 3000),
        "nested too deeply",
    ),
}
# What no reader could make sense of
MUTATIONS |= {
    "shape NaN": (V3, replaced("x/zarr.json", "6", "NaN"), "a shape that is not a list of whole numbers"),
    "shape negative": (V3, says("t2m/zarr.json", shape=[-6, 6]), "a shape that is not a list of whole numbers"),
    "shape of another rank": (V2, says("t2m/.zarray", shape=[6]), "1 dimensions in shape and 2 in chunks"),
    "shape of text": (V2, says("t2m/.zarray", shape=["6", "6"]), "a shape that is not a list of whole numbers"),
    "shape too large for any machine": (
        V2,
        says("time/.zarray", shape=[2**70]),
        "the dimension time has length 6 in t2m and 1180591620717411303424 in time",
    ),
    "chunks of no length": (V2, says("t2m/.zarray", chunks=[0, 3]), "a zero in chunks"),
    "format unknown": (V3, says("t2m/zarr.json", zarr_format=4), "zarr_format 4 in place of 3"),
    "neither array nor group": (V3, says("t2m/zarr.json", node_type="table"), "node_type 'table' in place of"),
    "codecs none": (V3, says("t2m/zarr.json", codecs=[]), "codecs"),
    "names of dimensions too few": (
        V3,
        says("t2m/zarr.json", dimension_names=["time"]),
        "has 1 dimension_names for 2 dimensions",
    ),
    "one name for two dimensions of unlike lengths": (
        V3,
        also(says("t2m/zarr.json", dimension_names=["time", "time"]), says("t2m/zarr.json", shape=[6, 5])),
        "the dimension time has length 6 in t2m and 5",
    ),
    "array in an array": (
        V3,
        also(*(to(f"t2m/in/{k}", "x") for k in ("c/0",)), lambda f: f.update({"t2m/in/zarr.json": f["x/zarr.json"]})),
        "metadata of its own inside the array t2m",
    ),
    "array and group at once": (
        V2,
        to("t2m/.zgroup", '{"zarr_format": 2}'),
        "an array (.zarray) and a group (.zgroup) at once",
    ),
    "keys with another separator": (V2, says("t2m/.zarray", dimension_separator="/"), "readers take it for missing"),
    "keys in another encoding": (V3, says("t2m/zarr.json", chunk_key_encoding={"name": "v2"}), "chunk key encoding"),
    "chunk that is empty": (V3, to("t2m/c/0/0", ""), "has no bytes"),
    "shard that is cut to nothing": (SHARDED, to("t2m/c/0/0", ""), "has no bytes"),
    "chunk shape of shards that does not divide": (
        SHARDED,
        replaced("t2m/zarr.json", "4", "5"),
        "that chunks of [2, 3] do not fill",
    ),
}
# What readers of what is published would read wrongly
MUTATIONS |= {
    "dtype swapped, chunks left": (V3, says("t2m/zarr.json", data_type="int32", fill_value=0), "data type was"),
    "dtype of format 2 swapped": (V2, says("t2m/.zarray", dtype="<i4", fill_value=0), "data type was"),
    "byte order swapped": (V2, says("t2m/.zarray", dtype=">f4"), "data type was"),
    "compressor swapped": (V2, says("t2m/.zarray", compressor=None), "compressor was"),
    "order swapped": (V2, says("t2m/.zarray", order="F"), "order was"),
    "fill value swapped": (V3, says("t2m/zarr.json", fill_value=0.0), "fill value was"),
    "chunk shape swapped": (V2, says("t2m/.zarray", chunks=[3, 3]), "lies outside the grid"),
    "scale swapped": (PACKED, attributes("t2m/.zattrs", scale_factor=0.5), "scale_factor was"),
    "epoch swapped": (PACKED, attributes("time/.zattrs", units="days since 1970-01-01"), "units was"),
    "calendar swapped": (PACKED, attributes("time/.zattrs", calendar="noleap"), "calendar was"),
    "one of two grows along a dimension": (
        V3,
        says("t2m/zarr.json", shape=[8, 6]),
        "the dimension time has length 8 in t2m and 6 in time",
    ),
    "a coordinate shrinks alone": (
        V2,
        says("time/.zarray", shape=[4]),
        "the dimension time has length 6 in t2m and 4 in time",
    ),
}
# Rasters
MUTATIONS |= {
    "raster cut": (COGS, cut("oco3_lauder_2020-01-01_filtered_xco2.tif", 0.6), "the file ends before 1 of its 1 tiles"),
    "raster cut in its header": (
        COGS,
        cut("oco3_lauder_2020-01-01_filtered_xco2.tif", 0.1),
        "the file ends before its directory",
    ),
    "raster empty": (COGS, to("oco3_lauder_2020-01-01_filtered_xco2.tif", ""), "not a TIFF file"),
    "raster that is a page": (
        COGS,
        to("oco3_lauder_2020-01-01_filtered_xco2.tif", "<html>404</html>"),
        "not a TIFF file",
    ),
    "rasters gone": (
        COGS,
        lambda f: [f.pop(k) for k in list(f) if k.endswith(".tif")],
        "of 8 objects would be retired",
    ),
}


# What no reader opens, or not all read alike, where nothing is published that it could be compared with
FIRST = {
    "attributes of format 3 a list": (
        V3,
        says("t2m/zarr.json", attributes=[1]),
        "has attributes that are not an object",
    ),
    "attributes of the root a list": (V3, says("zarr.json", attributes=[1]), "has attributes that are not an object"),
    "document in another encoding": (
        V3,
        lambda files: files.update({"x/zarr.json": files["x/zarr.json"].decode().encode("utf-16")}),
        "no text in UTF-8",
    ),
    "name said twice": (V3, replaced("t2m/zarr.json", '"shape"', '"shape": [1, 1], "shape"'), "says 'shape' twice"),
    "chunks that do not fill shards": (SHARDED, replaced("t2m/zarr.json", "4", "5"), "shards of [5, 6]"),
    "no codec makes bytes": (V3, says("t2m/zarr.json", codecs=[{"name": "gzip"}]), "codecs of which none make bytes"),
    "two codecs make bytes": (V3, says("t2m/zarr.json", codecs=["bytes", "bytes"]), "bytes and bytes make bytes"),
    "names too few": (V3, says("t2m/zarr.json", dimension_names=["time"]), "has 1 dimension_names for 2 dimensions"),
    "names that are numbers": (V3, says("t2m/zarr.json", dimension_names=[1, 2]), "has dimension_names that are not"),
    "order unknown": (V2, says("t2m/.zarray", order="Z"), "has order 'Z' in place of 'C' or 'F'"),
    "dtype a number": (V2, says("t2m/.zarray", dtype=5), "has a dtype that is neither"),
    "compressor without a name": (
        V2,
        says("t2m/.zarray", compressor={"level": 1}),
        "has a compressor that is no object",
    ),
    "filters no list": (V2, says("t2m/.zarray", filters={"id": "delta"}), "has filters that are not a list"),
}


def base(key):
    archive, name = key.split("/")
    return next(case for case in cases(archive) if case.name == name)


class Named:
    """A case under another name, and changed."""

    def __init__(self, case, name, after):
        self.key, self.name, self.about, self.before, self.after = case.key, name, case.about, case.before, after

    def state(self, which):
        return self.before if which == "before" else self.after


def unpublishable(lab, words):
    """Publish; return what came of it where that is no refusal in these words."""
    try:
        lab.publish(max_delete="25%")
    except SourceError as error:
        return None if words in str(error) else str(error)
    except Exception as error:
        return repr(error)
    return "it was published"


def test_unsound_mutations_are_refused_with_the_right_word_and_nothing_is_written(s3, bucket, tmp_path):
    assert len(MUTATIONS) >= 40
    bases = {key: base(key) for key in dict.fromkeys(key for key, _, _ in MUTATIONS.values())}
    lab = Lab(s3, bucket, tmp_path, [Named(case, key.replace("/", "-"), case.before) for key, case in bases.items()])
    lab.lay("before")
    lab.publish()
    before = s3_tree(s3, bucket)
    problems = {}
    for what, (key, mutate, words) in MUTATIONS.items():
        files = dict(bases[key].before)
        mutate(files)
        assert files != bases[key].before, what
        lab.cases = [Named(bases[key], key.replace("/", "-"), files)]
        lab.lay("after")
        if said := unpublishable(lab, words):
            problems[what] = said
    assert problems == {}
    assert s3_tree(s3, bucket) == before


def test_what_no_reader_opens_is_refused_on_a_first_publish(s3, bucket, tmp_path):
    problems = {}
    for what, (key, mutate, words) in FIRST.items():
        case = base(key)
        files = dict(case.before)
        mutate(files)
        assert files != case.before, what
        lab = Lab(s3, bucket, tmp_path, [Named(case, "unsound", files)])
        lab.lay("after")
        if said := unpublishable(lab, words):
            problems[what] = said
    assert problems == {}
    assert s3_tree(s3, bucket) == {}
