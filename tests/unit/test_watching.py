"""What is at rest, when to look, what is told: without a server."""

from __future__ import annotations

import http.client
import json
import logging
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zsync.config import RunConfig
from zsync.config.sections import Watch
from zsync.errors import ConfigError, SourceError, TargetError
from zsync.inventory import Scan
from zsync.layout import store_roots, unit_of
from zsync.planning import without_moving
from zsync.report.logs import JsonFormatter, TextFormatter, log_to
from zsync.storage import Headers
from zsync.tables import MANIFEST, PLAN, table_of
from zsync.transfer.batch import Batch, Outcome, Receipt, Send
from zsync.transfer.executor import Threads
from zsync.verbs.watch import watch
from zsync.watching import Board, Clock, Listener, Looked, Rules, Runner, SiteStatus, State
from zsync.watching.metrics import exposition
from zsync.watching.running import Pace
from zsync.watching.stillness import first_look, next_look, published
from zsync.watching.where import mount_type
from zsync.words import Finding

NS = 10**9
NOW = 1_000_000  # seconds since the epoch
STORE = ("a.zarr/.zgroup", "a.zarr/t/.zarray", "a.zarr/t/0")


def look(files, unfinished=()):
    """Files by key, with the second of their last change, or that and a size."""
    rows = sorted((key, when if isinstance(when, tuple) else (when, 1)) for key, when in files.items())
    signatures = [(size, int(when * NS), int(when * NS), 7) for _, (when, size) in rows]
    parts = tuple((key, (1, int(when * NS), int(when * NS), 7)) for key, when in unfinished)
    return Scan([key for key, _ in rows], signatures, (), parts)


def at(second):
    return Clock(int((NOW + second) * NS), 100.0 + second)


RULES = Rules(settle_s=2)
OLD = NOW - 1000


# --- units -----------------------------------------------------------------------------------------------------------


def test_a_store_is_a_unit_and_so_is_every_other_file():
    keys = [*STORE, "a.zarr/notes.txt", "b.txt", "c/zarr.json", "c/x/zarr.json", "c/x/c/0", "d.zarr/t/0", "e.zarr.txt"]
    roots = store_roots(keys)
    assert roots == {"a.zarr", "c", "d.zarr"}
    assert {unit_of(key, roots) for key in keys} == {"a.zarr", "c", "d.zarr", "b.txt", "e.zarr.txt"}


def test_a_tree_of_stores_is_many_units_though_it_is_named_like_one():
    keys = ["pre.zarr/m/s.zarr/.zgroup", "pre.zarr/m/r.zarr/.zgroup", "pre.zarr/readme"]
    assert store_roots(keys) == {"pre.zarr/m/s.zarr", "pre.zarr/m/r.zarr"}


def test_a_product_that_is_a_store_is_one_unit():
    roots = store_roots([".zgroup", "t/.zarray", "t/0", "readme"])
    assert roots == {""}
    assert unit_of("readme", roots) == ""


KEYS = st.sampled_from(
    [*STORE, "a.zarr/t/1", "b.zarr/zarr.json", "b.zarr/c/0", "f", "g/h", "g/i", "g/b.zarr/.zgroup", "g/b.zarr/x/0"]
)


@given(st.sets(KEYS))
def test_units_part_the_keys(keys):
    roots = store_roots(keys)
    for key in keys:
        unit = unit_of(key, roots)
        assert unit == key or (unit in roots and key.startswith(f"{unit}/"))
    assert not any(one != other and other.startswith(f"{one}/") for one in roots for other in roots)


# --- what is at rest ---------------------------------------------------------------------------------------------


def test_at_the_first_look_the_times_of_files_tell():
    state = first_look(look({"old": OLD, "new": NOW - 1, "a.zarr/.zgroup": OLD, "a.zarr/t/0": NOW - 1.5}), at(0), RULES)
    assert state.held == {"new", "a.zarr"}
    assert state.waits_s(RULES) == pytest.approx((0.5, 1))
    state = next_look(state, state.scan, at(0.6), RULES)
    assert state.held == {"new"}
    assert state.ready == {"a.zarr"}
    assert next_look(state, state.scan, at(1), RULES).ready == {"a.zarr", "new"}


