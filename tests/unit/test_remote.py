"""Batches in other processes: what is done when a worker dies, comes too late, or does not see the source."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from zsync.config import Location, Storage
from zsync.errors import ConflictError, CredentialsError, OutdatedError, SourceChangedError, SourceError, TargetError
from zsync.inventory.digest import Signature
from zsync.inventory.origin import FileReader
from zsync.publication import claims
from zsync.publication.clock import Deadline
from zsync.storage import Headers, spec_for
from zsync.storage.handing import Handed, forget, take_over
from zsync.storage.spec import kept_keys
from zsync.transfer import Batch, Failure, Outcome, Receipt, Send
from zsync.transfer.remote import Errand, Remote, Report, do, recall

SPEC = spec_for(Location.parse("memory://x"), Storage())


class Hands:
    """Workers that are threads; `fate` says of each errand what becomes of it."""

    deaths = (CancelledError,)
    processes, at_once = 2, 2

    def __init__(self, fate=lambda _number, _errand: None):
        self.fate, self.errands, self.handed, self.recalled, self.closed = fate, [], 0, [], False
        self.pool = ThreadPoolExecutor(2)

    def submit(self, errand: Errand) -> Future[Report]:
        number = len(self.errands)
        self.errands.append(errand)
        return self.pool.submit(lambda: self.fate(number, errand) or do(errand))

    def hand_over(self):
        self.handed += 1

    def recall(self, run, _errands):
        self.recalled.append(run)
        recall(run)

    def close(self):
        self.pool.shutdown(wait=True)
        self.closed = True


def receipts_of(batch, _crew):
    return Outcome(tuple(Receipt(item.product, item.key, 1, "", None, None) for item in batch.items), (), 1, 1)


def batches(count, size=4, claim=None, source=None):
    return [
        Batch(SPEC, tuple(Send("p", f"{n}-{i}", "t", 1, Headers(), source=source) for i in range(size)), claim)
        for n in range(count)
    ]


def keys(outcomes):
    return sorted(receipt.key for outcome in outcomes for receipt in outcome.receipts)


def failed(errand, error, key="0-1"):
    """Fail at one object, after those before it."""
    before = [item for item in errand.batch.items if item.key < key]
    return Report(
        Outcome(receipts_of(SimpleNamespace(items=before), None).receipts, (Failure("p", key, error),), 1, 1), "far"
    )


def test_every_batch_is_done_once_and_no_more_are_handed_out_than_are_needed():
    hands, got, most = Hands(), [], [0]
    with Remote(lambda: hands, 100) as remote:
        submit = hands.submit
        hands.submit = lambda errand: (
            most.__setitem__(0, max(most[0], len(hands.errands) + 1 - len(got))),
            submit(errand),
        )[1]
        remote.run(receipts_of, batches(30), got.append)
    assert keys(got) == sorted(f"{n}-{i}" for n in range(30) for i in range(4))
    assert most[0] <= remote.tasks == 4
    assert {errand.most for errand in hands.errands} == {50}, "what is allowed is shared out"
    assert hands.closed


@pytest.mark.parametrize("deaths", [1, 3])
def test_what_a_dead_worker_had_is_done_again(deaths):
    def fate(_number, errand):
        if errand.batch.items[0].key == "2-0" and len([e for e in hands.errands if e.batch == errand.batch]) <= deaths:
            raise CancelledError

    hands, got = Hands(fate), []
    with Remote(lambda: hands, 8) as remote:
        remote.run(receipts_of, batches(6), got.append)
    assert keys(got) == sorted(f"{n}-{i}" for n in range(6) for i in range(4))
    assert len(hands.errands) == 6 + deaths


def test_a_batch_that_kills_all_its_workers_ends_the_work():
    def fate(_number, errand):
        if errand.batch.items[0].key == "2-0":
            raise CancelledError

    hands, got = Hands(fate), []
    with pytest.raises(TargetError, match=r"died 4 times .*p/2-0"), Remote(lambda: hands, 8) as remote:
        remote.run(receipts_of, batches(6), got.append)
    assert "2-0" not in keys(got)


def test_what_came_too_late_is_done_again_without_what_arrived():
    late = OutdatedError("late")
    hands, got = Hands(lambda number, errand: failed(errand, late) if number == 0 else None), []
    with Remote(lambda: hands, 8) as remote:
        remote.run(receipts_of, batches(1), got.append)
    assert keys(got) == ["0-0", "0-1", "0-2", "0-3"]
    assert [len(errand.batch.items) for errand in hands.errands] == [4, 3]
    assert not any(outcome.failures for outcome in got)
    assert not hands.handed


def lacks_credentials_until(handed):
    """Return work that is done once credentials were handed over so many times, and what it is done by."""
    hands = Hands()

    def work(batch, crew):
        if hands.handed < handed:
            raise CredentialsError("given elsewhere", "s3://b")
        return receipts_of(batch, crew)

    return work, hands


def test_workers_that_came_later_are_given_credentials_and_asked_again():
    work, hands = lacks_credentials_until(2)
    got = []
    with Remote(lambda: hands, 8) as remote:
        remote.run(work, batches(1), got.append)
    assert keys(got) == ["0-0", "0-1", "0-2", "0-3"]
    assert hands.handed == 2


def test_workers_that_have_no_credentials_still_are_named():
    work, hands = lacks_credentials_until(100)
    with (
        pytest.raises(CredentialsError, match=r"the worker on .*: given elsewhere: s3://b"),
        Remote(lambda: hands, 8) as remote,
    ):
        remote.run(work, batches(1), [].append)
    assert len(hands.errands) == 4


def test_what_is_late_time_and_again_fails():
    hands, got = Hands(lambda _number, errand: failed(errand, OutdatedError("late"))), []
    with Remote(lambda: hands, 8) as remote:
        remote.run(receipts_of, batches(1), got.append)
    assert [failure.error.message for outcome in got for failure in outcome.failures] == ["late"]


def test_an_error_waits_for_what_is_under_way_and_begins_nothing():
    """Not even another object of a batch that was begun."""
    began, go = threading.Semaphore(0), threading.Event()

    def one_by_one(batch, crew):
        def one(item):
            began.release()
            assert go.wait(30)
            return Receipt(item.product, item.key, 1, "", None, None)

        came = crew.each(one, batch.items, is_last=lambda _receipt: False)
        return Outcome(tuple(came), (), len(came), 0)

    def fate(number, errand):
        if number == 0:
            assert began.acquire(timeout=30)
            return failed(errand, ConflictError("stop"), "0-0")
        return None

    def done(outcome):
        got.append(outcome)
        if outcome.failures:
            raise outcome.failures[0].error

    class Slow(Hands):
        def recall(self, run, errands):
            super().recall(run, errands)
            go.set()

    hands, got = Slow(fate), []
    hands.pool = ThreadPoolExecutor(3)
    with pytest.raises(ConflictError, match="stop"), Remote(lambda: hands, 2) as remote:
        remote.run(one_by_one, batches(50, size=100), done)
    assert hands.recalled == [hands.errands[0].run]
    assert len(hands.errands) == 4
    assert 2 <= len(keys(got)) < 20, "what was done has its receipts, and what was not begun is not done"


@pytest.mark.parametrize("is_here", [True, False], ids=["here it is", "here it changed too"])
def test_a_worker_that_does_not_see_the_source_is_told_with_host_and_path(tmp_path, is_here):
    path = tmp_path / "chunk"
    path.write_bytes(b"x")
    source = FileReader(str(path), "0-1", Signature.of(path.stat()))
    if not is_here:
        path.write_bytes(b"other")
    hands = Hands(lambda _number, errand: failed(errand, SourceChangedError("it changed", "0-1")))
    got = []
    with Remote(lambda: hands, 8) as remote:
        remote.run(receipts_of, batches(1, source=source), got.append)
    (failure,) = got[0].failures
    told = str(failure.error)
    assert isinstance(failure.error, SourceError)
    assert ("far" in told and str(path) in told and "mounted" in told) == is_here
    assert isinstance(failure.error, SourceChangedError) != is_here


class Holder:
    def __init__(self, until):
        self.until = until

    def check(self):
        if self.until.has_passed:
            raise ConflictError("lost")


def checks(_batch, _crew):
    claims.refuse_unless_held(("id", "prefix"))
    return Outcome((), (), 0, 0)


@pytest.fixture
def elsewhere(monkeypatch):
    """A process that holds no claim itself, on this machine or on another one."""

    def go(machine):
        monkeypatch.setattr(claims, "_holders", {})
        monkeypatch.setattr(claims, "machine", lambda: machine)

    monkeypatch.setattr(claims, "_holders", {})
    monkeypatch.setattr(claims, "_grants", {})
    return go


@pytest.mark.parametrize(("lasts_s", "machine", "may"), [
    (60, "here", True), (60, "there", True), (3, "here", True), (3, "there", False), (-1, "here", False),
    (-1, "there", False),
])  # fmt: skip
def test_a_worker_may_send_as_long_as_the_lease_lasts(monkeypatch, elsewhere, lasts_s, machine, may):
    """On another machine, whose clock may be behind, it ends some seconds earlier."""
    claim = ("id", "prefix")
    monkeypatch.setattr(claims, "machine", lambda: "here")
    claims.hold(claim, Holder(Deadline.after(max(lasts_s, 1))))
    grant = pickle.loads(pickle.dumps(claims.Grant.of(claim)))
    grant = claims.Grant(grant.claim, grant.machine, Deadline.after(lasts_s))
    elsewhere(machine)
    errand = Errand(checks, Batch(SPEC, (), claim), grant, 1, "run")
    if may:
        do(errand)
    else:
        with pytest.raises(OutdatedError):
            do(errand)


def test_the_newest_grant_counts(elsewhere):
    claim = ("id", "prefix")
    elsewhere("")
    claims.take(claims.Grant(claim, "", Deadline.after(60)))
    claims.take(claims.Grant(claim, "", Deadline.after(-60)))
    claims.refuse_unless_held(claim)
    with pytest.raises(ConflictError, match="given back"):
        claims.refuse_unless_held(("id", "other"))


def test_who_lost_the_lease_grants_nothing(elsewhere):
    claims.hold(("id", "prefix"), Holder(Deadline.after(-1)))
    with pytest.raises(ConflictError, match="lost"):
        claims.Grant.of(("id", "prefix"))


def test_credentials_are_handed_over_and_forgotten_and_never_show(monkeypatch):
    storage = Storage(access_key_id="AKIAHANDED", secret_access_key="handedsecret")
    spec = spec_for(Location.parse("s3://bucket/x"), storage)
    handed = Handed.of([spec, SPEC])
    assert "secret" not in repr(handed)
    assert "AKIA" not in str(handed)
    forget(handed)
    assert kept_keys(spec) is not None, "what was given to this process is its own"
    monkeypatch.setattr("zsync.storage.spec._vault", {})
    with pytest.raises(CredentialsError):
        kept_keys(spec)
    take_over(pickle.loads(pickle.dumps(handed)))
    assert kept_keys(spec)["secret_access_key"] == "handedsecret"
    forget(handed)
    with pytest.raises(CredentialsError):
        kept_keys(spec)
