"""Three-way merges as properties: what one side did is never taken for the other's, and never lost in the verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.cli.team import chosen_numbers
from zsync.planning.merge import (
    DOWNLOADS,
    UPLOADS,
    Content,
    States,
    Verdict,
    clashes,
    copy_name,
    merge,
    same,
    unit_of,
)

KEYS = ("f", "g", "d/h", "s.zarr/.zgroup", "s.zarr/x/.zarray", "s.zarr/x/0", "s.zarr/x/1")
contents = st.sampled_from([Content(1, digest, f"etag {digest}") for digest in "abc"])
sides = st.dictionaries(st.sampled_from(KEYS), contents)
TREES = (("d",), ("d/x", "d/y"), ("d/x/z", "d/y"), ("d/s.zarr/.zgroup", "d/x"), ("d/s.zarr/.zgroup",), ())
names = st.sampled_from(TREES).flatmap(lambda keys: st.fixed_dictionaries(dict.fromkeys(keys, contents)))
OLD, NEW, OTHER = (Content(1, digest) for digest in "abc")


def verdicts(**states):
    return {change.unit: change.verdict for change in merge(States(**states))}


@pytest.mark.parametrize(
    ("base", "here", "there", "verdict"),
    [
        (None, NEW, None, Verdict.NEW_HERE),
        (OLD, NEW, OLD, Verdict.MODIFIED_HERE),
        (OLD, None, OLD, Verdict.DELETED_HERE),
        (None, None, NEW, Verdict.NEW_THERE),
        (OLD, OLD, NEW, Verdict.MODIFIED_THERE),
        (OLD, OLD, None, Verdict.DELETED_THERE),
        (None, NEW, OTHER, Verdict.CONFLICT),
        (OLD, NEW, OTHER, Verdict.CONFLICT),
        (OLD, NEW, None, Verdict.CONFLICT),
        (OLD, None, NEW, Verdict.CONFLICT),
        (None, NEW, NEW, Verdict.SAME),
        (OLD, NEW, NEW, Verdict.SAME),
        (OLD, None, None, Verdict.SAME),
    ],
)
@pytest.mark.parametrize("key", ["a.txt", "s.zarr/x/0"])
def test_every_pair_of_changes(base, here, there, verdict, key):
    frame = {"s.zarr/.zgroup": OLD} if "zarr" in key else {}
    found = merge(States(*(frame | ({key: side} if side else {}) for side in (base, here, there))))
    expected = {
        # A store that lost or got a chunk was modified.
        Verdict.NEW_HERE: Verdict.MODIFIED_HERE, Verdict.DELETED_HERE: Verdict.MODIFIED_HERE,
        Verdict.NEW_THERE: Verdict.MODIFIED_THERE, Verdict.DELETED_THERE: Verdict.MODIFIED_THERE,
    }.get(verdict, verdict) if frame else verdict  # fmt: skip
    assert [(change.unit, change.verdict) for change in found] == [("s.zarr" if frame else key, expected)]


def test_nothing_to_say_of_what_both_still_agree_on():
    assert merge(States({"f": OLD}, {"f": OLD}, {"f": OLD})) == []
    # But that no publication tells of it.
    [change] = merge(States({"f": OLD}, {"f": OLD}, {"f": OLD}, unrecorded=frozenset(["f"])))
    assert (change.verdict, change.is_recorded) == (Verdict.SAME, False)


def test_a_change_tells_what_happened_on_each_side_and_how_much_there_is():
    base = {"s.zarr/.zgroup": OLD, "s.zarr/0": OLD}
    here = {"s.zarr/.zgroup": OLD, "s.zarr/0": Content(20, "b"), "s.zarr/1": Content(300, "c")}
    [change] = merge(States(base, here, base))
    assert (change.here, change.there, change.size_here, change.size_there) == ("modified", "", 321, 2)
    assert (change.is_recorded, change.is_unfinished, change.parts) == (True, False, ())
    assert change.keys == ("s.zarr/.zgroup", "s.zarr/0", "s.zarr/1")
    [change] = merge(States(base, base, {}, unrecorded=frozenset(base)))
    assert (change.here, change.there, change.size_there) == ("", "deleted", 0)
    assert not change.is_unfinished, "all of it is gone, whoever took it away"


def test_two_who_edit_other_chunks_of_a_store_are_in_conflict():
    base = {"s.zarr/.zgroup": OLD, "s.zarr/0": OLD, "s.zarr/1": OLD}
    changes = merge(States(base, base | {"s.zarr/0": NEW}, base | {"s.zarr/1": NEW}))
    assert [(change.unit, change.verdict, change.is_store) for change in changes] == [("s.zarr", "conflict", True)]
    assert (changes[0].here, changes[0].there) == ("modified", "modified")


def test_what_is_unknown_is_never_the_same():
    assert not same(Content(1, None, None), Content(1, "a", None))
    assert not same(Content(1, "a", "x"), Content(1, "b", "x"))
    assert same(Content(1, None, "x"), Content(1, "a", "x"))
    assert not same(Content(2, None, "x"), Content(1, "a", "x"))
    assert same(None, None)
    assert not same(None, Content(0))


def test_a_download_that_was_cut_off_is_no_change_of_ours():
    base = {"s.zarr/.zgroup": OLD, "s.zarr/0": OLD, "s.zarr/1": OLD}
    half = base | {"s.zarr/0": NEW}
    assert verdicts(base=base, here=half, there=base | {"s.zarr/0": NEW, "s.zarr/1": NEW}) == {
        "s.zarr": Verdict.MODIFIED_THERE
    }
    # And when the others have gone on since, what was on its way is still known.
    later = base | {"s.zarr/0": OTHER, "s.zarr/1": OTHER}
    assert verdicts(base=base, here=half, there=later) == {"s.zarr": Verdict.CONFLICT}
    coming = {"s.zarr/0": frozenset([NEW])}
    assert verdicts(base=base, here=half, there=later, coming=coming) == {"s.zarr": Verdict.MODIFIED_THERE}


def test_an_upload_that_was_cut_off_is_no_change_of_others():
    base = {"s.zarr/.zgroup": OLD, "s.zarr/0": OLD, "s.zarr/1": OLD}
    mine = base | {"s.zarr/0": NEW, "s.zarr/1": NEW}
    half = base | {"s.zarr/0": NEW}
    torn = frozenset(["s.zarr/0"])
    assert verdicts(base=base, here=mine, there=half, unrecorded=torn) == {"s.zarr": Verdict.MODIFIED_HERE}
    # To whom it is not their own, it is a store that is not whole.
    [change] = merge(States(base, base, half, unrecorded=torn))
    assert change.verdict == Verdict.MODIFIED_THERE
    assert change.is_unfinished
    # And who went on since still knows what was on its way, also where they went back to what it was before.
    going = {"s.zarr/0": frozenset([NEW])}
    for here in (base | {"s.zarr/0": OTHER}, base):
        [change] = merge(States(base, here, half, going=going, unrecorded=torn))
        assert (change.verdict, change.is_unfinished) == (Verdict.MODIFIED_HERE, False)


def test_what_is_left_of_a_store_that_was_being_replaced_is_no_change_of_anybody():
    base = {"s.zarr/.zgroup": OLD, "s.zarr/0": OLD, "s.zarr/1": OLD}
    mine, theirs = base | {"s.zarr/0": OTHER, "s.zarr/1": OTHER}, base | {"s.zarr/0": NEW, "s.zarr/1": NEW}
    half = base | {"s.zarr/0": NEW, "s.zarr/1": OTHER}
    assert verdicts(base=base, here=half, there=theirs) == {"s.zarr": Verdict.CONFLICT}
    assert verdicts(base=base, here=half, there=theirs, yielding_here=mine) == {"s.zarr": Verdict.MODIFIED_THERE}
    # While none of it is replaced it is a version, about which one may change one's mind; so is what was made since.
    assert verdicts(base=base, here=mine, there=theirs, yielding_here=mine) == {"s.zarr": Verdict.CONFLICT}
    since = half | {"s.zarr/1": Content(7, "since")}
    assert verdicts(base=base, here=since, there=theirs, yielding_here=mine) == {"s.zarr": Verdict.CONFLICT}
    # The other way it is so until somebody publishes it.
    torn = frozenset(["s.zarr/0"])
    half = base | {"s.zarr/0": OTHER, "s.zarr/1": NEW}
    assert verdicts(base=base, here=mine, there=half, yielding_there=theirs, unrecorded=torn) == {
        "s.zarr": Verdict.MODIFIED_HERE
    }
    assert verdicts(base=base, here=mine, there=half, yielding_there=theirs) == {"s.zarr": Verdict.CONFLICT}


STORE_KEYS = tuple(key for key in KEYS if key.startswith("s.zarr/"))
stores = st.fixed_dictionaries({STORE_KEYS[0]: contents}, optional=dict.fromkeys(STORE_KEYS[1:], contents))
some_keys = st.frozensets(st.sampled_from(STORE_KEYS))


def mixed(old, new, keys):
    """Return what is left of a store whose replacing was cut off when some keys had arrived, or were gone."""
    return {key: side[key] for key in STORE_KEYS if key in (side := new if key in keys else old)}


@given(stores, stores, stores, some_keys, st.booleans())
def test_what_was_cut_off_goes_on_the_way_that_it_went(base, mine, theirs, arrived, is_recorded):
    """Was: what was left here of a store of which no publication told there was sent there, and made a mixture."""
    left = mixed(mine, theirs, arrived)
    unrecorded = frozenset() if is_recorded else frozenset(mine.keys() | theirs.keys())
    pending = {key: frozenset({theirs.get(key)}) for key in STORE_KEYS}
    yielding = {key: mine.get(key) for key in STORE_KEYS}
    here = merge(States(base, left, theirs, coming=pending, yielding_here=yielding, unrecorded=unrecorded))
    if left not in (mine, base):
        assert all(change.verdict in (*DOWNLOADS, Verdict.SAME) for change in here)
    there = merge(States(base, theirs, left, going=pending, yielding_there=yielding, unrecorded=frozenset(STORE_KEYS)))
    if left not in (mine, base):
        assert all(change.verdict in (*UPLOADS, Verdict.SAME) for change in there)


def test_a_store_that_was_being_replaced_has_lost_what_neither_side_has_any_more():
    mine = {"s.zarr/.zgroup": OLD, "s.zarr/0": OLD, "s.zarr/1": OTHER}
    theirs = {"s.zarr/.zgroup": NEW}
    left = {key: mine[key] for key in ("s.zarr/.zgroup", "s.zarr/0")}
    assert verdicts(here=left, there=theirs) == {"s.zarr": Verdict.CONFLICT}
    assert verdicts(here=left, there=theirs, yielding_here=mine) == {"s.zarr": Verdict.MODIFIED_THERE}
    assert verdicts(here=mine, there=theirs, yielding_here=mine) == {"s.zarr": Verdict.CONFLICT}
    # Also where a directory has to make way for a file, and the root is gone first.
    left = {"s.zarr/0": OLD}
    assert verdicts(here=left, there={"s.zarr": NEW}, yielding_here=mine) == {"s.zarr": Verdict.MODIFIED_THERE}
    assert merge(States(yielding_here=mine)) == []


def test_a_store_that_nobody_recorded_is_whole_if_its_root_is_there():
    there = {"s.zarr/x/.zarray": NEW, "s.zarr/x/0": NEW}
    [change] = merge(States(there={**there, "s.zarr/.zgroup": NEW}, unrecorded=frozenset([*there, "s.zarr/.zgroup"])))
    assert (change.unit, change.is_unfinished) == ("s.zarr", False)
    whole = {"s.zarr/.zgroup": OLD}
    [change] = merge(States(whole, whole, there, unrecorded=frozenset([*there, "s.zarr/.zgroup"])))
    assert (change.unit, change.is_unfinished) == ("s.zarr", True)


@given(base=sides, here=sides, there=sides)
def test_every_key_is_in_one_unit_and_differences_are_told(base, here, there):
    changes = merge(States(base, here, there))
    told = [key for change in changes for key in change.keys]
    assert len(told) == len(set(told))
    differing = {key for key in KEYS if not same(here.get(key), there.get(key))}
    assert differing <= {key for change in changes if change.verdict != Verdict.SAME for key in change.keys}
    agreed = {key for change in changes if change.verdict == Verdict.SAME for key in change.keys}
    assert agreed.isdisjoint(differing)


@given(base=sides, here=sides, there=sides)
def test_the_two_sides_are_treated_alike(base, here, there):
    mirror = dict(zip([*UPLOADS, *DOWNLOADS], [*DOWNLOADS, *UPLOADS], strict=True))
    one, other = merge(States(base, here, there)), merge(States(base, there, here))
    swapped = [(change.unit, mirror.get(change.verdict, change.verdict)) for change in other]
    assert [(change.unit, change.verdict) for change in one] == swapped
    assert [(change.here, change.there) for change in one] == [(change.there, change.here) for change in other]


@given(base=sides, here=sides, there=sides)
def test_a_side_that_gives_way_holds_nothing_of_its_own(base, here, there):
    for change in merge(States(base, here, there)):
        giving = here if change.verdict in DOWNLOADS else there if change.verdict in UPLOADS else {}
        taking = there if change.verdict in DOWNLOADS else here
        for key in change.keys:
            if giving.get(key) is not None:
                assert any(same(giving[key], known.get(key)) for known in (base, taking))


@given(base=sides, side=sides)
def test_a_side_that_stayed_makes_no_conflict(base, side):
    assert all(change.verdict in UPLOADS for change in merge(States(base, side, base)))
    assert all(change.verdict in DOWNLOADS for change in merge(States(base, base, side)))


@given(base=sides, here=sides, there=sides)
def test_taking_a_side_comes_to_rest(base, here, there):
    """Whatever is chosen for each unit: once it is done and in the base, there is nothing more to say."""
    for wins in (here, there):
        after = dict(base)
        for change in merge(States(base, here, there)):
            for key in change.keys:
                after.pop(key, None)
                if key in wins:
                    after[key] = wins[key]
        assert merge(States(after, after, after)) == []


@given(base=sides, here=sides, there=sides, again=sides)
def test_a_change_that_comes_up_again_is_known_by_its_fingerprint(base, here, there, again):
    prints = {change.fingerprint: change for change in merge(States(base, here, there))}
    for change in merge(States(base, here, again)):
        if change.fingerprint in prints:
            assert prints[change.fingerprint] == change
            assert all(there.get(key) == again.get(key) for key in change.keys)


def test_units():
    assert unit_of("a/b", frozenset()) == "a/b"
    assert unit_of("a/b/c", frozenset(["a"])) == "a"
    assert unit_of("ab/c", frozenset(["a"])) == "ab/c"
    assert unit_of("c", frozenset([""])) == ""


def test_a_file_and_a_directory_of_one_name_clash():
    assert clashes(["a"], ["a/b"]) == ["a/b"]
    assert clashes(["a/b"], ["a"]) == ["a"]
    assert clashes(["a/b"], ["a/c", "ab", "a/b"]) == []


def test_copies_keep_their_ending_and_fit():
    assert copy_name("x.tar.gz", "m", "t") == "x.tar.conflict-m-t.gz"
    assert copy_name("s.zarr", "a/../b", "t") == "s.conflict-a-..-b-t.zarr"
    name = copy_name("é" * 127 + ".x", "m", "t")
    assert name == "é" * 120 + ".conflict-m-t.x", "no letter is cut in two"
    assert len(copy_name("a" * 300 + ".x", "m", "t")) == 255
    assert copy_name("f", "m", "t", ["f.conflict-m-t", "f.conflict-m-t-2"]) == "f.conflict-m-t-3"


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("all", {1, 2, 3}), (" A ", {1, 2, 3}), ("none", set()), ("", set()), ("2", {2}), ("1,3", {1, 3}),
        ("1-2, 3", {1, 2, 3}), ("3-1", None), ("0", None), ("4", None), ("1,,2", None), ("one", None), ("-1", None),
    ],
)  # fmt: skip
def test_choices_by_number(text, chosen):
    assert chosen_numbers(text, 3) == chosen


def test_a_name_that_is_a_file_here_and_a_directory_there_is_one_conflict():
    [change] = merge(States({}, {"d": NEW}, {"d/e/f": NEW, "d/s.zarr/.zgroup": NEW}))
    assert (change.unit, change.verdict, change.is_store) == ("d", Verdict.CONFLICT, False)
    assert (change.here, change.there, change.parts) == ("new", "new", ("d", "d/e/f", "d/s.zarr"))
    [change] = merge(States({"d/x": OLD}, {"d/x": NEW, "d/y": NEW}, {"d": NEW}))
    assert (change.unit, change.verdict, change.parts) == ("d", Verdict.CONFLICT, ("d", "d/x", "d/y"))


def test_a_contested_directory_with_a_store_that_is_not_whole_is_not_fit_to_be_brought_here():
    there = {"d/s.zarr/0": NEW, "d/x": NEW}
    for unrecorded in (frozenset(), frozenset(["d/s.zarr/0"]), frozenset(["d/x"])):
        base = {"d/s.zarr/.zgroup": OLD}
        [change] = merge(States(base, base | {"d": NEW}, there, unrecorded=unrecorded))
        is_torn = "d/s.zarr/0" in unrecorded
        assert (change.unit, change.is_recorded, change.is_unfinished) == ("d", not unrecorded, is_torn)


def test_a_name_of_which_one_side_has_no_changes_of_its_own_is_no_conflict():
    assert verdicts(base={"d/x": OLD}, here={"d/x": OLD}, there={"d": NEW}) == {
        "d": Verdict.NEW_THERE,
        "d/x": Verdict.DELETED_THERE,
    }
    assert verdicts(base={"d": OLD}, here={"d/x": NEW}, there={"d": OLD}) == {
        "d": Verdict.DELETED_HERE,
        "d/x": Verdict.NEW_HERE,
    }
    # A store and a file of its name are one unit anyway.
    [change] = merge(States({}, {"s.zarr": NEW}, {"s.zarr/.zgroup": NEW}))
    assert (change.unit, change.verdict, change.parts) == ("s.zarr", Verdict.CONFLICT, ())


def test_what_never_arrived_in_a_contested_directory_is_not_taken_for_a_version():
    left = {"d/s.zarr/.zgroup": OLD, "d/s.zarr/0": NEW}
    found = merge(
        States(
            here=left | {"d/x": NEW},
            there={"d": NEW},
            coming={key: frozenset([content]) for key, content in left.items()},
        )
    )
    assert [(change.unit, change.verdict, change.parts) for change in found] == [
        ("d", Verdict.CONFLICT, ("d", "d/x")),
        ("d/s.zarr", Verdict.DELETED_THERE, ()),
    ]


@given(base=names, here=names, there=names)
def test_what_is_decided_as_one_never_clashes(base, here, there):
    """Whoever wins each conflict: no file comes where a directory stays, and the other way."""
    changes = merge(States(base, here, there))
    wins_here = [change for change in changes if change.verdict in {*UPLOADS, Verdict.CONFLICT}]
    for moving, source, target in (
        ([change for change in changes if change not in wins_here], there, here),
        (wins_here, here, there),
    ):
        units = {key for change in moving for key in change.keys}
        assert not clashes([key for key in target if key not in units], [key for key in units if key in source])
