"""Doors for Python: every error and verb is a name of zsync, data is no configuration, errors show in IPython."""

from __future__ import annotations

import inspect
import logging
import re

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from test_house import subclasses

import zsync
from zsync import errors
from zsync.report.traces import rendered


def test_every_error_and_every_verb_is_a_name_of_zsync():
    kinds = {kind.__name__ for kind in subclasses(errors.ZsyncError) if kind.__module__ == "zsync.errors"}
    verbs = {"check", "empty_trash", "lease", "log", "plan", "prune_log", "publish", "publish_delayed", "pull", "reset",
             "restore_trash", "rollback", "sync", "trash", "verify", "watch"}  # fmt: skip
    assert kinds | verbs <= set(zsync.__all__)
    assert all(issubclass(getattr(zsync, name), zsync.ZsyncError) for name in kinds)
    for name in verbs:
        said = inspect.cleandoc(getattr(zsync, name).__doc__)  # Python 3.13 takes the margin away by itself
        assert "\nExamples\n--------\n" in said or "Parameters are those of `publish`" in said, name


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (xr.Dataset({"a": ("x", [1])}), "dataset.zsync.publish(target), after `import zsync.xarray`"),
        (xr.DataArray([1]), "write it with to_zarr"),
        (zarr.open_group({}, mode="w"), "give the path of its store"),
        (dask.delayed(1), "zsync.publish_delayed(path, target, after=...)"),
        (np.zeros(3), "give a dict, the path of a file, or a RunConfig"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_data_is_no_configuration_and_it_is_said_what_to_do(data, advice):
    with pytest.raises(zsync.ConfigError) as refused:
        zsync.publish(data, "s3://bucket/x")
    assert str(refused.value).startswith(f"a {type(data).__name__} is not a configuration; ")
    assert advice in str(refused.value)


def test_a_directory_and_a_url_are_enough(tmp_path):
    source = tmp_path / "in" / "a.zarr"
    xr.Dataset({"a": ("x", [1, 2])}).to_zarr(source, zarr_format=2)
    done = zsync.publish(source, (tmp_path / "out").as_uri(), progress=False)
    assert [product.url for product in done.products] == [(tmp_path / "out" / "a.zarr").as_uri()]
    assert zsync.plan(str(source), (tmp_path / "out").as_uri()).is_empty


def test_lists_show_themselves_as_results_do(tmp_path):
    source, url = tmp_path / "in" / "a", (tmp_path / "out" / "a").as_uri()
    source.mkdir(parents=True)
    for name in "abcdefgh":
        (source / name).write_text(name)
    zsync.publish(source, url, progress=False)
    (source / "a").unlink()
    zsync.publish(source, url, progress=False, retire="trash")
    (lease,), (gone,), checks = zsync.lease(url), zsync.trash(url), zsync.check(source, url)
    assert (lease.is_held, gone.keys) == (False, ("a",))
    assert all(check.is_fine for check in checks)
    for found in (zsync.lease(url), zsync.trash(url), checks):
        assert str(found).splitlines() == [str(item) for item in found]
        assert repr(found) == f"<Found: {len(found)} item{'s' * (len(found) != 1)}>"
        assert found._repr_html_().count("<tr>") == 1 + len(found) == 1 + len(found.to_pandas())
    assert zsync.restore_trash(url)[0].restored == 1
    assert len(zsync.empty_trash(url)) == 1
    assert zsync.trash(url) == []


# --- what IPython shows of an error ----------------------------------------------------------------------------------


@pytest.fixture
def run_cells(capsys):
    """Run cells in a shell of IPython's, and return what it says."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.colors = "nocolor"

    def run(*cells):
        for cell in cells:
            shell.run_cell(cell)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)

    yield run
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


CELLS = ("import zsync\n\ndef mine():\n    return zsync.publish('nowhere.yaml')\n", "x = 1\nmine()")


def test_an_error_is_its_message_and_the_user_s_own_lines(run_cells):
    said = [line for line in run_cells(*CELLS).splitlines() if line]
    assert re.fullmatch(r"ConfigError: the configuration file does not exist: .*; check its path", said[0])
    assert [line.partition("line ")[2] for line in said[1:]] == [
        "2:  mine()", "4:  return zsync.publish('nowhere.yaml')",
    ]  # fmt: skip


def test_all_of_it_is_there_on_request(run_cells, monkeypatch):
    monkeypatch.setenv("ZSYNC_TRACEBACK", "1")
    assert "zsync/config/formats.py" in run_cells(*CELLS)
    monkeypatch.delenv("ZSYNC_TRACEBACK")
    error = zsync.ConfigError("wrong")
    assert rendered(error) == ["\x1b[1mConfigError\x1b[0m: wrong"]
    logging.getLogger("zsync").setLevel(logging.DEBUG)
    assert rendered(error) == ["zsync.errors.ConfigError: wrong"]
