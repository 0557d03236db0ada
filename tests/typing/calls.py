"""Calls as documents and users write them: type checkers accept each, and what is wrong in the marked lines is told.

Nothing here runs: `tests/unit/test_typing.py` gives it to mypy --strict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

import zsync
import zsync.xarray
from zsync import Options, PublishResult, RunConfig, StorageOptions

dataset = xr.Dataset()


def publishes() -> PublishResult:
    zsync.publish()
    zsync.publish("zsync.yaml")
    zsync.publish(Path("zsync.yaml"), dry_run=True)
    zsync.publish("/data/oco3.zarr", "s3://bucket/products")
    zsync.publish(Path("/data/oco3.zarr"), target="s3://bucket/products", retire="keep", workers=8)
    zsync.publish({"source": "/data/oco3", "target": "s3://bucket/oco3"}, message="new", meta={"run": 42})
    zsync.publish("zsync.yaml", include="*.tif", max_delete="10%", settle="30s", endpoint_url=None, progress=False)
    zsync.publish("zsync.yaml", storage={"region": "us-west-2"}, publish={"consolidate": "as-is"}, only=["pre_qf"])
    zsync.publish("zsync.yaml", products={"pre_qf": {"path": "a.zarr", "kind": "zarr"}, "cog": "cog"})
    options: Options = {"retire": "keep", "region": "us-west-2"}
    zsync.plan("zsync.yaml", **options)
    result = zsync.publish("zsync.yaml", scheduler="tcp://host:8786", client=None)
    print(result, result.status, result.plan, [product.sent for product in result.products])
    return result


def configurations() -> zsync.Plan:
    config = RunConfig(
        source="/data/oco3",
        target="s3://my-bucket/products/oco3",
        products={"pre_qf": {"path": "oco3_pre_qf.zarr", "kind": "zarr"}, "cog": {"path": Path("cog"), "to": "cog"}},
        storage={"region": "us-west-2", "profile": "my-profile", "tags": {"run": 42}},
        publish={"retire": "keep", "keep_history": True, "exclude": ["*.tmp"]},
        team={"member": "mary"},
        watch={"events": "poll", "settle": 5},
        notify=[{"url": "https://example.org/hook", "on": ["published", "failed"]}],
    )
    RunConfig.from_any("zsync.yaml", target="s3://bucket", workers="auto").resolve()
    RunConfig.from_any(None, environ={"LOCAL_ROOT": "/data"})
    return zsync.plan(config)


def with_a_target() -> None:
    zsync.watch("/data/oco3", "s3://bucket/products", once=True, interval="5s")
    zsync.sync("Data", target="s3://bucket/team", yes=True)


def with_one_text() -> None:
    url = "s3://bucket/products/oco3.zarr"
    zsync.pull(url, "here", include="xco2/*", exclude="*.tmp", variables="xco2", select={"time": slice("2020", None)})
    print(zsync.trash(url, include="xco2/*"), zsync.verify(url, ignore="extra"))


def of_what_is_published() -> None:
    url = "s3://bucket/products/oco3"
    storage: StorageOptions = {"endpoint_url": "http://127.0.0.1:9000", "region": "us-east-1", "profile": None}
    anything: dict[str, Any] = {"endpoint_url": "http://127.0.0.1:9000"}
    print(zsync.log(url)[-1].message, zsync.log(url, number=5, **storage), zsync.log(url, **anything).to_pandas())
    print(zsync.log(url, "head~7..", **storage).is_empty)
    print(zsync.prune_log(url, keep=10, dry_run=True, **storage))
    print(zsync.verify(url, deep=True, sample="1%", **storage).differences)
    zsync.verify("zsync.yaml", repair=True, source="/data/oco3", only="pre_qf")
    zsync.rollback(url, "head~1", message="the calibration was wrong", **storage)
    zsync.pull(url, "data", select={"time": "2020-01..2020-03"}, variables=["xco2"], anonymous=True)
    zsync.pull("zsync.yaml", Path("data"), force_overwrite=True, only=["pre_qf"], source="/data")
    print([item.is_held for item in zsync.lease(url, breaks=False, **storage)])
    print(zsync.trash(url, older_than="30d").to_pandas(), zsync.restore_trash(url, to="here"), zsync.empty_trash(url))
    print([check.is_fine for check in zsync.check("zsync.yaml", "s3://bucket", profile="other")])
    zsync.open_zarr(url, at="2026-01-31", endpoint_url=None, chunks={})
    with zsync.open_rasterio(url, "2026/xco2.tif") as raster:
        print(raster.read(1))


def of_teams_and_sites() -> int:
    zsync.sync("s3synchrony.json", yes=True, prefer="both", team={"member": "mary"})
    zsync.sync("team.yaml", member="mary", ignore=["*.tmp"])
    zsync.reset("s3synchrony.json", yes=True)
    return int(
        zsync.watch("sites.yml", once=True, interval="5s", settle=2, endpoint_url="http://127.0.0.1:9000").exit_status
    )


def of_datasets() -> None:
    result: PublishResult = dataset.zsync.publish("s3://bucket/products/sst.zarr", zarr_format=3, retire="keep")
    print(result, zsync.xarray.staging_of("s3://bucket/products/sst.zarr"))
    writing = dataset.to_zarr("oco3.zarr", compute=False)
    zsync.publish_delayed("oco3.zarr", "s3://bucket/products", after=writing, retire="keep").compute()


def errors() -> None:
    try:
        zsync.publish("zsync.yaml")
    except (zsync.ConfigError, zsync.SourceError) as error:
        print(error.where, error.advice, error.exit_status)
    except zsync.PermissionDeniedError as error:
        print(error.said)


def mistakes() -> None:
    zsync.publish("zsync.yaml", retier="keep")  # wrong: no such option
    zsync.publish("zsync.yaml", retire="kepp")  # wrong: no such choice
    zsync.plan("zsync.yaml", publish={"retire": "kepp"})  # wrong: nor in a section
    zsync.verify("zsync.yaml", endpoint_urls="x")  # wrong: no such option
    RunConfig(sorce="/data")  # wrong: no such section
    RunConfig(products={"a": {"kind": "tiff"}})  # wrong: no such kind
