"""Attributes nested very deeply: publish and pull agree, and Python's own limit never shows."""

from __future__ import annotations

import json

import pytest
from servers import lasting_client
from trees import read_tree, weather

import zsync
from zsync.errors import SourceError
from zsync.layout import same_document
from zsync.layout.documents import parse


def nest(path, depth):
    """Put something so deep into a document of the source."""
    document = json.loads(path.read_text()) if path.exists() else {}
    place = document["attributes"] if path.name == "zarr.json" else document
    place["deep"] = "@"
    document.pop("consolidated_metadata", None)
    path.write_text(json.dumps(document).replace('"@"', "[" * depth + "]" * depth))


def pull(site, dest):
    url = f"s3://{site.bucket}/{site.prefix}/a.zarr"
    return zsync.pull(url, dest, progress=False, **site.config()["storage"])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("where", ["", "t2m/"])
@pytest.mark.parametrize("depth", [100, 496])
def test_what_is_published_is_pulled(site, tmp_path, zarr_format, where, depth):
    site.store("a.zarr", weather(4, 4), zarr_format=zarr_format)
    nest(site.root / "a.zarr" / f"{where}{'.zattrs' if zarr_format == 2 else 'zarr.json'}", depth)
    (site.root / "a.zarr" / ".zmetadata").unlink(missing_ok=True)
    assert site.publish().status == "published"
    assert site.publish().status == "unchanged"
    assert pull(site, tmp_path / "here").status == "pulled"
    assert read_tree(tmp_path / "here" / "a.zarr").keys() >= read_tree(site.root / "a.zarr").keys()
    # It changes: the two versions are compared.
    nest(site.root / "a.zarr" / f"{where}{'.zattrs' if zarr_format == 2 else 'zarr.json'}", depth - 1)
    assert site.publish().status == "published"
    assert pull(site, tmp_path / "here").status == "pulled"


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("depth", [501, 900, 100_000])
def test_what_is_too_deep_is_refused_in_one_line_by_both(site, tmp_path, zarr_format, depth):
    site.store("a.zarr", weather(4, 4), zarr_format=zarr_format)
    nest(site.root / "a.zarr" / (".zattrs" if zarr_format == 2 else "zarr.json"), depth)
    with pytest.raises(SourceError, match="nested too deeply"):
        site.publish()
    for key, body in read_tree(site.root / "a.zarr").items():
        lasting_client(site.s3).put_object(Bucket=site.bucket, Key=f"{site.prefix}/a.zarr/{key}", Body=body)
    with pytest.raises(SourceError, match="nested too deeply"):
        pull(site, tmp_path / "here")


def test_documents_are_compared_however_deep_they_are():
    def deep(end):
        value = end
        for number in range(5000):
            value = [value] if number % 2 else {"a": value}
        return {"zarr_format": 2, "attributes": value}

    assert same_document(deep(1), deep(1))
    assert not same_document(deep(1), deep(1.0))
    assert not same_document(deep(1), deep(True))
    assert same_document(deep(float("nan")), deep(float("nan")))


def test_much_metadata_is_not_deep():
    body = json.dumps({"metadata": {f"a{n}/.zattrs": {"x": [[n]]} for n in range(2000)}, "zarr_consolidated_format": 1})
    assert parse("zarr.json", body.encode())[1] == ""
