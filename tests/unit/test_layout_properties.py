"""What holds of every hierarchy: each key has one place, and the order of places keeps the promises."""

from __future__ import annotations

import itertools
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from layout_strategies import (
    ATTRIBUTES,
    GROUP,
    ZGROUP,
    Tree,
    add_array,
    at,
    chunk_key,
    consolidate,
    trees,
    zarr_json,
    zarray,
)

from zsync.layout import Grid, KeyEncoding, describe, is_metadata, same_document
from zsync.words import STAGES, Kind

CALM = settings(deadline=None)  # a tree takes long to draw on a busy machine
ORDER = {stage.value: number for number, stage in enumerate(STAGES)}
ENCODINGS = st.builds(KeyEncoding, st.sampled_from(["default", "v2"]), st.sampled_from([".", "/"]))
INDEXES = st.lists(st.integers(0, 10**12), max_size=4).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def look(objects):
    documents = {k: v for k, v in objects.items() if is_metadata(Kind.ZARR, k)}
    return describe(Kind.ZARR, "p", list(objects), documents, [len(v) for v in objects.values()])


def published(tree: Tree) -> Tree:
    """Return the tree with its consolidated metadata as it is to be published."""
    store = look(tree.objects).stores[""]
    for key, content in consolidate(store).items():
        tree.put(key, content, "consolidated" if key.endswith(".zmetadata") else "metadata")
    return tree


# Keys of chunks


@given(ENCODINGS, INDEXES)
def test_keys_are_read_as_they_were_written(encoding, index):
    key = encoding.encode(index)
    assert key == chunk_key(encoding.name, encoding.separator, index)
    assert encoding.parse(key, len(index)) == index


@given(ENCODINGS, st.integers(0, 3), st.text("012./c+-_ \u0661\u00b2\n", max_size=7))
@example(KeyEncoding("v2", "."), 1, "01")
@example(KeyEncoding("v2", "/"), 2, "0//0")
@example(KeyEncoding("default", "/"), 1, "c.0")
@example(KeyEncoding("v2", "."), 0, "")
def test_an_index_has_one_key(encoding, ndim, rel):
    index = encoding.parse(rel, ndim)
    if index is not None:
        assert encoding.encode(index) == rel
        assert len(index) == ndim


