"""What names what: families of rasters, indexes, what documents name, and the order that follows."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from itertools import pairwise
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan_properties import survey

from zsync.layout import Objects, describe, is_binary_index, named_in, owners, ranks, with_families
from zsync.planning import Plan, PlannedProduct, exchange, manifest_of, withdrawal_table
from zsync.planning.diff import plan_product
from zsync.tables import column, table_of
from zsync.words import Action, Kind, Reason, Role, Stage

# --- The order of documents that name each other ----------------------------------------------------------------------

NODES = st.integers(0, 12)
GRAPHS = st.dictionaries(NODES, st.frozensets(NODES, max_size=4), max_size=13)
BASES = st.dictionaries(NODES, st.tuples(st.sampled_from([10, 20, 30]), st.integers(0, 3)), max_size=13)


def reaches(graph, start):
    found, pending = set(), [start]
    while pending:
        for node in graph.get(pending.pop(), ()):
            if node not in found:
                found.add(node)
                pending.append(node)
    return found


@given(bases=BASES, names=GRAPHS)
def test_what_is_named_goes_first_but_for_circles(bases, names):
    found = ranks(bases, names)
    assert found.keys() == bases.keys()
    assert all(found[node] >= bases[node][0] for node in bases)
    inner = {node: {n for n in names.get(node, ()) if n in bases and n != node} for node in bases}
    for node, others in inner.items():
        for other in others:
            if node not in reaches(inner, other):
                assert found[other] < found[node]
            elif (bases[other][0], -bases[other][1]) < (bases[node][0], -bases[node][1]):
                assert found[other] < found[node], "in a circle the kind and the depth tell"


@given(bases=BASES, names=GRAPHS)
def test_the_order_does_not_depend_on_that_of_the_documents(bases, names):
    assert ranks(bases, names) == ranks(dict(reversed(bases.items())), names)


PARTS = st.text(st.sampled_from(list("ab.é %&~")), min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
PLACES = st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=4)
WRITTEN = st.sampled_from(
    [str, quote, html.escape, json.dumps, lambda key: "s3://bucket/" + key, lambda key: f"<a>{key}</a>"]
)
AROUND = st.text(st.sampled_from(list(' ,"{}\n1x')), max_size=6)


@given(
    places=PLACES,
    stores=PLACES,
    written=WRITTEN,
    around=AROUND,
    data=st.data(),
)
def test_what_a_document_names_is_not_missed_by_the_quick_look(places, stores, written, around, data):
    objects = Objects([("p", key) for key in places], [("p", key) for key in stores])
    head = (around + written(data.draw(st.sampled_from(places + stores))) + around).encode()
    for whole in (True, False):
        if objects.found(("p", "index"), named_in(head, is_whole=whole)):
            assert objects.may_be_in(head)


def test_data_in_text_is_not_read_as_a_document():
    objects = Objects([("p", f"{number}.csv") for number in range(2000)])
    assert not objects.may_be_in(b"1.5,2.5,3.5\n" * 5000)
    assert objects.may_be_in(b"1.5,2.5\n17.csv\n")


def test_a_long_chain_is_no_trouble():
    found = ranks(dict.fromkeys(range(5000), (10, 0)), {n: [n + 1] for n in range(4999)})
    assert [found[n] for n in (0, 4999)] == [5009, 10]


# --- What documents name ----------------------------------------------------------------------------------------------

PLACES = [
    ("cog", "2024/a b.tif"), ("cog", "2024/c.tif"), ("cog", "items/c.json"), ("cog", "year=2024/d.tif"),
    ("zarr", "x.zarr/.zmetadata"), ("site", "sub/index.html"), ("site", "index.html"), ("site", "e&f.tif"),
]  # fmt: skip
OBJECTS = Objects(PLACES, [("zarr", "x.zarr")])
FILES = Objects(PLACES)  # where there are no stores, most words are told by their end alone


@pytest.mark.parametrize(
    ("product", "key", "text", "expected"),
    [
        ("cog", "mosaic.vrt", '<SourceFilename relativeToVRT="1">2024/a b.tif</SourceFilename>', ["2024/a b.tif"]),
        ("cog", "m/mosaic.vrt", "<SourceFilename>../2024/c.tif</SourceFilename>", ["2024/c.tif"]),
        ("cog", "m.txt", "/scratch/run 7/2024/c.tif\n", ["2024/c.tif"]),
        ("cog", "m.txt", "s3://bucket/cog/year=2024/d.tif", ["year=2024/d.tif"]),
        ("cog", "m.txt", "https://host/cog/2024/a%20b.tif?versionId=1#x", ["2024/a b.tif"]),
        ("cog", "sums", "d41d8cd98f00b204e9800998ecf8427e  2024/c.tif\n", ["2024/c.tif"]),
        ("cog", "list.csv", "name,size\nc.tif,1\n", ["2024/c.tif"]),
        ("cog", "list.yml", "tiles: [2024/c.tif, other.tif]", ["2024/c.tif"]),
        ("cog", "win.txt", r"2024\c.tif", ["2024/c.tif"]),
        ("site", "page", '<a href="e&amp;f.tif">', ["e&f.tif"]),
        ("site", "catalog.txt", "../cog/items/c.json", ["items/c.json"]),
        ("site", "intake.yml", "urlpath: '{{ CATALOG_DIR }}/../x.zarr/t2m/0.0'", ["x.zarr"]),
        ("site", "xarray.py", 'xr.open_zarr("s3://b/x.zarr", consolidated=True)', ["x.zarr"]),
        ("site", "sub/page.html", '<a href="../index.html">up</a>', ["index.html"]),
        ("site", "sub/page.html", '<a href="index.html">', ["sub/index.html"]),
        ("site", "sub/page.html", '<a href="/index.html">', ["index.html"]),
        ("site", "sub/more/page.html", '<a href="../index.html">', ["sub/index.html"]),
        ("site", "notes", "nothing of it is here: z.tif, 2023/c.tiff, bare words", []),
        ("cog", "2024/c.tif.txt", "c.tif.txt", []),
    ],
)
def test_what_a_text_names(product, key, text, expected):
    names = named_in(text.encode(), is_whole=True)
    assert sorted(name for _, name in OBJECTS.found((product, key), names)) == expected
    among_files = [name for name in expected if name != "x.zarr"]
    assert sorted(name for _, name in FILES.found((product, key), names)) == among_files


@pytest.mark.parametrize("is_whole", [True, False])
def test_json_is_understood_whole_and_searched_else(is_whole):
    document = {"tiles": {"0/0/0": ["2024/c.tif"]}, "refs": {"t/0": ["s3://b/cog/year=2024/d.tif", 0, 10]}}
    found = OBJECTS.found(("cog", "m.json"), named_in(json.dumps(document).encode(), is_whole=is_whole))
    assert {name for _, name in found} == {"2024/c.tif", "year=2024/d.tif"}


def test_no_name_is_longer_than_a_key_can_be():
    for length, is_found in ((1024, True), (1025, False)):
        key = "d/" + "x" * (length - 6) + ".tif"
        objects = Objects([("p", key)])
        for head, is_whole in ((json.dumps([key]).encode(), True), (key.encode(), True), (key.encode(), False)):
            assert bool(objects.found(("p", "i"), named_in(head, is_whole=is_whole))) == is_found


def test_links_that_lead_up_do_not_count():
    said = {"root": "../catalog.json", "parent": "../catalog.json", "self": "./c.json", "item": "d.json"}
    links = [{"rel": rel, "href": href} for rel, href in said.items()]
    names = named_in(json.dumps({"links": links, "assets": {"x": {"href": "../2024/c.tif"}}}).encode(), is_whole=True)
    assert {"d.json", "../2024/c.tif"} <= set(names)
    assert not {"../catalog.json", "./c.json"} & set(names)


@pytest.mark.parametrize("head", [b"SQLite format 3\0...", b"PAR1...", b"fgb\x03fgb\x00...", b"ARROW1\0\0"])
def test_binary_forms_of_indexes_are_known_by_their_first_bytes(head):
    assert is_binary_index(head)
    assert not is_binary_index(b"x" + head)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_borne(head, is_whole):
    OBJECTS.found(("cog", "x/y"), named_in(head, is_whole=is_whole))


# --- Repositories whose files say nothing by their names --------------------------------------------------------------


def test_an_icechunk_repository_goes_from_chunks_to_refs():
    keys = ["r/chunks/AAAA", "r/manifests/BBBB", "r/transactions/CCCC", "r/snapshots/CCCC",
            "r/refs/branch.main/ref.json", "r/config.yaml", "r/repo"]  # fmt: skip
    for kind in (Kind.FILES, Kind.COG):
        found = describe(kind, "p", keys, {}).objects.to_pylist()
        rows = {row["key"]: (Stage(row["stage"]), row["rank"]) for row in found}
        order = ["r/chunks/AAAA", "r/manifests/BBBB", "r/snapshots/CCCC", "r/refs/branch.main/ref.json"]
        places = [(stage is Stage.ROOT, rank) for stage, rank in (rows[key] for key in order)]
        assert all(left < right for left, right in pairwise(places))
        assert rows["r/repo"] == rows["r/refs/branch.main/ref.json"]
        assert rows["r/transactions/CCCC"] == rows["r/manifests/BBBB"]
        assert rows["r/config.yaml"] == rows["r/chunks/AAAA"] == (Stage.DATA, 0)


@pytest.mark.parametrize(
    ("keys", "is_repository"),
    [
        (["r/snapshots/A", "r/refs/x"], True), (["r/snapshots/A", "r/repo"], True),
        (["r/snapshots/A", "r/refs"], False), (["r/snapshots", "r/refs/x"], False), (["r/snapshots/A"], False),
        (["r/snapshots/A", "refs/x"], False), (["r/snapshots/A", "r/data/x", "r/tags/x"], False),
        (["r/refs/x", "r/chunks/A", "r/tags/x"], False),
    ],
)  # fmt: skip
def test_a_repository_has_snapshots_and_what_names_them(keys, is_repository):
    row = describe(Kind.FILES, "p", keys, {}).objects.to_pylist()[0]
    assert (row["role"], row["stage"]) == (("index", "root") if is_repository else ("file", "data"))


# --- Rasters beside stores --------------------------------------------------------------------------------------------

GROUP = json.dumps({"zarr_format": 2}).encode()


@pytest.mark.parametrize("store", ["", "a.zarr/"])
def test_rasters_beside_stores_and_in_them_are_rasters(store):
    documents = {f"{store}.zgroup": GROUP}
    keys = [*documents, "cog/a.tif", "cog/a.tif.msk", "cog/mosaic.vrt", "readme"]
    layout = describe(Kind.ZARR, "p", keys, documents)
    roles = {row["key"]: row["role"] for row in layout.objects.to_pylist()}
    assert roles["cog/a.tif"] == Role.COG
    assert roles["cog/a.tif.msk"] == Role.SIDECAR
    assert roles["cog/mosaic.vrt"] == Role.INDEX
    assert roles["readme"] == Role.FOREIGN
    assert not any(finding.key.endswith(".tif") for finding in layout.findings)


def test_documents_that_other_tools_keep_in_a_store_go_after_what_they_name():
    array = json.dumps({"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "<f4", "compressor": None,
                        "fill_value": 0, "order": "C", "filters": None}).encode()  # fmt: skip
    documents = {".zgroup": GROUP, "g/.zgroup": GROUP, "g/t/.zarray": array}
    keys = [*documents, "g/t/0", "g/t/.nczarray", ".nczgroup", "g/.nczgroup", "zmetadata", "g/zmetadata.json"]
    rows = {row["key"]: row for row in describe(Kind.ZARR, "p", keys, documents).objects.to_pylist()}
    place = {key: (list(Stage).index(Stage(row["stage"])), row["rank"]) for key, row in rows.items()}
    assert place["g/t/0"] < place["g/t/.nczarray"] < place["g/t/.zarray"] < place["g/.nczgroup"] < place["g/.zgroup"]
    assert place["g/.zgroup"] < place[".nczgroup"] < place[".zgroup"] < place["g/zmetadata.json"]
    assert place[".zgroup"] < place["zmetadata"]
    alone = describe(Kind.ZARR, "p", ["0", ".nczarray", ".zarray"], {".zarray": array}).objects.to_pylist()
    assert [(row["stage"], row["rank"]) for row in alone] == [("data", 0), ("root", 0), ("root", 2)]


# --- Families ---------------------------------------------------------------------------------------------------------


def test_what_belongs_to_which_raster():
    keys = ["d/A.TIF", "d/A.TIF.msk", "d/A.tif.ovr", "d/a.tfw", "d/A.tif.msk.ovr", "e/a.prj", "b.jp2", "b.jp2.aux.xml",
            "b.j2w", "m.vrt", "m.vrt.ovr", "c.tif", "c.aux.xml", "c_RPC.TXT", "lone.tif.msk", "c.csv"]  # fmt: skip
    assert owners(keys) == {
        "d/A.TIF.msk": "d/A.TIF", "d/A.tif.ovr": "d/A.TIF", "d/a.tfw": "d/A.TIF", "d/A.tif.msk.ovr": "d/A.TIF",
        "b.jp2.aux.xml": "b.jp2", "b.j2w": "b.jp2", "m.vrt.ovr": "m.vrt", "c.aux.xml": "c.tif", "c_RPC.TXT": "c.tif",
    }  # fmt: skip
    assert with_families(["d/A.TIF.msk", "c.csv"], keys) == {
        "d/A.TIF", "d/A.TIF.msk", "d/A.tif.ovr", "d/a.tfw", "d/A.tif.msk.ovr", "c.csv"
    }  # fmt: skip


RASTER = "a.tif"
MEMBERS = (RASTER, "a.tif.msk", "a.tif.ovr", "a.tfw")
FAMILIES = st.fixed_dictionaries({}, optional={key: st.sampled_from([b"1", b"22", b"333"]) for key in MEMBERS})


@given(before=FAMILIES, after=FAMILIES, keeps=st.booleans(), others=st.booleans())
def test_no_reader_sees_a_sidecar_over_a_raster_that_it_is_not_of(before, after, keeps, others):
    """Between any two writes a raster has all that is of it, but perhaps for spare parts."""
    more = {"z.tif": b"z", "z.txt": b"z"} if others else {}
    source, target = {**after, **more}, {**before, "old": b"x"}
    table, withdrawals = exchange(plan_product("p", survey(source, target, target), keeps=keeps))
    rows = pa.concat_tables([table, withdrawal_table(withdrawals)])
    plan = Plan(rows, (PlannedProduct("p", "s3://b/p", "/src", "cog", "trash", None),))
    now = dict(target)
    for wave in plan.waves():
        rows = wave.table.to_pylist()
        assert wave.takes_away == all(row["action"] == Action.RETIRE for row in rows)
        assert wave.takes_away == any(row["action"] == Action.RETIRE for row in rows)
        for row in rows:  # one after the other: each order of a wave's objects is possible
            if row["action"] == Action.SEND:
                now[row["key"]] = source[row["key"]]
            else:
                del now[row["key"]]
            judge(now, before, after, keeps)
    if (RASTER in after and (before.get(RASTER) != after[RASTER])) or not keeps:
        assert {key: now[key] for key in MEMBERS if key in now} == after


def judge(now, before, after, keeps):
    if RASTER not in now:
        return
    seen = {key: now.get(key) for key in MEMBERS[1:]}
    families = [family for family in (before, after) if family.get(RASTER) == now[RASTER]]
    whole = [{key: family.get(key) for key in MEMBERS[1:]} for family in families]
    if before.get(RASTER) == after.get(RASTER) or RASTER not in after:
        return  # only what is beside it changes, or it goes away: each by itself
    fits = [
        all(seen[key] == family[key] or (key.endswith(".ovr") and seen[key] is None) for key in seen)
        for family in whole
    ]
    assert any(fits), (now, before, after, keeps)


def test_a_sidecar_of_a_raster_that_stays_follows_the_policy():
    target = {"a.tif": b"1", "a.tif.msk": b"m"}
    for keeps, action in ((True, Action.KEEP), (False, Action.RETIRE)):
        table, withdrawals = exchange(plan_product("p", survey({"a.tif": b"1"}, target, target), keeps=keeps))
        rows = {row["key"]: row for row in table.to_pylist()}
        assert (rows["a.tif.msk"]["action"], withdrawals) == (action, [])
        assert rows["a.tif.msk"]["reason"] != Reason.STALE_SIDECAR


def test_a_mosaic_is_withdrawn_whatever_belongs_to_it():
    """It comes at the very end: overviews could not go after it."""
    source, target = {"m.vrt": b"2", "m.vrt.ovr": b"n"}, {"m.vrt": b"1", "m.vrt.ovr": b"m"}
    table, [withdrawal] = exchange(plan_product("p", survey(source, target, target), keeps=False))
    assert (withdrawal.key, withdrawal.stage) == ("m.vrt", Stage.DATA)
    rows = {row["key"]: (row["stage"], row["rank"]) for row in table.to_pylist()}
    assert rows == {"m.vrt": (Stage.ROOT, 10), "m.vrt.ovr": (Stage.DATA, 7)}


def test_where_nothing_may_be_taken_away_sidecars_go_first_all_the_same():
    source, target = {"a.tif": b"2", "a.tif.msk": b"n"}, {"a.tif": b"1", "a.tif.msk": b"m", "a.tfw": b"w"}
    table, withdrawals = exchange(plan_product("p", survey(source, target, target), keeps=True), withdraws=False)
    rows = {row["key"]: row for row in table.to_pylist()}
    assert withdrawals == []
    assert rows["a.tif.msk"]["rank"] < rows["a.tif"]["rank"]
    assert rows["a.tfw"]["action"] == Action.KEEP


def test_what_belongs_to_a_raster_and_is_replaced_goes_before_rasters_that_are():
    """Whoever may take nothing away keeps to the ranks."""
    tree = dict.fromkeys(["a.tif", "a.tif.msk", "b.txt", "i.json"], b"1")
    new = {"n.tif": b"1", "n.tif.msk": b"1", "n.json": b"1"}
    rows = plan_product("p", survey(dict.fromkeys(tree, b"2") | new, tree, tree), keeps=False).to_pylist()
    assert {row["key"]: row["rank"] for row in rows} == {
        "n.tif.msk": -10, "n.tif": 0, "a.tif.msk": 7, "a.tif": 10, "b.txt": 10, "i.json": 10, "n.json": 10,
    }  # fmt: skip


def test_a_raster_that_only_gets_other_headers_takes_nothing_with_it():
    source, target = {"a.tif": b"1", "a.tif.msk": b"n"}, {"a.tif": b"1", "a.tif.msk": b"m", "a.tfw": b"w"}
    made = survey(source, target, target, headers="other")
    table, withdrawals = exchange(plan_product("p", made, keeps=True))
    rows = {row["key"]: (row["action"], row["reason"], row["rank"]) for row in table.to_pylist()}
    assert withdrawals == []
    assert rows["a.tif"] == (Action.SEND, Reason.HEADERS, 10)
    assert (rows["a.tif.msk"], rows["a.tfw"][:2]) == (
        (Action.SEND, Reason.CHANGED, 7), (Action.KEEP, Reason.POLICY)
    )  # fmt: skip


def test_columns_of_other_types_are_edited_as_well():
    from zsync.planning import edited

    table = pa.table({"rank": column([1, 2], pa.int32()), "order": column([None, 3], pa.int32())})
    assert edited(table, {0: {"order": 7}}).to_pylist() == [{"rank": 1, "order": 7}, {"rank": 2, "order": 3}]


# --- Retiring ---------------------------------------------------------------------------------------------------------


def test_indexes_are_retired_in_the_reverse_of_the_order_on_record():
    names = {"a.tif": None, "b.txt": 10, "c.txt": 11, "sub/catalog.json": 30, "catalog.json": 31, "x.html": 40}
    target = dict.fromkeys(names, b"x")
    found = survey({}, target, target)
    rows = [
        {**row, "order": names[row["key"]], "stage": "data" if names[row["key"]] is None else "root"}
        for row in found.manifest.to_pylist()
    ]
    found = replace(found, manifest=table_of(rows, found.manifest.schema))
    plan = Plan(
        plan_product("p", found, keeps=False), (PlannedProduct("p", "s3://b/p", "/src", "files", "trash", None),)
    )
    gone = [key for wave in plan.waves() for key in wave.table["key"].to_pylist()]
    assert gone == list(reversed(names))


def test_what_belongs_to_a_raster_is_retired_after_it():
    target = dict.fromkeys(["a.tif", "a.tif.msk", "b.txt", "c.json"], b"x")
    product = (PlannedProduct("p", "s3://b/p", "/src", "cog", "trash", None),)
    plan = Plan(plan_product("p", survey({}, target, target), keeps=False), product)
    indexed, files, sidecars = (sorted(wave.table["key"].to_pylist()) for wave in plan.waves())
    assert (indexed, files, sidecars) == (["c.json"], ["a.tif", "b.txt"], ["a.tif.msk"])


def test_the_order_of_an_index_that_stays_is_as_it_was_put_down():
    body = {"b.txt": b"x", "c.json": b"x"}
    found = survey(body, body, body)
    rows = [{**row, "order": 17} for row in found.manifest.to_pylist()]
    table = plan_product("p", replace(found, manifest=table_of(rows, found.manifest.schema)), keeps=False)
    assert table["order"].to_pylist() == [17, 17]
    assert manifest_of(Plan(table, ()), "p")["order"].to_pylist() == [17, 17]
    assert plan_product("p", survey(body, {}), keeps=False)["order"].to_pylist() == [None, 10]