def test_a_busy_store_holds_back_only_itself():
    before = {**dict.fromkeys(STORE, OLD), "f": OLD}
    state = first_look(look(before), at(0), RULES)
    assert not state.held
    state = next_look(state, look({**before, "a.zarr/t/1": NOW + 4.5, "f": NOW + 2}), at(5), RULES)
    assert state.held == {"a.zarr"}
    assert state.ready == {"f"}
    assert state.oldest_s == 105


def test_what_is_dated_before_the_last_look_must_be_seen_to_be_at_rest():
    """Clocks that disagree, or a directory that was moved here: its files are old, and yet it has just changed."""
    state = first_look(look({"f": OLD}), at(0), RULES)
    state = next_look(state, look({"f": (OLD + 1, 5), "g": OLD}), at(10), RULES)
    assert state.held == {"f", "g"}
    assert next_look(state, state.scan, at(11), RULES).held == {"f", "g"}
    assert next_look(state, state.scan, at(12), RULES).ready == {"f", "g"}


def test_files_from_the_future_come_to_rest():
    state = first_look(look({"f": NOW + 5000}), at(0), RULES)
    assert state.held == {"f"}
    assert next_look(state, state.scan, at(1.9), RULES).held == {"f"}
    assert next_look(state, state.scan, at(2), RULES).ready == {"f"}


def test_a_deletion_has_no_date_and_must_last():
    state = first_look(look({"f": OLD, "g": OLD}), at(0), RULES)
    state = next_look(state, look({"g": OLD}), at(5), RULES)
    assert state.held == {"f"}
    assert state.waits_s(RULES) == pytest.approx((2, 2))
    assert next_look(state, look({"f": OLD, "g": OLD}), at(6), RULES).held == {"f"}, "it is there again"
    assert next_look(state, state.scan, at(7), RULES).ready == {"f"}


def test_a_store_that_goes_away_is_one_unit_until_it_is_gone():
    state = first_look(look(dict.fromkeys(STORE, OLD)), at(0), RULES)
    state = next_look(state, look({"a.zarr/t/0": OLD}), at(5), RULES)
    assert state.held == {"a.zarr"}


def test_what_a_writer_left_unfinished_holds_back_its_store_and_is_told():
    state = first_look(look(dict.fromkeys(STORE, OLD), [("a.zarr/t/0.x.partial", NOW - 1)]), at(0), RULES)
    assert state.held == {"a.zarr"}
    assert not state.findings("p")
    state = next_look(state, state.scan, at(3), RULES)
    assert state.held == {"a.zarr"}
    assert [finding.key for finding in state.findings("p")] == ["a.zarr/t/0.x.partial"]
    state = next_look(state, look(dict.fromkeys(STORE, OLD)), at(6), RULES)
    assert next_look(state, state.scan, at(9), RULES).ready == {"a.zarr"}


def test_unfinished_files_outside_stores_hold_back_nothing():
    state = first_look(look({"f": OLD}, [("f.partial", NOW)]), at(0), RULES)
    assert not state.held
    assert not next_look(state, look({"f": OLD}, [("f.partial", NOW + 1)]), at(1), RULES).held


def test_a_raster_waits_for_its_mask_and_the_mask_for_its_raster():
    old = dict.fromkeys(["a.tif", "a.tif.msk", "b.tif", "b.tif.ovr"], OLD)
    for moving in ("a.tif", "a.tif.msk"):
        state = first_look(look({**old, moving: NOW - 1}), at(0), RULES)
        assert state.held == {"a.tif", "a.tif.msk"}
        assert next_look(state, state.scan, at(3), RULES).held == set()


