"""Snapshots beside readers that know no versions: zarr through obstore, GDAL through /vsis3/; in turns."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import numpy as np
import rasterio
import zarr
from obstore.store import S3Store
from rasterio.session import AWSSession
from rio_cogeo import cog_profiles, cog_translate

import zsync
from zsync.devserver import DevServer

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS, SIDE = 2000, 4096


def reach(server: DevServer) -> dict[str, str]:
    return {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
    }


def publish(server: DevServer, directory: Path) -> None:
    """Publish a Zarr array of many small chunks, and a large COG."""
    rng = np.random.default_rng(0)
    array = zarr.create_array(
        directory / "a.zarr", shape=(CHUNKS, 4096), chunks=(1, 4096), dtype="f4", compressors=None
    )
    array[:] = rng.random((CHUNKS, 4096), dtype="f4")
    form = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    (directory / "cog").mkdir()
    with rasterio.MemoryFile() as memory:
        with memory.open(**form, transform=rasterio.transform.from_origin(0, 0, 0.01, 0.01)) as raster:
            raster.write(rng.random((1, SIDE, SIDE), dtype="f4"))
        with memory.open() as raster:
            cog_translate(raster, directory / "cog/a.tif", cog_profiles.get("deflate"), quiet=True)
    for name in ("a.zarr", "cog"):
        config = {"source": str(directory / name), "target": f"s3://bench/{name}", "storage": reach(server)}
        zsync.publish(config, progress=False)


def readers(server: DevServer) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return what is timed: zsync, and the other."""
    snapshot = zarr.open_array(zsync.SnapshotStore("s3://bench/a.zarr", **reach(server)), mode="r")
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "expires_at": None}
    plain = S3Store(
        "bench", prefix="a.zarr", aws_endpoint_url_s3=server.endpoint_url, region=server.region,
        credential_provider=lambda: keys, virtual_hosted_style_request=False, client_options={"allow_http": True},
    )  # fmt: skip
    other = zarr.open_array(zarr.storage.ObjectStore(plain, read_only=True), mode="r")
    session = boto3.Session(server.access_key, server.secret_key, region_name=server.region)
    aws = AWSSession(session, endpoint_url=server.endpoint_url.partition("://")[2])
    options = {"AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE", "CPL_VSIL_CURL_NON_CACHED": "/vsis3/"}

    def raster(window: tuple[tuple[int, int], tuple[int, int]] | None) -> object:
        with zsync.open_rasterio("s3://bench/cog", "a.tif", **reach(server)) as opened:
            return opened.read(1, window=window)

    def vsis3(window: tuple[tuple[int, int], tuple[int, int]] | None) -> object:
        with rasterio.Env(aws, **options), rasterio.open("s3://bench/cog/a.tif") as opened:
            return opened.read(1, window=window)

    part = ((1000, 2024), (1000, 2024))
    return {
        f"{CHUNKS:,} chunks of 16 KiB (zarr through obstore)": (lambda: snapshot[:], lambda: other[:]),
        "a COG opened, 1,024 x 1,024 of it read (/vsis3/)": (lambda: raster(part), lambda: vsis3(part)),
        f"a COG opened, all {SIDE:,} x {SIDE:,} read (/vsis3/)": (lambda: raster(None), lambda: vsis3(None)),
    }


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with DevServer() as server, tempfile.TemporaryDirectory() as directory:
        server.create_bucket("bench")
        server.create_bucket("bench", versioning=True)
        publish(server, Path(directory))
        print("| what is read | zsync, s | the other, s | ratio |\n|---|---|---|---|")
        for what, (ours, theirs) in readers(server).items():
            ours(), theirs()
            pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
            mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"| {what} | {mine:.2f} | {other:.2f} | {mine / other:.2f} |")


if __name__ == "__main__":
    main()
