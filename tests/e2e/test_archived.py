"""Objects that are archived: all are named, and what to do about them."""

from __future__ import annotations

import pytest
from anyservice import BUCKET, AnyService

import zsync
from zsync.errors import ArchivedError

TRANSPORTS = ["obstore", "fsspec"]


@pytest.fixture
def service():
    with AnyService() as service:
        service.objects |= {f"maps/f{number}": b"x" * number for number in range(12)}
        yield service


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_k10_a_pull_names_what_is_archived(service, tmp_path, transport):
    service.archived = {f"maps/f{number}" for number in range(2, 9)}
    options = {"transport": transport, "retries": 0, "progress": False, **service.storage}
    with pytest.raises(ArchivedError) as raised:
        zsync.pull(f"s3://{BUCKET}/maps", tmp_path, **options)
    said = str(raised.value)
    assert "7 objects are archived" in said
    assert "maps/f2, maps/f3" in said
    assert "and 2 more" in said
    assert "restore them first" in said
    with pytest.raises(ArchivedError, match="the object is archived: s3://anything/maps/f2; restore it first"):
        zsync.pull(f"s3://{BUCKET}/maps", tmp_path, include=["f1", "f2"], **options)
    assert zsync.pull(f"s3://{BUCKET}/maps", tmp_path, exclude=["f[2-8]"], **options).status == "pulled"


def test_k10_so_does_a_team(service, tmp_path):
    service.archived = {"maps/f1", "maps/f2"}
    (tmp_path / "maps").mkdir()
    config = {"source": str(tmp_path / "maps"), "target": f"s3://{BUCKET}", "storage": service.storage}
    with pytest.raises(ArchivedError, match=r"2 objects are archived: maps/f1, maps/f2; restore them"):
        zsync.sync(config, yes=True, progress=False)
