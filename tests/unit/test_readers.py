"""What readers see while the core's plans are carried out, and after they were cut off: promises P1 to P3, purely."""

from __future__ import annotations

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from world import Array, State, World, read

LENGTHS = st.integers(1, 5)
DTYPES = ["|u1"] * 6 + ["<u2"]


@st.composite
def states(draw, zarr_format, separator):
    """A store of two or three arrays that share their first dimension; another one has its own."""
    n, m = draw(LENGTHS), draw(LENGTHS)
    ks = st.sampled_from([1, 1, 1, 2])
    arrays = {"t": Array((n,), draw(ks)), "v": Array((n, m), draw(ks), draw(st.sampled_from(DTYPES)))}
    if draw(st.booleans()):
        arrays["w"] = Array((n, m), draw(ks))
    if draw(st.booleans()):
        arrays["g/u"] = Array((draw(LENGTHS),), draw(ks))
    title, is_consolidated = draw(st.sampled_from(["a", "b"])), draw(st.booleans())
    return State(arrays, zarr_format, title, is_consolidated, separator)


@st.composite
def histories(draw):
    """A store's states one after another, each published whole or cut off after so many objects."""
    zarr_format, separator = draw(st.sampled_from([(2, "."), (2, "/"), (3, "/")]))
    publishes = st.tuples(states(zarr_format, separator), st.one_of(st.none(), st.integers(0, 30)))
    return draw(st.lists(publishes, min_size=2, max_size=4))


def check(seen, old, new, *, offline_is_fine):
    """See that a reader finds what may be found between two states: every value is of one of them, and at its place."""
    if seen is None:
        assert old is None or offline_is_fine
        return
    shapes = [new.shapes]
    if old is not None:
        both = old.shapes.keys() & new.shapes.keys()
        common = {path: tuple(map(min, old.shapes[path], new.shapes[path])) for path in both}
        # What is new is not shown with a fence; what goes may go with it, or after it.
        shapes += [old.shapes, common, {**old.shapes, **common}]
    assert seen.shapes in shapes
    assert seen.title in {state.title for state in (old, new) if state is not None}
    for path, (_, cells) in seen.arrays.items():
        for index, value in cells.items():
            known = [state.arrays[path][1] for state in (old, new) if state is not None and path in state.arrays]
            assert value in {cells[index] for cells in known if index in cells}, (path, index, value)


def seen_of(state, prefix):
    """What a reader sees of a state that is published whole."""
    world = World()
    for _ in world.steps(world.plan(state.files(prefix)), state.files(prefix), list):
        pass
    return read(world.target, prefix, state.zarr_format)


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(history=histories(), prefix=st.sampled_from(["", "tree/a.zarr"]), data=st.data())
def test_p1_to_p3_readers_find_the_old_the_new_or_what_both_have(history, prefix, data):
    world = World()
    random = data.draw(st.randoms(use_true_random=False))
    old = None
    for state, cut in history:
        source, new = state.files(prefix), seen_of(state, prefix)
        plan = world.plan(source)
        offline_is_fine = bool(plan.withdrawals)
        for number, _ in enumerate(world.steps(plan, source, lambda rows: random.sample(rows, len(rows)))):
            seen = read(world.target, prefix, state.zarr_format)
            check(seen, old, new, offline_is_fine=offline_is_fine)
            if number == cut:
                break
        else:
            kept = dict(plan.contents)
            bodies = {**source, **{key: body for (_, key), body in kept.items()}}
            assert world.target == bodies
            assert world.plan(source).is_empty
            assert read(world.target, prefix, state.zarr_format) == new
            assert read(world.target, prefix, state.zarr_format, consolidated=False) == new
        old = read(world.target, prefix, state.zarr_format)
