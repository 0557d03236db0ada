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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zsync.devserver import DevServer

    Change = Callable[[bytes], bytes] | None
    Replace = Callable[[str, Change], None]


def storage_of(server: DevServer) -> dict[str, str]:
    return {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
    }


@pytest.fixture(scope="module")
def published(s3: DevServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The products and where they are published: made once, for tests that put back what they damage."""
    root = tmp_path_factory.mktemp("demo") / "products"
    products = data.make_products(root, 7)
    s3.create_bucket("demo-published")
    config = {"source": root, "target": "s3://demo-published/demo", "products": products, "storage": storage_of(s3)}
    zsync.publish(config, progress=False)
    return root, config["target"]


@pytest.fixture
def replace(s3: DevServer, published: tuple[Path, str]) -> Iterator[Replace]:
    """Replace an object by another, or delete it (None), for as long as the test lasts."""
    bucket, before = published[1].split("/")[2], {}
    with contextlib.closing(s3_client(s3)) as client:

        def replace(key: str, change: Change) -> None:
            place: dict[str, Any] = {"Bucket": bucket, "Key": f"demo/{key}"}
            before[key] = client.get_object(**place)["Body"].read()
            if change is None:
                client.delete_object(**place)
            else:
                client.put_object(**place, Body=change(before[key]))

        yield replace
        for key, body in before.items():
            client.put_object(Bucket=bucket, Key=f"demo/{key}", Body=body)


@pytest.mark.slow
def test_the_whole_story(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, of a third of the months: the notebook tells of as many as `zsync demo` does."""
    monkeypatch.setattr("zsync.demo.story._MONTHS", 8)
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
    s3: DevServer,
    published: tuple[Path, str],
    replace: Replace,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    damage: Change,
    what: str,
) -> None:
    """What is not damaged is compared above: here it is only the store that is."""
    whole = data.stores(published[0]).items()
    damaged = {store: groups for store, groups in whole if f"{published[0] / key}".startswith(f"{store}/")}
    assert len(damaged) == 1
    monkeypatch.setattr("zsync.demo.check.stores", lambda _: damaged)
    replace(key, damage)
    with pytest.raises(VerifyError, match=what):
        check(*published, storage_of(s3))


@pytest.mark.parametrize(("other", "what"), [("nino3_200605", "values differ"), ("nino4_200604", "georeferencing")])
def test_an_exchanged_cog_is_noticed(
    s3: DevServer,
    published: tuple[Path, str],
    replace: Replace,
    monkeypatch: pytest.MonkeyPatch,
    other: str,
    what: str,
) -> None:
    monkeypatch.setattr("zsync.demo.check.stores", lambda _: {})
    exchanged = (published[0] / "cog" / f"ostia_{other}_filtered_sst.tif").read_bytes()
    replace("cog/ostia_nino3_200604_filtered_sst.tif", lambda _: exchanged)
    with pytest.raises(VerifyError, match=what):
        check(*published, storage_of(s3))


def test_the_reader_notices_what_is_not_the_source(
    s3: DevServer, published: tuple[Path, str], replace: Replace
) -> None:
    root, target = published
    with Reader(root, target, storage_of(s3)).reading() as seen:
        pass
    assert set(seen) == {7}
    with pytest.raises(VerifyError, match="not the source's"), Reader(root, target, storage_of(s3)).reading():
        replace(f"{data.POST_QF}/{data.VARIABLE}/0.0.3", None)


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
