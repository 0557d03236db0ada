"""Text from outside: what is shown of it, and where."""

from __future__ import annotations

import errno
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.errors import ZsyncError
from zsync.inventory.digest import Signature, stats_of
from zsync.printable import printable
from zsync.report.html import findings_html, html_table
from zsync.report.lines import LineFormatter
from zsync.report.logs import JsonFormatter, TextFormatter
from zsync.report.text import columns, finding_text
from zsync.storage.answers import error_of_system
from zsync.system import advice_on
from zsync.words import Finding

# ESC, C0, DEL, C1 (CSI), line and paragraph separators, marks of direction, half a character, a byte that is no UTF-8.
NASTY = "\x1b[31m\a\r\n\t\x7f\x9b\x85\u2028\u2029\u202a\u202e\u2066\u2069\u200e\u200f\u061c\ufeff\udcff\ud800"
USUAL = "Müller/東京/данные/δ\u200cx/emoji 🛰/[red]x[/red]/back\\slash"


def is_clean(text):
    return "\x1b" not in text and all(char.isprintable() for char in text.replace("\n", "").replace("\t", ""))


@pytest.mark.parametrize("char", sorted(set(NASTY) - set("[31m")))
def test_what_is_not_seen_is_escaped(char):
    shown = printable(f"a{char}b")
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    shown.encode()


def test_usual_text_stays():
    assert printable(USUAL) == USUAL
    assert printable("a\n\tb", lines=True) == "a\n\tb"
    assert printable("a\n\r\x1bb", lines=True) == "a\n\\r\\x1bb"


@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_escaping_is_whole_and_done_once(text):
    shown = printable(text)
    shown.encode()
    assert printable(shown) == shown
    assert not any(char in shown for char in NASTY if char not in "[31m")


def records():
    made = logging.LogRecord("zsync.x", logging.WARNING, __file__, 1, "held by %s", (NASTY,), None)
    try:
        raise ValueError(NASTY)
    except ValueError:
        yield made
        yield logging.LogRecord("zsync.x", logging.ERROR, __file__, 1, "%s", (NASTY,), sys.exc_info())


SINKS = {
    "error": lambda: str(ZsyncError(f"held by {NASTY}", f"s3://b/{NASTY}", f"ask {NASTY}")),
    "finding": lambda: finding_text(Finding("error", "x", NASTY, NASTY, NASTY)),
    "columns": lambda: columns([[NASTY, "b"], ["c", NASTY]]),
    "table": lambda: html_table(["key"], [[NASTY]]),
    "findings": lambda: findings_html([Finding("error", "x", NASTY, NASTY, NASTY)]),
    "line": lambda: "".join(LineFormatter(timed=True).format(record) for record in records()),
    "log": lambda: "".join(TextFormatter().format(record) for record in records()),
    "json": lambda: "".join(JsonFormatter().format(record) for record in records()),
}


@pytest.mark.parametrize("sink", SINKS)
def test_every_sink_escapes(sink):
    shown = SINKS[sink]()
    assert is_clean(shown), shown
    assert "\\x1b" in shown or "\\u001b" in shown
    shown.encode()
    if sink in ("error", "finding"):
        assert "\n" not in shown
    if sink == "columns":
        assert shown.count("\n") == 1


def test_json_keeps_what_it_is():
    line = JsonFormatter().format(next(records()))
    assert json.loads(line)["message"] == f"held by {NASTY}"
    assert ZsyncError("gone", f"a{NASTY}", "look").said == f"gone: a{NASTY}; look"


# --- what the system says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.ENAMETOOLONG, "shorter"),
        (errno.EIO, "device"),
        (errno.ESTALE, "mount"),
    ],
)
def test_advice_fits_what_went_wrong(number, says):
    error = OSError(number, "it said so")
    advice = advice_on(error)
    assert advice is not None
    assert says in advice
    assert "permissions" not in advice
    assert advice in str(error_of_system(error, "file:///x"))


def test_permissions_are_advised_where_they_are_it():
    assert advice_on(PermissionError(errno.EACCES, "no")) == "check its permissions"
    assert advice_on(OSError("no number")) is None


# --- times -----------------------------------------------------------------------------------------------------------


class Status:
    def __init__(self, mtime=0, ctime=0, inode=1):
        self.st_size, self.st_mtime_ns, self.st_ctime_ns, self.st_ino = 3, mtime, ctime, inode


@pytest.mark.parametrize("mtime", [-(2**70), -(2**63) - 1, -1, 0, 2**63 - 1, 2**63, 2**40 * 10**9])
@pytest.mark.parametrize("inode", [1, 2**63 + 5, 2**64 - 1])
def test_times_and_inodes_fit_the_tables(mtime, inode):
    from zsync.inventory import Scan
    from zsync.tables import numbers

    signature = stats_of(Status(mtime, 5, inode))
    assert Signature.of(Status(mtime, 5, inode)) == Signature(*signature)
    assert signature[1] == min(max(mtime, -(2**63)), 2**63 - 1)
    table = Scan(["a"], [signature], ()).table()
    assert tuple(table.select(["size", "mtime_ns", "ctime_ns", "inode"]).to_pylist()[0].values()) == signature
    assert numbers(table["mtime_ns"])[0] == signature[1]
    assert stats_of(Status(mtime, 6, inode)) != signature, "a change shows in the ctime"
