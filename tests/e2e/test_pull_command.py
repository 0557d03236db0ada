"""S1, pulls on clusters and laptops: the commands and settings of that tool's document, one by one."""

from __future__ import annotations

import contextlib
import json

import pytest
from proxy import Proxy
from servers import s3_client, tool_env
from target import same
from test_pull import open_here
from trees import read_tree, weather

from zsync.config import RunConfig, to_yaml
from zsync.errors import ConfigError

KEYS = (
    "sentinel2/clipped/134_Arsuk/S2B.tif", "sentinel2/metadata/134_Arsuk.csv", "sentinel2/download/raw.zip",
    "landsat/134_Arsuk/LC8.tif", "landsat/_reference/r.csv",
)  # fmt: skip
PREFIX = "1_download_merge_and_clip"


@pytest.fixture
def project(s3, bucket, tmp_path, monkeypatch):
    """A code repository with its config.ini, a data directory, and the bucket that the pipeline fills."""
    repository, data = tmp_path / "Github" / "flow", tmp_path / "data"
    (repository / ".git").mkdir(parents=True)
    data.mkdir()
    (tmp_path / "hpc").mkdir()
    (repository / "config.ini").write_text(
        f"[PATHS]\n# where data goes\nbase_dir = {tmp_path}/hpc\nlocal_base_dir = {data}\n"
        f"[S3]\nbucket = {bucket}\nprefix = {PREFIX}\n[OTHER]\nstep = 5%\n"
    )
    with contextlib.closing(s3_client(s3)) as client:
        for key in KEYS:
            client.put_object(Bucket=bucket, Key=f"{PREFIX}/{key}", Body=key.encode())
    for name, value in tool_env(s3).items():
        monkeypatch.setenv(name, value)
    return repository


def here(project):
    return set(read_tree(project.parents[1] / "data" / PREFIX))


def test_s1_sync_processed_data_of_all(project, run_zsync):
    done = run_zsync("pull", "--exclude-downloads", cwd=project)
    assert here(project) == {key for key in KEYS if "/download/" not in key}
    assert "config.ini" in done.stderr
    assert "leaving out download/" in done.stderr
    assert "safe mode" in done.stderr
    assert f"pulled: {len(here(project))} objects" in done.stdout
    assert "download: s3://" not in done.stdout
    assert (project.parents[1] / "data" / PREFIX / KEYS[0]).read_text() == KEYS[0]


@pytest.mark.parametrize("subset", ["sentinel2", "landsat"])
def test_s1_a_subset(project, run_zsync, subset):
    run_zsync("pull", subset, "--exclude-downloads", cwd=project)
    assert here(project) == {key for key in KEYS if key.startswith(f"{subset}/") and "/download/" not in key}


def test_s1_a_region(project, run_zsync):
    run_zsync("pull", "sentinel2", "--include", "*/134_Arsuk/*", cwd=project)
    assert "sentinel2/clipped/134_Arsuk/S2B.tif" in here(project)


def test_s1_dry_run(project, run_zsync):
    done = run_zsync("pull", "sentinel2", "--exclude-downloads", "--dry-run", cwd=project)
    lines = [line for line in done.stdout.splitlines() if line.startswith("(dryrun) download: s3://")]
    assert len(lines) == 2
    assert not (project.parents[1] / "data" / PREFIX).exists()


def test_s1_everything(project, run_zsync):
    run_zsync("pull", cwd=project)
    assert here(project) == set(KEYS)


def test_s1_safe_mode_and_force_overwrite(project, run_zsync):
    run_zsync("pull", cwd=project)
    file = project.parents[1] / "data" / PREFIX / KEYS[1]
    mine = KEYS[1][::-1].encode()
    file.write_bytes(mine)
    run_zsync("pull", cwd=project)
    assert file.read_bytes() == mine
    run_zsync("pull", "--force-overwrite", cwd=project)
    assert file.read_text() == KEYS[1]