MARKED = Rules(settle_s=2, marker="done")


@pytest.mark.parametrize("mark", ["a.zarr/done", "a.zarr.done"])
def test_with_a_marker_only_the_marker_tells_of_a_store(mark):
    files = dict.fromkeys(STORE, OLD)
    state = first_look(look(files), at(0), MARKED)
    assert state.held == {"a.zarr"}, "there is no marker"
    state = next_look(state, look({**files, mark: NOW + 1}), at(1), MARKED)
    assert state.ready >= {"a.zarr"}
    state = published(state, state.held, ())
    state = next_look(state, look({**files, mark: NOW + 1, "a.zarr/t/1": NOW + 5}), at(5), MARKED)
    assert "a.zarr" in state.held, "the marker is older than what it should mark"
    state = next_look(state, look({**files, mark: NOW + 9, "a.zarr/t/1": NOW + 5}), at(9), MARKED)
    assert "a.zarr" in state.ready


def test_a_marker_that_was_there_before_a_deletion_is_stale():
    files = {**dict.fromkeys(STORE, OLD), "a.zarr.done": NOW - 10}
    state = first_look(look(files), at(0), MARKED)
    assert not state.held
    del files["a.zarr/t/0"]
    state = next_look(state, look(files), at(5), MARKED)
    assert "a.zarr" in state.held
    assert "a.zarr" in next_look(state, state.scan, at(50), MARKED).held
    state = next_look(state, look({**files, "a.zarr.done": NOW + 55}), at(60), MARKED)
    assert "a.zarr" in state.ready


def test_what_is_not_selected_does_not_matter():
    rules = replace(RULES, selects=lambda keys: [not key.endswith(".log") for key in keys])
    state = first_look(look({"f": OLD, "x.log": NOW}), at(0), rules)
    assert not state.held
    state = next_look(state, look({"f": OLD, "x.log": NOW + 1}), at(5), rules)
    assert not state.waiting


def test_what_no_file_shows_is_looked_at_as_soon_as_it_is_so_and_as_it_is_no_more():
    """A link to itself in a store, say; it is no file, and nothing else changed."""
    good = look(dict.fromkeys([*STORE, "f"], OLD))
    bad = replace(good, findings=(Finding("error", "link-loop", "p", "a.zarr/me", "remove it"),))
    state = first_look(good, at(0), RULES)
    for scan, start in ((bad, 1), (good, 10)):
        state = next_look(state, scan, at(start), RULES)
        assert state.moving.keys() == {"a.zarr"}
        state = next_look(state, scan, at(start + 3), RULES)
        assert state.ready == {"a.zarr"}
        state = published(state, (), {"a.zarr"} if scan is bad else ())
        assert state.ready == frozenset()
        assert next_look(state, scan, at(start + 5), RULES).ready == frozenset()


def test_what_was_found_unfit_waits_until_it_changes():
    files = {**dict.fromkeys(STORE, OLD), "f": OLD}
    state = first_look(look(files), at(0), RULES)
    state = next_look(state, look({**files, "a.zarr/t/0": NOW + 1, "f": NOW + 1}), at(5), RULES)
    assert state.ready == {"a.zarr", "f"}
    state = published(state, state.held, {"a.zarr"})
    assert not state.ready
    assert state.oldest_s == 105
    state = next_look(state, look({**files, "a.zarr/t/0": NOW + 6, "f": NOW + 1}), at(10), RULES)
    assert state.ready == {"a.zarr"}
    assert published(state, (), ()).waiting == {}


