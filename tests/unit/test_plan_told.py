"""How a plan is told: as text, as JSON, as tables; and what readers find of files after a part of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa
from test_plan_properties import survey
from test_planning import published, store
from world import World

from zsync.planning import (
    Loss,
    Plan,
    PlannedProduct,
    exchange,
    files_seen,
    plan_product,
    withdrawal_table,
)
from zsync.planning.classify import ChangeClass
from zsync.planning.show import plan_text
from zsync.report.shown import Findings, Line, Table
from zsync.report.text import findings_text
from zsync.tables import PLAN, table_of
from zsync.words import Finding


def of_rasters(source, target, name="r", kind="files"):
    """Return the plan of a product of files, rasters exchanged with what belongs to them."""
    table, withdrawals = exchange(plan_product(name, survey(source, target, target), keeps=False))
    rows = pa.concat_tables([table, withdrawal_table(withdrawals)])
    return Plan(rows, (PlannedProduct(name, f"s3://b/{name}", "/src", kind, "trash", None),))


def together(*plans):
    """Return plans as one."""
    return Plan(
        pa.concat_tables([plan.table for plan in plans]),
        tuple(product for plan in plans for product in plan.products),
        changes=tuple(change for plan in plans for change in plan.changes),
    )


def shrinking():
    """Return the plan of a store of which one axis gets shorter, and an array goes."""
    return published(store(6, more=["w"]).files()).plan(store(2, title="other").files())


RASTERS = of_rasters(
    {"a.tif": b"new", "a.tif.msk": b"mask 2", "same.txt": b"x"},
    {"a.tif": b"old", "a.tif.msk": b"mask 1", "same.txt": b"x"},
)


EXCHANGED = "are replaced with masks or overviews, so that no reader sees those of one over another"
PLANS = replace(
    together(shrinking(), RASTERS),
    findings=(Finding("info", "code", "p", "k", "said"),),
    losses=(Loss("p", "array", "w"), Loss("r", "rasters", "b.tif", count=2)),
)


def test_a_plan_says_what_it_does_product_by_product():
    assert plan_text(PLANS).splitlines() == [
        "p -> s3://b/p: 4 to send, 4 unchanged, 13 to retire (trash), 691 B",
        "  send    (metadata)  2  423 B  changed",
        "  retire  t           2  4 B    gone from the source",
        "  send    t           1  131 B  changed",
        "  retire  v           4  16 B   gone from the source",
        "  send    v           1  137 B  changed",
        "  retire  w           7  161 B  gone from the source",
        "  shrink: t, v; readers see the old extent, then the new one",
        "  removed: w",
        "  readers lose array: w",
        "  fence: 3 metadata objects go first, so that no reader sees a cell that is neither old nor new",
        "r -> s3://b/r: 2 to send, 1 unchanged, 9 B",
        "  send  .  2  9 B  changed",
        "  readers lose rasters: 2, the first is b.tif",
        f"  exchange: 1 files are taken away while their rasters {EXCHANGED}",
        "requests: 23 PUT, 13 COPY, 2 LIST, 18 GET, 1 DELETE; about $0.0002 at S3's list price, 0.0 s at its rate",
    ]


def test_a_plan_that_does_nothing_says_so():
    world = published(store().files())
    assert plan_text(world.plan(store().files())).splitlines() == [
        "p -> s3://b/p: 0 to send, 11 unchanged, 0 B",
        "requests: 0 PUT, 0 COPY, 1 LIST, 9 GET, 0 DELETE; about $0.0000 at S3's list price, 0.0 s at its rate",
    ]


def test_a_plan_says_which_values_readers_may_see_side_by_side_and_what_is_withdrawn():
    world = published(store().files())
    said = plan_text(world.plan(store(k=2).files()))
    assert "\n  update: v, 4 chunks inside the old extent; not atomic: while" in said
    assert "withdraw" not in said
    replaced = {name: body.replace(b"|u1", b"|i1") for name, body in store().files().items()}
    assert "\n  withdraw: 4 metadata objects are taken away first, and come back" in plan_text(world.plan(replaced))


def test_a_plan_of_many_arrays_shows_sixty_lines():
    rows = [
        {"product": "p", "key": f"{n}/0", "store": "", "array": str(n), "role": "chunk", "stage": "data",
         "action": "send", "reason": "new", "size": 1}
        for n in range(61)
    ]  # fmt: skip
    product = (PlannedProduct("p", "s3://b/p", "/src", "zarr", "trash", None),)
    sixty, more = (plan_text(Plan(table_of(rows[:count], PLAN), product)).splitlines() for count in (60, 61))
    assert len(sixty) == 62
    assert (len(more), more[61]) == (63, "  and 1 more lines; --json or --plan-out has all")


def test_of_many_arrays_of_one_class_eight_are_named():
    names = [f"w{number}" for number in range(6)]
    eight = World().plan(store(more=names).files("a.zarr"))
    assert "\n  new: a.zarr/t, a.zarr/v, a.zarr/w0, a.zarr/w1, " in plan_text(eight)
    assert "more" not in plan_text(eight)
    nine = World().plan(store(more=[*names, "w6"]).files("a.zarr"))
    assert "a.zarr/w5 and 1 more" in plan_text(nine)


def test_a_plan_as_json():
    told = PLANS.to_dict()
    usual = {"parent": None, "keep": 0, "copy": 0}
    assert told["products"] == [
        {
            **usual,
            "name": "p",
            "url": "s3://b/p",
            "kind": "zarr",
            "send": 4,
            "unchanged": 4,
            "retire": 13,
            "bytes": 691,
        },
        {**usual, "name": "r", "url": "s3://b/r", "kind": "files", "send": 2, "unchanged": 1, "retire": 0, "bytes": 9},
    ]
    assert [(row["array"], row["class"], row["old_shape"], row["new_shape"]) for row in told["arrays"]] == [
        ("t", "shrink", (6,), (2,)), ("v", "shrink", (6, 4), (2, 4)), ("w", "removed", None, None),
    ]  # fmt: skip
    assert [
        (row["product"], row["store"], row["array"], row["action"], row["objects"], row["bytes"])
        for row in told["changes"]
    ] == [
        ("p", "", None, "send", 2, 423), ("p", "", None, "unchanged", 1, 18),
        ("p", "", "t", "retire", 2, 4), ("p", "", "t", "send", 1, 131), ("p", "", "t", "unchanged", 1, 2),
        ("p", "", "v", "retire", 4, 16), ("p", "", "v", "send", 1, 137), ("p", "", "v", "unchanged", 2, 8),
        ("p", "", "w", "retire", 7, 161),
        ("r", None, None, "send", 2, 9), ("r", None, None, "unchanged", 1, 1),
    ]  # fmt: skip
    assert told["cost"] == {
        "puts": 23,
        "copies": 13,
        "lists": 2,
        "gets": 18,
        "deletes": 1,
        "dollars": 0.000197,
        "seconds": 0.014,
    }
    assert (told["fence"], told["withdrawn"], len(told["losses"]), len(told["findings"])) == (3, 1, 2, 1)
    [_, (_, v), _] = [(row["array"], row) for row in told["arrays"]]
    assert (v["product"], v["store"], v["inside"], v["detail"]) == ("p", "", 0, "")
    assert told["losses"][1] == {
        "product": "r", "kind": "rasters", "key": "b.tif", "detail": "", "count": 2, "inside": None,
    }  # fmt: skip


def test_a_plan_as_tables():
    """Totals first, then what matters; what is there by array is for who opens it."""
    line, totals, losses, findings, *folded = PLANS.shown()
    assert line == Line(
        "(700 B), 5 unchanged, 13 to retire; 38 writes and listings, about $0.0002 at list price", "6 to send"
    )
    assert totals == Table(
        ("product", "target", "to send", "unchanged", "to retire", "size"),
        [["p", "s3://b/p", 4, 4, 13, "691 B"], ["r", "s3://b/r", 2, 1, 0, "9 B"]],
    )
    assert losses.rows == [["p", "w", "array", "", 1], ["r", "b.tif", "rasters", "", 2]]
    assert findings == Findings(PLANS.findings)
    shrinks, removed, summed, each = folded
    assert [part.title for part in (shrinks, removed)] == ["p: 2 arrays: shrink", "p: w: removed"]
    assert shrinks.table.rows == [["t", "(6,)", "(2,)"], ["v", "(6, 4)", "(2, 4)"]]
    assert removed.table.rows == [["w"]]
    assert [row[:5] for row in summed.table.rows] == [
        ["p", "(metadata)", 2, "423 B", "send"],
        ["p", "3 arrays", 13, "181 B", "retire"],
        ["p", "2 arrays", 2, "268 B", "send"],
        ["r", "(files)", 2, "9 B", "send"],
    ]
    assert [row[:5] for row in each.table.rows] == [
        ["p", "(metadata)", 2, "423 B", "send"],
        ["p", "t", 2, "4 B", "retire"], ["p", "t", 1, "131 B", "send"],
        ["p", "v", 4, "16 B", "retire"], ["p", "v", 1, "137 B", "send"],
        ["p", "w", 7, "161 B", "retire"],
        ["r", "(files)", 2, "9 B", "send"],
    ]  # fmt: skip
    same = published(store().files()).plan(store().files())
    assert [type(part) for part in same.shown()] == [Line, Table, Findings]


def test_an_array_without_dimensions_has_a_shape_too():
    change = replace(PLANS.changes[0], kind=ChangeClass.NEW, old_shape=None, new_shape=())
    (folded, *_) = replace(PLANS, changes=(change,)).folded()
    assert folded.table.rows[0][1:] == ["()"]


def test_a_plan_of_many_arrays_is_small_until_it_is_opened():
    """Forty arrays are one row; what is folded scrolls."""
    change = replace(PLANS.changes[0], kind=ChangeClass.NEW, old_shape=None, new_shape=(3,))
    plan = replace(PLANS, changes=tuple(replace(change, array=f"a{number}") for number in range(43)))
    page = plan._repr_html_()
    outside = re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)
    assert outside.count("<tr>") == 3 + 3
    assert '<summary style="cursor:pointer">p: 43 arrays: new</summary>' in page
    assert "max-height:24em" in page
    assert not re.search(r"color|background", page)  # as readable in the dark
    assert all("text-align:" in cell for cell in re.findall(r"<t[dh](?=[ >])[^>]*>", page))


def test_what_is_printed_is_what_the_command_prints():
    assert str(PLANS) == f"{findings_text(PLANS.findings)}\n{plan_text(PLANS)}"
    assert repr(PLANS) == "<Plan: 6 to send (700 B), 13 to retire>"
    assert f"{[PLANS]}" == "[<Plan: 6 to send (700 B), 13 to retire>]"


def test_what_a_plan_was_asked_changes_nothing_of_it():
    asked, fresh = replace(PLANS), replace(PLANS)
    assert (asked.count("send", "p"), len(asked.passing)) == (4, 4)
    assert asked == fresh
    nothing = replace(asked, table=asked.table.slice(0, 0))
    assert (nothing.count("send", "p"), len(nothing.passing)) == (0, 0)


def test_what_readers_find_of_files_after_a_part():
    source = dict.fromkeys(("a.tif", "b.txt", "c.txt", "d.txt", "n1", "n2"), b"2")
    plan = of_rasters(source, {key: b"1" for key in source if not key.startswith("n")})

    def seen(*keys, plan=plan, is_exchanging=False):
        return files_seen(plan, [("r", key) for key in keys], is_exchanging=is_exchanging)

    assert seen() == []
    every = "of the files of r readers find 4 replaced (a.tif, b.txt, c.txt and 1 more) and 2 new (n1, n2)"
    assert seen(*source) == [every]
    assert seen("n1", "a.tif") == [
        "of the files of r readers find 1 replaced (a.tif) and 1 new (n1); 4 more are still to be sent"
    ]
    assert seen("same.txt", plan=RASTERS) == []
    [exchanging] = seen("a.tif.msk", plan=RASTERS, is_exchanging=True)
    assert exchanging.startswith("of the files of r readers find 1 replaced (a.tif.msk) and perhaps not a.tif, which")
    assert exchanging.endswith("; 1 more are still to be sent")
    assert files_seen(together(shrinking(), plan), [("p", "t/.zarray"), ("r", "n1")], is_exchanging=True) == [
        "of the files of r readers find 1 new (n1); 5 more are still to be sent"
    ]


def test_what_gets_other_headers_is_nothing_new_to_readers():
    tree = {"a": b"1"}
    plan = Plan(plan_product("r", survey(tree, tree, tree, headers="other"), keeps=False), RASTERS.products)
    assert plan.count("send") == 1
    assert files_seen(plan, [("r", "a")], is_exchanging=False) == []
