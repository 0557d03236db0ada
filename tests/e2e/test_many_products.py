"""Many products in one publication: what is written, and what is done for each, does not grow with the others."""

from __future__ import annotations

import json

import pytest
from trees import s3_bytes, write_tree

import zsync
from zsync.config import Location
from zsync.planning import Plan, PlannedProduct
from zsync.publication import StateKeys, read_parts
from zsync.storage import connect, spec_for
from zsync.tables import PLAN, table_of
from zsync.words import Action


def config(s3, bucket, root, number):
    names = [f"p{index:04}" for index in range(number)]
    write_tree(root, {name: {"a": name, "b": b"same"} for name in names})
    return {
        "source": str(root),
        "target": f"s3://{bucket}/run",
        "products": {name: {"path": name, "kind": "files"} for name in names},
        "storage": {
            "endpoint_url": s3.endpoint_url,
            "region": s3.region,
            "access_key_id": s3.access_key,
            "secret_access_key": s3.secret_key,
        },
    }


def records(s3, bucket):
    state = s3_bytes(s3, bucket, "run/.zsync/")
    return {key: body for key, body in state.items() if "/publications/" in key}


def test_records_do_not_grow_with_the_square_of_the_products(s3, bucket, tmp_path):
    sizes = {}
    for number in (5, 25):
        document = config(s3, bucket, tmp_path / str(number), number)
        document["target"] += f"{number}"
        result = zsync.publish(document, progress=False)
        assert len(result.products) == number
        state = s3_bytes(s3, bucket, f"run{number}/.zsync/")
        found = {key.partition("/")[0]: body for key, body in state.items() if "/publications/" in key}
        assert len(found) == number
        sizes[number] = sum(map(len, found.values())) / number
        for name, body in found.items():
            record = json.loads(body)
            assert (record["id"], record["product"]) == (result.publication, name)
            assert (record["objects"], record["number_of_products"]) == (2 * number, number)
            own = record["products"][0]
            assert (own["name"], own["objects"], own["sent"]) == (name, 2, 2)
            assert own["manifest"]
            assert len(record["products"]) == (number if number == 5 else 1)
    assert sizes[25] < 1500
    assert sizes[25] < sizes[5]


def test_a_record_is_enough_to_read_a_publication(s3, bucket, tmp_path):
    document = config(s3, bucket, tmp_path, 22)
    first = zsync.publish(document, progress=False)
    write_tree(tmp_path, {"p0007": {"a": "changed"}})
    zsync.publish(document, progress=False)
    place = Location.parse(f"s3://{bucket}/run/p0003")
    store = connect(spec_for(place, zsync.RunConfig.from_any(document).storage))
    parts, publication = read_parts(store, StateKeys.of(place), first.publication)
    assert publication == first.publication
    assert sum(part.objects for part in parts) == 2
    zsync.pull(place.url, tmp_path / "old", at=first.publication, progress=False, **document["storage"])
    assert (tmp_path / "old" / "p0003" / "a").read_text() == "p0003"


def test_what_an_earlier_version_wrote_is_read(s3, bucket, tmp_path):
    """It named all products, each with its manifest, in whatever order."""
    document = config(s3, bucket, tmp_path, 3)
    first = zsync.publish(document, progress=False)
    place = Location.parse(f"s3://{bucket}/run/p0001")
    keys = StateKeys.of(place)
    store = connect(spec_for(place, zsync.RunConfig.from_any(document).storage))
    bodies = {key: json.loads(body) for key, body in records(s3, bucket).items()}
    shares = [record["products"][0] for record in bodies.values()]
    mine = next(record for record in bodies.values() if record["product"] == "p0001")
    del mine["number_of_products"]
    from zsync.publication.conditional import STATE_HEADERS

    store.put(keys.publication(first.publication), json.dumps({**mine, "products": shares}).encode(), STATE_HEADERS)
    parts, _ = read_parts(store, keys, first.publication)
    assert [part.to_dict() for part in parts] == mine["products"][0]["manifest"]


@pytest.mark.parametrize("mixed", [False, True])
def test_the_share_of_a_product_is_what_a_filter_finds(mixed):
    rows = [
        {"product": f"p{number // 3}", "key": f"{number}", "action": str(action), "size": number}
        for number, action in enumerate([Action.SEND, Action.RETIRE, Action.UNCHANGED, Action.KEEP] * 6)
    ]
    if mixed:
        rows = rows[::5] + rows[1::5] + rows[4::5] + rows[2::5] + rows[3::5]
    products = tuple(PlannedProduct(f"p{number}", "", "", "files", "keep", None) for number in range(8))
    plan = Plan(table_of(rows, PLAN), products)
    for product in (*(item.name for item in products), "none"):
        for action in Action:
            wanted = [row["key"] for row in rows if (row["product"], row["action"]) == (product, str(action))]
            assert plan.rows(action, product)["key"].to_pylist() == wanted
            assert plan.count(action, product) == len(wanted)
    assert Plan(table_of([], PLAN), ()).count(Action.SEND, "p0") == 0