def test_s1_on_a_cluster_base_dir_is_used(project, run_zsync, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sbatch").write_text("#!/bin/sh\n")
    (tools / "sbatch").chmod(0o755)
    done = run_zsync("pull", "landsat", cwd=project, env={"PATH": f"{tools}:/usr/bin:/bin"})
    assert (tmp_path / "hpc" / PREFIX / "landsat/134_Arsuk/LC8.tif").exists()
    assert "this is a cluster" in done.stderr


def test_s1_config_ini_that_is_not_found_says_where_it_was_looked_for(run_zsync, tmp_path):
    done = run_zsync("pull", cwd=tmp_path, check=2)
    assert "config.ini was not found" in done.stderr
    assert str(tmp_path) in done.stderr
    assert "greenland-glacier-flow" in done.stderr


def test_s1_a_data_directory_that_is_missing_says_how_to_create_it(project, run_zsync):
    (project.parents[1] / "data").rmdir()
    done = run_zsync("pull", cwd=project, check=2)
    assert f"mkdir -p {project.parents[1] / 'data'}" in done.stderr


def test_s1_data_never_goes_into_the_repository_through_a_link_either(project, run_zsync):
    (project / "out").mkdir()
    (project.parents[1] / "data").rmdir()
    (project.parents[1] / "data").symlink_to(project / "out")
    done = run_zsync("pull", cwd=project, check=2)
    assert "lies in the code repository" in done.stderr
    assert not list((project / "out").iterdir())


def test_s1_works_from_anywhere_with_the_file_named(project, run_zsync, tmp_path):
    run_zsync("pull", project / "config.ini", "landsat", cwd=tmp_path)
    assert "landsat/134_Arsuk/LC8.tif" in here(project)


def test_s1_the_bucket_may_be_an_option(project, run_zsync, bucket):
    text = (project / "config.ini").read_text()
    (project / "config.ini").write_text(text[: text.index("[S3]")])
    assert "there is nothing to pull from" in run_zsync("pull", cwd=project, check=2).stderr
    run_zsync("pull", "landsat", "--target", f"s3://{bucket}/{PREFIX}", cwd=project)
    assert "landsat/134_Arsuk/LC8.tif" in here(project)


def test_s1_config_show_is_native_and_reads_the_same(project):
    config = RunConfig.from_any(project / "config.ini")
    native = to_yaml(config)
    assert RunConfig.from_any(__import__("yaml").safe_load(native)).pull == config.pull
    assert "target: s3://" in native


def test_s1_a_misspelt_key_is_named(project):
    text = (project / "config.ini").read_text().replace("bucket =", "buket =")
    (project / "config.ini").write_text(text)
    with pytest.raises(ConfigError, match=r"S3\.buket.*S3\.bucket"):
        RunConfig.from_any(project / "config.ini")


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_an_anonymous_bucket_needs_no_credentials(moto_s3, run_zsync, tmp_path, transport):
    with contextlib.closing(s3_client(moto_s3)) as client, Proxy(moto_s3.endpoint_url) as proxy:
        client.create_bucket(Bucket="open-data")
        client.put_object(Bucket="open-data", Key="set/a.txt", Body=b"for all", ACL="public-read")
        client.put_bucket_acl(Bucket="open-data", ACL="public-read")
        options = (
            "--anonymous",
            "--endpoint-url",
            proxy.endpoint_url,
            "--transport",
            transport,
            "--region",
            "us-east-1",
        )
        run_zsync("pull", "s3://open-data/set", str(tmp_path), *options)
        assert not any("authorization" in exchange.headers for exchange in proxy.requests)
        client.delete_object(Bucket="open-data", Key="set/a.txt")
        client.delete_bucket(Bucket="open-data")
    assert (tmp_path / "set" / "a.txt").read_bytes() == b"for all"


def test_the_command_pulls_a_store(site, run_zsync, tmp_path):
    site.store("a.zarr", weather(12, 8))
    publication = site.publish().publication
    url = f"s3://{site.bucket}/run/a.zarr"
    done = run_zsync("pull", url, tmp_path / "out", "--json", env=tool_env(site.s3))
    [product] = json.loads(done.stdout)["products"]
    assert (product["publication"], product["path"]) == (publication, str(tmp_path / "out" / "a.zarr"))
    assert same(open_here(tmp_path / "out" / "a.zarr"), weather(12, 8))
    assert "nothing to do" in run_zsync("pull", url, tmp_path / "out", env=tool_env(site.s3)).stdout
    done = run_zsync("pull", url, tmp_path / "out" / "a.zarr", "--at", publication, env=tool_env(site.s3))
    assert "nothing to do" in done.stdout
    done = run_zsync("pull", url, tmp_path / "planned", "--dry-run", env=tool_env(site.s3))
    lines = [line for line in done.stdout.splitlines() if line.startswith("(dryrun) download: ")]
    received = product["received"]
    assert (len(lines), received > 10) == (10, True)
    assert f"... and {received - 10} more; -v names all" in done.stdout
    done = run_zsync("pull", url, tmp_path / "named", "-v", env=tool_env(site.s3))
    assert sum(line.startswith("download: ") for line in done.stdout.splitlines()) == received