@given(
    st.lists(
        st.tuples(st.dictionaries(KEYS, st.integers(0, 20)), st.floats(0.1, 5, allow_nan=False)),
        min_size=1,
        max_size=12,
    )
)
def test_nothing_is_ready_that_changed_within_settle_and_nothing_waits_for_ever(history):
    """Whatever happens: what changed too recently is held; and once nothing changes any more, everything comes up."""
    now, state, changed = 0.0, None, {}
    for files, pause in history:
        now += pause
        found = look({key: OLD + when for key, when in files.items()})
        if state is None:
            state = first_look(found, at(now), RULES)
            continue
        roots = store_roots([*found.keys, *state.scan.keys])
        old, new = (dict(zip(scan.keys, scan.signatures, strict=True)) for scan in (state.scan, found))
        for key in old.keys() | new.keys():
            if old.get(key) != new.get(key):
                changed[unit_of(key, roots)] = now
        state = next_look(state, found, at(now), RULES)
        for unit in state.ready:
            assert now - changed[unit] >= RULES.settle_s
    for _ in range(2):
        now += RULES.settle_s
        state = next_look(state, state.scan, at(now), RULES)
    assert not state.held
    assert published(state, state.held, ()).waiting == {}


# --- files that move while they are sent -------------------------------------------------------------------------


def test_what_was_left_out_is_on_record_as_it_was():
    plan = table_of(
        [
            {
                "product": "p",
                "key": "known",
                "action": "send",
                "reason": "changed",
                "stage": "data",
                "size": 9,
                "etag": "e1",
            },
            {"product": "p", "key": "new", "action": "send", "reason": "new", "stage": "data", "size": 9},
            {
                "product": "p",
                "key": "foreign",
                "action": "send",
                "reason": "x",
                "stage": "data",
                "size": 9,
                "etag": "e9",
            },
            {"product": "p", "key": "sent", "action": "send", "reason": "new", "stage": "data", "size": 9},
        ],
        PLAN,
    )
    before = table_of(
        [{"key": "known", "etag": "e1", "digest": "d1", "size": 5}, {"key": "foreign", "etag": "e2", "digest": "d2"}],
        MANIFEST,
    )
    left = {("p", "known"), ("p", "new"), ("p", "foreign")}
    rows = {row["key"]: row for row in without_moving(plan, left, {"p": before}).to_pylist()}
    assert rows.keys() == {"known", "sent"}
    assert (rows["known"]["action"], rows["known"]["digest"], rows["known"]["size"]) == ("keep", "d1", 5)


# --- where events work -------------------------------------------------------------------------------------------