def test_an_index_has_no_more_digits_than_any_array_needs():
    """`int` refuses thousands of digits."""
    encoding = KeyEncoding("v2", ".")
    assert encoding.parse("9" * 19, 1) == (10**19 - 1,)
    assert encoding.parse("9" * 20, 1) is None


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4)), max_size=3), ENCODINGS)
def test_the_grid_holds_its_objects_and_no_others(axes, encoding):
    grid = Grid(tuple(n for n, _ in axes), tuple(c for _, c in axes), encoding)
    around = itertools.product(range(8), repeat=len(axes))
    inside = [i for i in around if grid.contains(i)]
    assert len(inside) == grid.size
    assert all(i * c < n for index in inside for i, (n, c) in zip(index, axes, strict=True))
    cells = itertools.product(*(range(n) for n, _ in axes))
    assert {tuple(x // c for x, (_, c) in zip(cell, axes, strict=True)) for cell in cells} == set(inside)
    assert [grid.index(grid.key(i)) for i in inside] == inside


# Places


@CALM
@given(trees())
def test_every_key_is_classified_once(tree):
    table = look(tree.objects).objects.to_pylist()
    assert [row["key"] for row in table] == list(tree.objects)
    for row in table:
        key = row["key"]
        assert row["role"] == tree.roles[key]
        assert row["array"] == tree.array_of.get(key)
        assert row["store"] == ""
        assert row["in_grid"] is (True if row["role"] == "chunk" else None)


@CALM
@given(trees())
def test_sound_stores_have_no_errors(tree):
    assert {f.code for f in look(tree.objects).findings} <= {"foreign"}


@CALM
@given(trees(), st.randoms(use_true_random=False))
def test_the_order_of_keys_makes_no_difference(tree, random):
    # Whatever is wrong is to be said in the same words.
    objects = {k: v for k, v in tree.objects.items() if random.random() > 0.2}
    objects |= {f"{k}9": v for k, v in tree.objects.items() if random.random() > 0.8}
    shuffled = list(objects)
    random.shuffle(shuffled)
    one, other = look(objects), look({k: objects[k] for k in shuffled})
    by_key = {row["key"]: row for row in other.objects.to_pylist()}
    assert [by_key[key] for key in objects] == one.objects.to_pylist()
    assert one.findings == other.findings
    assert one.stores == other.stores


@CALM
@given(trees(depth=1), trees(depth=1))
def test_stores_beside_each_other_do_not_mix(a, b):
    both = look(a.moved("m/a.zarr") | b.moved("m/b.zarr"))
    for prefix, tree in (("m/a.zarr", a), ("m/b.zarr", b)):
        alone = look(tree.objects)
        assert both.stores[prefix].documents == alone.stores[""].documents
        assert both.stores[prefix].arrays == alone.stores[""].arrays
        rows = {r["key"]: r for r in both.objects.to_pylist() if r["store"] == prefix}
        expected = {f"{prefix}/{r['key']}": r for r in alone.objects.to_pylist()}
        assert rows == {k: {**r, "key": k, "store": prefix} for k, r in expected.items()}


# Order


def needs(tree: Tree, key: str) -> set[str]:
    """Return what must be there before a key is: what a reader looks for once it sees it (P2)."""
    directory, _, name = key.rpartition("/")
    inside = {k for k in tree.objects if directory == "" or k.startswith(f"{directory}/")}
    if key in tree.array_of:
        own = {k for k, array in tree.array_of.items() if array == directory}
        return own - {key} if name in {".zarray", "zarr.json"} and tree.roles[key] == "metadata" else set()
    if name == ".zmetadata":
        return inside - {key}
    if name == ".zgroup":
        return inside - {key, at(directory, ".zmetadata")}
    return inside - {key} if name == "zarr.json" else set()


@CALM
@given(trees(), st.randoms(use_true_random=False))
def test_nothing_is_visible_before_what_it_refers_to(tree, random):
    published(tree)
    rows = look(tree.objects).objects.to_pylist()
    random.shuffle(rows)  # equal ranks may go in any order
    rows.sort(key=lambda row: (ORDER[row["stage"]], row["rank"]))
    there: set[str] = set()
    for row in rows:
        assert needs(tree, row["key"]) <= there
        there.add(row["key"])
    last = rows[-1]["key"]
    assert last == (".zmetadata" if tree.zarr_format == 2 else "zarr.json")


@CALM
@given(trees())
def test_stages_are_those_of_the_design(tree):
    published(tree)
    for row in look(tree.objects).objects.to_pylist():
        key, role = row["key"], row["role"]
        if role in {"chunk", "foreign"}:
            assert (row["stage"], row["rank"]) == ("data", 0)
        elif key in tree.array_of:
            assert row["stage"] == "array"
        else:
            assert row["stage"] == ("group" if "/" in key else "root")


# Consolidated metadata


def listed(made: dict[str, bytes], zarr_format: int) -> dict[str, str]:
    """Return the nodes that a root's consolidated metadata lists."""
    if zarr_format == 3:
        metadata = json.loads(made["zarr.json"])["consolidated_metadata"]["metadata"]
        return {path: document["node_type"] for path, document in metadata.items()}
    metadata = json.loads(made[".zmetadata"])["metadata"]
    kinds = {".zarray": "array", ".zgroup": "group"}
    split = [key.rpartition("/")[::2] for key in metadata]
    return {path: kinds[name] for path, name in split if path and name in kinds}


@CALM
@given(trees())
def test_consolidating_lists_every_node_and_is_idempotent(tree):
    store = look(tree.objects).stores[""]
    made = consolidate(store)
    assert list(made) == [".zmetadata" if tree.zarr_format == 2 else "zarr.json"]
    assert listed(made, tree.zarr_format) == {path: kind for path, kind in tree.nodes.items() if path}
    assert consolidate(store) == made
    assert consolidate(look(tree.objects | made).stores[""]) == {}


@CALM
@given(trees(), trees(depth=1))
def test_consolidating_the_union_is_idempotent(tree, other):
    store = look(tree.objects).stores[""]
    extra = look(other.objects).stores[""].documents
    made = consolidate(store, extra)
    assert consolidate(look(tree.objects | made).stores[""], extra) == {}
    if other.zarr_format != tree.zarr_format:
        assert made == consolidate(store)
    else:
        nodes = listed(made, tree.zarr_format)
        assert nodes.items() >= {path: kind for path, kind in tree.nodes.items() if path}.items()
        assert nodes.keys() <= tree.nodes.keys() | other.nodes.keys()


@CALM
@given(trees(depth=2), st.data())
def test_any_change_of_a_node_makes_consolidated_metadata_untrue(tree, data):
    published(tree)
    path = data.draw(st.sampled_from(sorted(tree.nodes)))
    objects = dict(tree.objects)
    if tree.nodes[path] == "array" and data.draw(st.booleans()):
        changed = Tree(tree.zarr_format)
        add_array(changed, path, [77], [100], ("default", "/"), {})
        objects |= changed.documents()
    else:
        # New attributes: in a document beside (v2), or inside (v3).
        name = ".zattrs" if tree.zarr_format == 2 else "zarr.json"
        document = json.loads(objects.get(at(path, name), b"{}"))
        (document if tree.zarr_format == 2 else document["attributes"])["changed"] = 1
        objects[at(path, name)] = json.dumps(document).encode()
    made = consolidate(look(objects).stores[""])
    # Attributes of a v3 root are in the same document as its consolidated metadata, which does not repeat them.
    assert bool(made) is not (tree.zarr_format == 3 and path == "")


# Documents


def shuffled(value, random):
    if isinstance(value, dict):
        items = [(k, shuffled(v, random)) for k, v in value.items()]
        random.shuffle(items)
        return dict(items)
    return [shuffled(v, random) for v in value] if isinstance(value, list) else value


DOCUMENTS = st.one_of(
    st.builds(lambda v: {"a": v}, JSON),
    st.just(ZGROUP),
    st.builds(lambda v: GROUP | {"attributes": {"a": v}}, JSON),
    st.builds(lambda v: zarray(fill_value=v), JSON),
    st.builds(lambda v, a: zarr_json(fill_value=v, attributes=a), JSON, ATTRIBUTES),
)


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_the_order_inside_documents_makes_no_difference(document, random):
    again = json.loads(json.dumps(shuffled(document, random)))
    assert same_document(document, again)
    assert same_document(again, document)


@given(DOCUMENTS, DOCUMENTS)
def test_sameness_has_no_direction(a, b):
    assert same_document(a, b) == same_document(b, a)


@given(JSON, JSON)
def test_attributes_are_the_same_if_written_the_same(a, b):
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert same_document({"a": a}, {"a": b}) == same
