"""What readers see while the core's plans are carried out, and after they were cut off: promises P1 to P3, purely."""

from __future__ import annotations

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from world import Array, State, World, layout_of, made_by_zsync, made_of, read

from zsync.words import Stage

LENGTHS = st.integers(1, 5)
DTYPES = ["|u1"] * 6 + ["<u2"]
GRACE_S = 3600


@st.composite
def states(draw, zarr_format, separator):
    """A store of some arrays that share their first dimension; one in a group has its own."""
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
    """Products of one store or two, one state after another, each published whole or cut off after so many objects."""
    one = states(*draw(st.sampled_from([(2, "."), (2, "/"), (3, "/")])))
    alone = st.fixed_dictionaries({"": one})
    tree = st.fixed_dictionaries({"tree/a.zarr": one}, optional={"tree/b/c.zarr": one})
    publish = st.tuples(
        alone if draw(st.booleans()) else tree,
        st.one_of(st.none(), st.integers(0, 40)),
        st.sampled_from([0, 0, 0, GRACE_S]),
    )
    return draw(st.lists(publish, min_size=2, max_size=4))


def source_of(stores):
    return {key: body for prefix, state in stores.items() for key, body in state.files(prefix).items()}


def known_cells(states_of_array):
    """Return the values that each cell of an array may have."""
    known = {}
    for _, cells in states_of_array:
        for index, value in cells.items():
            known.setdefault(index, set()).add(value)
    return known


def check_values(seen, old, new):
    """Every value that is seen is that of a state, and at its place; none is missing."""
    for path, (_, cells) in seen.arrays.items():
        known = known_cells([state.arrays[path] for state in (old, new) if state is not None and path in state.arrays])
        for index, value in cells.items():
            assert value in known.get(index, ()), (path, index, value)


def check(seen, old, new, *, offline_is_fine):
    """A reader finds the old state, the new one, or what both have in common."""
    if seen is None:
        assert old is None or new is None or offline_is_fine
        return
    states_seen = [state for state in (old, new) if state is not None]
    shapes = [state.shapes for state in states_seen]
    if old is not None and new is not None:
        both = old.shapes.keys() & new.shapes.keys()
        common = {path: tuple(map(min, old.shapes[path], new.shapes[path])) for path in both}
        # What goes may go with a fence, or stay until the root is there.
        shapes += [common, {**old.shapes, **common}]
    assert seen.shapes in shapes
    assert seen.title in {state.title for state in states_seen}
    check_values(seen, old, new)


def check_past_consolidated(seen, old, new):
    """Who goes past consolidated metadata sees arrays turn over one by one, each in a state that it may have."""
    for path, shape in ({} if seen is None else seen.shapes).items():
        shapes = [state.shapes[path] for state in (old, new) if state is not None and path in state.shapes]
        assert shape in {*shapes, tuple(map(min, *shapes)) if len(shapes) == 2 else None}, path
    if seen is not None:
        check_values(seen, old, new)


class Readers:
    """Some readers of the same stores."""

    def __init__(self, world, prefixes, zarr_format):
        self.world, self.prefixes, self.zarr_format = world, prefixes, zarr_format

    def look(self, *, consolidated=True):
        target, form = self.world.target, self.zarr_format
        return {prefix: read(target, prefix, form, consolidated=consolidated) for prefix in self.prefixes}

    def holds(self, prefix):
        """Return whether anything of a store is there, be it what is left of one."""
        return any(key.startswith(f"{prefix}/") for key in self.world.target)

    def both(self):
        return self.look(), self.look(consolidated=False)


def seen_of(source, prefixes, zarr_format):
    """What readers see of a source that is published whole."""
    return Readers(World({**source, **made_of(layout_of(source), {})}), prefixes, zarr_format).look()


def publish(world, source, shuffle=list, cut=None, **policy):
    """Publish; yield after each object, and return early where it is cut off."""
    plan = world.plan(source, **policy)
    for number, _ in enumerate(world.steps(plan, source, shuffle)):
        yield plan
        if number == cut:
            return


@settings(max_examples=100, phases=[Phase.explicit, Phase.generate])
@given(history=histories(), data=st.data())
def test_p1_to_p3_readers_find_the_old_the_new_or_what_both_have(history, data):
    world = World()
    random = data.draw(st.randoms(use_true_random=False))
    zarr_format = next(iter(history[0][0].values())).zarr_format
    readers = Readers(world, ("", "tree/a.zarr", "tree/b/c.zarr"), zarr_format)
    for stores, cut, grace_s in history:
        source = source_of(stores)
        new = seen_of(source, readers.prefixes, zarr_format)
        old, old_past = readers.both()
        remains = {prefix for prefix, state in old.items() if state is None and readers.holds(prefix)}
        for plan in publish(world, source, lambda rows: random.sample(rows, len(rows)), cut, grace_s=grace_s):
            offline = {row["store"] for row in plan.shown_while(Stage.WITHDRAW)}
            seen, seen_past = readers.both()
            for prefix in readers.prefixes:
                check(seen[prefix], old[prefix], new[prefix], offline_is_fine=prefix in offline)
                # After a run that was cut off, what is fenced is what readers of consolidated metadata see.
                if old[prefix] == old_past[prefix] and prefix not in remains:
                    check_past_consolidated(seen_past[prefix], old_past[prefix], new[prefix])
        world.now_s += 1000
    # Whatever has been: the last source comes out whole, and what is in its grace goes when that is over.
    for again in (0, GRACE_S):
        world.now_s += again
        for _ in publish(world, source, grace_s=GRACE_S):
            pass
        assert {prefix: state for prefix, state in readers.look().items() if prefix in stores} == {
            prefix: state for prefix, state in new.items() if prefix in stores
        }
    assert readers.both() == (new, new)
    plan = world.plan(source)
    assert plan.is_empty
    assert set(source) <= set(world.target)
    made = made_by_zsync(plan)
    assert all(world.target[key] == body for key, body in source.items() if key not in made)