MOUNTS = r"""
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 21 0:50 / /mnt/c rw - 9p C:\134 rw
36 21 0:32 / /data rw - nfs4 host:/x rw
37 36 0:33 / /data/scratch rw - lustre mds:/x rw
38 21 0:40 / /with\040space rw - fuse.sshfs u@h:/ rw
39 21 0:41 / /database rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"), ("/", "ext4"), ("/data", "nfs4"), ("/data/a/b", "nfs4"), ("/data/scratch/x", "lustre"),
        ("/database/x", "xfs"), ("/with space/x", "fuse.sshfs"), ("/mnt/c/Users", "9p"),
    ],
)  # fmt: skip
def test_the_mount_tells_what_a_directory_lies_on(path, kind):
    assert mount_type(path, MOUNTS) == kind


@pytest.mark.parametrize(("path", "works"), [("/home/x", True), ("/data/x", False), ("/with space/x", False)])
def test_events_are_not_waited_for_on_file_systems_of_the_network(path, works, monkeypatch):
    from zsync.watching import where

    monkeypatch.setattr(where.Path, "read_text", lambda *_args, **_options: MOUNTS)
    assert where.has_events(path) is works


# --- one site ----------------------------------------------------------------------------------------------------


class Script:
    """A worker that does as it is told."""

    roots = ()

    def __init__(self, *acts):
        self.acts = list(acts)
        self.compared = []

    def look(self, *, compare):
        self.compared.append(compare)
        act = self.acts.pop(0) if self.acts else Looked(is_complete=True)
        if isinstance(act, Exception):
            raise act
        return act


def runner(*acts, interval=1.0, compare=1000.0, backoff=8.0):
    board, worker = Board("1"), Script(*acts)
    made = Runner(
        SiteStatus("s", "/a", "s3://b"), worker, Pace(interval, compare, backoff, "poll"), board, threading.Event()
    )
    board.add(SiteStatus("s", "/a", "s3://b"))
    return made, worker, board


def test_failures_wait_longer_and_longer_and_success_is_at_once_normal(caplog):
    made, worker, board = runner(*[TargetError("it is down")] * 6, Looked(is_complete=True))
    with caplog.at_level(logging.INFO, "zsync"):
        pauses = [made.turn() for _ in range(6)]
        limits = [1, 2, 4, 8, 8, 8]
        for (least, most), limit in zip(pauses, limits, strict=True):
            assert least == most
            assert limit / 2 <= most <= limit
        assert board.failing == {"s": "it is down"}
        assert made.turn()[1] == pytest.approx(1)
    assert board.failing == {}
    assert board.sites["s"].errors == 6
    assert [record.getMessage() for record in caplog.records] == ["it is down", "well again"]
    assert all(worker.compared), "after a failure all is compared"
    made.turn()
    assert worker.compared[-1] is False


def test_an_error_that_changes_is_logged_again(caplog):
    made, _, _ = runner(TargetError("a"), TargetError("a"), SourceError("b"))
    for _ in range(3):
        made.turn()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["a", "b"]


def test_an_error_of_no_family_is_one_site_s_trouble_and_its_text_is_not_told(caplog):
    made, _, board = runner(RuntimeError("secret"))
    made.turn()
    assert board.failing == {"s": "internal error: RuntimeError; see the log at level debug, and report it"}


def test_a_slow_look_is_rare_and_what_moves_is_looked_at_again_soon():
    made, _, _ = runner(Looked(look_s=5.0, is_complete=True))
    assert made.turn()[1] == pytest.approx(20)
    made, _, _ = runner(Looked(waits_s=(0.5, 3.0), is_complete=True), interval=60)
    assert made.turn()[1] == pytest.approx(0.5)


def test_all_is_compared_at_the_start_and_every_so_often():
    made, worker, _ = runner(compare=0.0)
    made.turn()
    made.turn()
    assert worker.compared == [True, True]
    made, worker, _ = runner(Looked(), Looked(is_complete=True), Looked())
    for _ in range(3):
        made.turn()
    assert worker.compared == [True, True, False], "until all could be compared"


# --- endpoints ---------------------------------------------------------------------------------------------------


@pytest.fixture
def listener():
    board = Board("1.2")
    board.add(SiteStatus("s", "/a", "s3://b", objects=3, bytes=50, last_success=1000.0))
    asked = threading.Event()
    listener = Listener("127.0.0.1:0", board, asked.set)
    yield listener, board, asked
    listener.close()


def ask(address, method, path, **headers):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_health_is_that_of_the_sites(listener):
    server, board, _ = listener
    assert ask(server.address, "GET", "/healthz") == (200, b'{\n "status": "ok",\n "failing": {}\n}\n')
    board.update("s", error="it is down")
    status, body = ask(server.address, "GET", "/healthz")
    assert status == 503
    assert json.loads(body)["failing"] == {"s": "it is down"}


def test_info_and_metrics_tell_of_every_site(listener):
    server, board, _ = listener
    info = json.loads(ask(server.address, "GET", "/info")[1])
    assert (info["version"], info["sites"]["s"]["objects"], info["sites"]["s"]["target"]) == ("1.2", 3, "s3://b")
    board.count("s", publications=2, bytes_sent=70, errors=1, passes=1, pass_seconds=0.5)
    status, body = ask(server.address, "GET", "/metrics")
    assert status == 200
    lines = body.decode().splitlines()
    for line in (
        'zsync_site_bytes{site="s"} 50.0',
        'zsync_site_objects{site="s"} 3.0',
        'zsync_site_errors_total{site="s"} 1.0',
        'zsync_site_last_success_timestamp_seconds{site="s"} 1000.0',
        'zsync_site_lag_seconds{site="s"} 0.0',
        'zsync_site_publications_total{site="s"} 2.0',
        'zsync_site_sent_bytes_total{site="s"} 70.0',
        'zsync_site_pass_seconds_sum{site="s"} 0.5',
        'zsync_site_pass_seconds_count{site="s"} 1.0',
        'zsync_site_failing{site="s"} 0.0',
        'zsync_build_info{version="1.2"} 1.0',
    ):
        assert line in lines


def test_a_reload_is_asked_for_with_post(listener):
    server, _, asked = listener
    assert ask(server.address, "GET", "/reload")[0] == 405
    assert not asked.is_set()
    assert ask(server.address, "POST", "/reload")[0] == 202
    assert asked.is_set()


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:80"}, {"Host": ""}])
def test_pages_of_browsers_are_refused_by_the_host_that_they_name(listener, headers):
    server, _, asked = listener
    assert ask(server.address, "POST", "/reload", **headers)[0] == 403
    assert ask(server.address, "GET", "/info", **headers)[0] == 403
    assert not asked.is_set()


def test_pages_of_browsers_are_refused_by_their_origin(listener):
    server, _, asked = listener
    assert ask(server.address, "POST", "/reload", Origin="http://evil.example")[0] == 403
    assert not asked.is_set()


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8090"])
def test_this_machine_has_several_names(listener, host):
    assert ask(listener[0].address, "GET", "/healthz", Host=host)[0] == 200


def test_other_paths_and_methods(listener):
    server, _, _ = listener
    assert ask(server.address, "GET", "/")[0] == 404
    assert ask(server.address, "POST", "/info")[0] == 405
    assert ask(server.address, "HEAD", "/healthz") == (200, b"")


def test_an_address_that_is_taken_is_an_error_of_configuration(listener):
    with pytest.raises(ConfigError, match=r"cannot listen there .*; choose another watch\.listen, or off"):
        Listener(listener[0].address, Board("1"), lambda: None)


def test_a_site_that_is_gone_leaves_no_metrics():
    board = Board("1")
    board.add(SiteStatus("s", "/a", "s3://b"))
    board.remove("s")
    board.update("s", objects=1)
    assert b'site="s"' not in exposition(board)[1]


# --- logs --------------------------------------------------------------------------------------------------------


def test_a_log_line_is_one_json_document():
    said = {"name": "zsync.x", "levelname": "INFO", "msg": "a %s\nb", "args": ("c",), "created": 1.5, "msecs": 500}
    record = logging.makeLogRecord({**said, "site": "s", "publication": "p"})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z", "level": "info", "logger": "zsync.x", "message": "a c\nb", "site": "s",
        "publication": "p",
    }  # fmt: skip
    assert TextFormatter().format(record).startswith("1970-01-01T00:00:01Z INFO s: a c")


def test_logs_go_to_a_file_that_may_be_moved_away(tmp_path):
    logger = logging.getLogger("zsync")
    before, level, propagate = logger.handlers[:], logger.level, logger.propagate
    try:
        log_to("info", "json", tmp_path / "log")
        logger.info("one")
        (tmp_path / "log").rename(tmp_path / "log.1")
        logger.info("two")
        logger.debug("three")
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.handlers[:], logger.propagate = before, propagate
        logger.setLevel(level)
    assert json.loads((tmp_path / "log.1").read_text())["message"] == "one"
    assert json.loads((tmp_path / "log").read_text())["message"] == "two"


def test_a_log_file_that_cannot_be_written_is_an_error_of_configuration(tmp_path):
    with pytest.raises(ConfigError, match="cannot log there"):
        log_to("info", "json", tmp_path / "absent" / "log")


# --- the configuration -------------------------------------------------------------------------------------------


def test_sites_are_the_same_whatever_the_service_as_a_whole_does(tmp_path):
    from zsync.watching.service import _same

    document = {"sites": {"s": {"source": str(tmp_path), "target": "s3://bucket/s"}}}
    one = RunConfig.from_any(document).by_site()["s"]
    assert _same(one, RunConfig.from_any(document, watch={"listen": "off", "log_level": "debug"}).by_site()["s"])
    assert not _same(one, RunConfig.from_any(document, watch={"settle": "9s"}).by_site()["s"])
    assert not _same(one, RunConfig.from_any(document, retire="keep").by_site()["s"])


def test_a_state_that_was_never_seen_to_change_has_no_lag():
    assert State(look({}), at(0)).oldest_s is None


# --- the documents -----------------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT, METRICS = (DOCS / "watching.md").read_text(), (DOCS / "metrics.md").read_text()


def test_every_metric_is_explained_and_none_that_there_is_not():
    board = Board("1")
    board.add(SiteStatus("s", "/a", "s3://b", last_success=1.0))
    lines = exposition(board)[1].decode().splitlines()
    told = {re.split(r"[ {]", line)[0] for line in lines if not line.startswith("#")}
    explained = set(re.findall(r"`(zsync_[a-z_]+)`", METRICS))
    assert told == explained


def test_every_setting_is_explained_with_its_default():
    rows = dict(re.findall(r"^\| (`[^|]+`) \|([^|]*)\|", DOCUMENT, re.MULTILINE))
    names = {name for cell in rows for name in re.findall(r"`([a-z_]+)`", cell)}
    assert set(Watch.model_fields) <= names
    for name, field in Watch.model_fields.items():
        cell = next(default for cell, default in rows.items() if f"`{name}`" in cell)
        assert field.default is None or f"`{field.default}`" in cell, name


def test_the_example_is_a_configuration():
    block = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    sites = RunConfig.from_any(yaml.safe_load(block)).by_site()
    assert {name: config.watch.interval for name, config in sites.items()} == {"oco3": "1s", "maps": "10s"}
    assert all(config.watch.settle == "30s" for config in sites.values())


# --- several publishes in one process ----------------------------------------------------------------------------


def test_executors_at_work_at_the_same_time_keep_their_outcomes_apart(monkeypatch):
    """What dask calls back for one graph must not be called for another one's: sites are published side by side."""
    import dask.threaded

    meet, get = threading.Barrier(2, timeout=30), dask.threaded.get
    monkeypatch.setattr(dask.threaded, "get", lambda *args, **more: (meet.wait(), get(*args, **more))[1])

    def run(product):
        got = []
        items = [Send(product, str(number), "", 1, Headers()) for number in range(3)]
        Threads(2).run(receipts_of, [Batch(None, (item,)) for item in items], got.append)
        return sorted((receipt.product, receipt.key) for outcome in got for receipt in outcome.receipts)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, "ab"))
    assert found == [[(product, str(number)) for number in range(3)] for product in "ab"]


def receipts_of(batch, _crew):
    return Outcome(tuple(Receipt(item.product, item.key, 1, "", None, None) for item in batch.items), (), 1, 1)


# --- what watching needs besides -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "said", "without"),
    [
        ("watchfiles", "watchfiles, for file events, is not installed: watch.events", {"events": "poll"}),
        ("prometheus_client", "prometheus-client, for metrics, is not installed: watch.listen", {"listen": "off"}),
    ],
)
def test_what_is_not_installed_is_named_with_what_to_type(module, said, without, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a").mkdir()
    config = {"source": str(tmp_path / "a"), "target": (tmp_path / "b").as_uri(), "watch": {"listen": "127.0.0.1:0"}}
    stop = threading.Event()
    stop.set()
    with pytest.raises(ConfigError) as refused:
        watch(config, stop=stop)
    assert str(refused.value).startswith(f"{said}; pip install 'zarr-publish[watch]', or ")
    assert watch(config | {"watch": {**config["watch"], **without}}, stop=stop).errors == {}
