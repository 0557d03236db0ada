"""Doors for Python: every error and verb is a name of zsync, data is no configuration, errors show in IPython."""

from __future__ import annotations

import datetime as dt
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
        (xr.DataArray([1]), "array.zsync.publish(target), after `import zsync.xarray`"),
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


@pytest.fixture
def published(tmp_path):
    source = tmp_path / "out" / "a.zarr"
    xr.Dataset({"xco2": ("x", np.arange(6.0)), "flag": ("x", np.ones(6))}, {"x": np.arange(6)}).to_zarr(
        source, zarr_format=2, encoding={"xco2": {"chunks": (2,)}}
    )
    zsync.publish(source, tmp_path / "there", progress=False)
    return f"file://{tmp_path}/there/a.zarr"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda url, here: zsync.pull(url, 5), "dest must be a URL or a path, not an int; give it as text"),
        (
            lambda url, here: zsync.pull(url, here, select="x=1"),
            'select must be a dict, not a str; write it as {"time":',
        ),
        (
            lambda url, here: zsync.pull(url, here, select={"x": slice(0, 4, 2)}),
            "no range: select x=slice.*; write it as",
        ),
        (
            lambda url, here: zsync.pull(url, here, variables="xco3"),
            "variable or dimension: xco3 in .*did you mean xco2?",
        ),
        (lambda url, here: zsync.pull(url, here, select={"time": 1}), "time in .*; there are flag, x, xco2"),
        (lambda url, here: zsync.pull(url, here, only="a"), "unknown product a in only; known here: a.zarr"),
        (lambda url, here: zsync.pull(url, here, include=[5]), "include must be text, or a list of it, not an int"),
        (lambda url, here: zsync.pull(url, here, progress="no"), "this shows no progress: str: progress; give True,"),
        (lambda url, here: zsync.trash(url, include=5), "include must be text, or a list of it, not an int"),
        (lambda url, here: zsync.open_zarr(5), "url must be a URL or a path, not an int"),
        (lambda url, here: zsync.open_zarr(url, at="head~1"), "only 1 publication is on record: head~1"),
        (
            lambda url, here: zsync.verify(url, at=5),
            "at must be an id or a time, not an int; give an id of `zsync log`",
        ),
        (lambda url, here: zsync.rollback(url, None), "publication_id must be an id or a time, not a NoneType"),
        (lambda url, here: zsync.rollback(url, dt.date(2020, 1, 1)), "nothing was published by then: 2020-01-01"),
        (lambda url, here: zsync.pull(url, here, at=dt.datetime(2020, 1, 1)), "published by then: 2020-01-01T00:00:00"),
        (
            lambda url, here: zsync.log(url, number=1.5),
            "number must be a whole number, not a float; give one from 1 on",
        ),
        (lambda url, here: zsync.publish(5), "an int is not a configuration"),
        (lambda url, here: zsync.reset(), r"a confirmation; give --yes \(in Python yes=True\)"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_by_its_option(published, tmp_path, call, said):
    with pytest.raises(zsync.ConfigError, match=said):
        call(published, tmp_path / "here")


def test_one_text_is_itself_and_not_its_letters(published, tmp_path):
    """`include="xco2/*"` brought everything: a letter of it is `*`."""
    zsync.pull(published, tmp_path / "a", include="xco2/*", progress=False)
    assert not (tmp_path / "a" / "a.zarr" / "flag").exists()
    zsync.pull(published, tmp_path / "b", variables="xco2", select={"x": slice(2, 3)}, progress=False)
    there = xr.open_zarr(tmp_path / "b" / "a.zarr")
    assert (list(there.data_vars), there.x.values.tolist()) == (["xco2"], [2, 3])
    assert str(zsync.trash(published, include="xco2/*")) == "nothing"


def test_what_was_noticed_is_printed_once(tmp_path, published):
    (tmp_path / "out" / "a.zarr" / ".zmetadata").unlink()
    (tmp_path / "out" / "a.zarr" / "notes.txt").write_text("x")
    told = str(
        zsync.publish(tmp_path / "out" / "a.zarr", tmp_path / "there", dry_run=True, progress=False)
    ).splitlines()
    assert len([line for line in told if "notes.txt" in line]) == 1, told


def test_an_entry_of_the_log_is_a_line(published):
    assert re.fullmatch(r"<Entry: [\w-]+, [\w:-]+Z, \S+@\S+>", repr(zsync.log(published)[-1]))


def test_one_pass_of_a_watch_says_that_there_was_nothing_to_do(tmp_path, published, caplog):
    caplog.set_level(logging.INFO, "zsync")
    config = {"source": str(tmp_path / "out"), "target": str(tmp_path / "watched"), "watch": {"settle": 0}}
    for said in ("published", "nothing to do: 14 objects unchanged"):
        caplog.clear()
        zsync.watch(config, once=True)
        assert said in caplog.text


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


def test_an_interrupt_of_our_work_is_no_page_of_our_frames(run_cells, published, tmp_path):
    mine = "import zsync\nfrom zsync.report.cell import Cell\n\nclass Mine(Cell):\n    def advance(self, *_):\n"
    publish = f"zsync.publish({str(tmp_path / 'out')!r}, {str(tmp_path / 'elsewhere')!r}, progress=Mine())"
    said = run_cells(f"{mine}        raise KeyboardInterrupt\n", publish).splitlines()
    assert [line for line in said if line][-2:] == ["KeyboardInterrupt", said[-1]]
    assert re.search(r"line 1:  zsync\.publish\(", said[-1])
    assert "Traceback" in run_cells("raise KeyboardInterrupt")


def test_a_configuration_shows_what_was_said(tmp_path):
    config = zsync.RunConfig(source=".", storage={"region": "x", "secret_access_key": "hush", "access_key_id": "k"})
    assert re.fullmatch(r"RunConfig\(source='[^']*', storage=Storage\(.*region='x'.*\)\)", repr(config)), repr(config)
    assert "hush" not in repr(config)
    assert "path_style" not in repr(config)


def test_the_target_is_the_second_word_of_every_call_that_has_one(published, tmp_path):
    watched = zsync.watch(tmp_path / "out", tmp_path / "w", once=True, settle=0)
    assert (watched.exit_status, (tmp_path / "w" / "out").is_dir()) == (0, True)
    assert zsync.sync(tmp_path / "out", tmp_path / "s", yes=True).status == "synced"


def test_all_of_it_is_there_on_request(run_cells, monkeypatch):
    monkeypatch.setenv("ZSYNC_TRACEBACK", "1")
    assert "zsync/config/formats.py" in run_cells(*CELLS)
    monkeypatch.delenv("ZSYNC_TRACEBACK")
    error = zsync.ConfigError("wrong")
    assert rendered(error) == ["\x1b[1mConfigError\x1b[0m: wrong"]
    logging.getLogger("zsync").setLevel(logging.DEBUG)
    assert rendered(error) == ["zsync.errors.ConfigError: wrong"]
