"""The demo tells the truth: it comes out as it says, and its comparison notices what it should."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from servers import s3_client

import zsync
from zsync.demo import data
from zsync.demo.check import check
from zsync.demo.reader import Reader
from zsync.demo.story import run
from zsync.errors import ConfigError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zsync.devserver import DevServer


def storage_of(server: DevServer) -> dict[str, str]:
    return {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
    }


@pytest.fixture
def published(s3: DevServer, bucket: str, tmp_path: Path) -> tuple[Path, str]:
    products = data.make_products(tmp_path / "products", 7)
    target = f"s3://{bucket}/demo"
    config = {"source": tmp_path / "products", "target": target, "products": products, "storage": storage_of(s3)}
    zsync.publish(config, progress=False)
    return tmp_path / "products", target


def test_the_whole_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "demo", keep=True) == 0
    said = capsys.readouterr().out
    assert "every value right" in said
    assert "data: 1 changed" in said
    assert (tmp_path / "demo" / "products" / data.POST_QF / ".zmetadata").is_file()
    with pytest.raises(ConfigError, match="not empty"):
        run(tmp_path / "demo")


def test_nothing_is_left_of_it_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The story is told above; here it is short, and leaves products and objects."""

    def tell(story: Any) -> None:
        products = data.make_products(story.root, 7)
        config = {"source": story.root, "target": "s3://zsync/demo", "products": products, "storage": story.storage}
        zsync.publish(config, progress=False, dry_run=True)
        assert (story.root / data.POST_QF).is_dir()

    monkeypatch.setattr("zsync.demo.story._Story.tell", tell)
    assert run(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_published_is_the_source(s3: DevServer, published: tuple[Path, str]) -> None:
    compared = check(*published, storage_of(s3))
    assert (compared.stores, compared.cogs) == (8, 7 * len(data.SITES) * 2)
    assert compared.values > 500_000


@pytest.mark.parametrize(
    ("key", "damage", "what"),
    [
        (f"{data.POST_QF}/{data.VARIABLE}/1.0.3", None, "values differ"),
        (f"{data.POST_QF}/Auxiliary/quality_flag/0.0.4", None, "values differ"),
        (f"{data.E1}/air_temperature/c/1/0/0", None, "values differ"),
        (
            f"{data.PRE_QF}/ostia/nino3.zarr/.zattrs",
            lambda body: body.replace(b"before", b"after"),
            "attributes differ",
        ),
    ],
)
def test_damage_is_noticed(
    s3: DevServer, published: tuple[Path, str], key: str, damage: Callable[[bytes], bytes] | None, what: str
) -> None:
    bucket = published[1].split("/")[2]
    with contextlib.closing(s3_client(s3)) as client:
        place: dict[str, Any] = {"Bucket": bucket, "Key": f"demo/{key}"}
        if damage is None:
            client.delete_object(**place)
        else:
            client.put_object(**place, Body=damage(client.get_object(**place)["Body"].read()))
    with pytest.raises(VerifyError, match=what):
        check(*published, storage_of(s3))


@pytest.mark.parametrize(("other", "what"), [("nino3_200605", "values differ"), ("nino4_200604", "georeferencing")])
def test_an_exchanged_cog_is_noticed(s3: DevServer, published: tuple[Path, str], other: str, what: str) -> None:
    root, target = published
    with contextlib.closing(s3_client(s3)) as client:
        client.put_object(
            Bucket=target.split("/")[2],
            Key="demo/cog/ostia_nino3_200604_filtered_sst.tif",
            Body=(root / "cog" / f"ostia_{other}_filtered_sst.tif").read_bytes(),
        )
    with pytest.raises(VerifyError, match=what):
        check(root, target, storage_of(s3))


def test_the_reader_notices_what_is_not_the_source(s3: DevServer, published: tuple[Path, str]) -> None:
    root, target = published
    with Reader(root, target, storage_of(s3)).reading() as seen:
        pass
    assert set(seen) == {7}
    with (
        contextlib.closing(s3_client(s3)) as client,
        pytest.raises(VerifyError, match="not the source's"),
        Reader(root, target, storage_of(s3)).reading(),
    ):
        client.delete_object(Bucket=target.split("/")[2], Key=f"demo/{data.POST_QF}/{data.VARIABLE}/0.0.3")


def test_the_changed_value_keeps_size_and_time(tmp_path: Path) -> None:
    data.make_products(tmp_path, 7)
    store = data.site_store(tmp_path, "nino3")
    before = {path: (path.read_bytes(), path.stat()) for path in store.rglob("*") if path.is_file()}
    changed_store, variable, _, old, new = data.change_one_value(tmp_path)
    assert (changed_store, old == new) == (store, False)
    changed = [path for path, (content, _) in before.items() if path.read_bytes() != content]
    assert changed == [store / variable / "0.0.0"]
    for path, (_, stat) in before.items():
        now = path.stat()
        assert (path, now.st_size) == (path, stat.st_size)
    assert changed[0].stat().st_mtime_ns == before[changed[0]][1].st_mtime_ns
