"""Change the core a little, here and there, and see whether unit and property tests notice (`make mutants`).

Cosmic Ray makes the mutants and tries them, in a copy of the tree; a seed says which ones. Places are drawn first, and
then one mutant of each: a comparison can be changed in many ways, a condition in one.

    python tests/mutants/run.py [--seed N] [--count N] [ROOM...]
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import use_db
from operators import OPERATORS

ROOT = Path(__file__).parents[2]
WANTED = 85  # per cent
# What tries the core on its own; those that notice most at the least expense come first. All are to take less than half
# a minute, so `test_readers` is not among them: it takes as long as half of these.
TESTS = (
    "zsync/planning", "zsync/layout",
    *(f"tests/unit/test_{name}.py" for name in (
        "layout", "planning", "plan_told", "changes", "layout_select", "layout_cog", "layout_consolidated",
        "dimensions", "pull_rules", "names", "merge", "meaning", "plan_properties", "damage", "layout_properties",
        "layout_stores",
    )),
)  # fmt: skip
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=unshrunk")
COMMAND = shlex.join([sys.executable, "-m", "pytest", *OPTIONS, *TESTS])
# Plugins that libraries bring take longer to begin than most mutants live.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ["PYTEST_PLUGINS"] = "pytest_timeout,_hypothesis_pytestplugin"
# Words are equal where they are identical. A class that is no dataclass any more, and a sum that has become a
# difference of texts, say nothing about tests: of operators between two numbers or sets, one other is enough.
LEFT_OUT = re.compile(
    r"core/(ReplaceComparisonOperator_(Eq_Is|Is_Eq|NotEq_IsNot|IsNot_NotEq)$|RemoveDecorator|ReplaceBinaryOperator_"
    r"(?!Add_Sub|Sub_Add|Sub_BitAnd|Mul_FloorDiv|FloorDiv_Mul|Mod_FloorDiv|BitOr_BitAnd|BitAnd_BitOr))"
)


def without_effect(tree):
    """Yield what may be changed with no other behaviour: annotations, arguments of `dataclass`, prose, safety nets."""
    for node in ast.walk(tree):
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        is_net = isinstance(node, ast.keyword) and node.arg == "strict"  # of `zip`
        if is_for_types or is_net or (isinstance(node, ast.JoinedStr) and " " in ast.unparse(node)):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from node.decorator_list
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if annotation is not None:
                yield annotation


def places(session):
    """Return the mutants of a session by place: file, begin and end."""
    spans, found = {}, {}
    for item in session.work_items:
        made = item.mutations[0]
        if made.module_path not in spans:
            nodes = without_effect(ast.parse(made.module_path.read_text()))
            spans[made.module_path] = [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes]
        if any(begin <= made.start_pos and made.end_pos <= end for begin, end in spans[made.module_path]):
            continue
        if not LEFT_OUT.match(made.operator_name):
            found.setdefault((str(made.module_path), made.start_pos, made.end_pos), []).append(item)
    return found


def drawn(session, seed, count):
    """Return mutants, always the same ones with a seed; and how many places there are."""
    rng, found = random.Random(seed), places(session)
    chosen = [found[place] for place in rng.sample(sorted(found), min(count, len(found)))]
    for items in chosen:
        items.sort(key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence))
    return [rng.choice(items) for items in chosen], len(found)


def tried(seed, count, rooms):
    """Try mutants of the tree that we are in, and print those that live; return the exit status."""
    begin = time.monotonic()
    outcome, output = run_tests(COMMAND, 1800)
    if outcome != "survived":
        print(f"The tests fail without any mutant:\n{output}")
        return 2
    limit = 30 + 3 * (time.monotonic() - begin)
    plugins.OPERATOR_PROVIDERS["zsync"] = OPERATORS
    with use_db("session.sqlite") as session:
        init([path for room in rooms for path in sorted(Path("zsync", room).rglob("*.py"))], session, {})
        mutants, number = drawn(session, seed, count)
        print(f"seed {seed}: {len(mutants)} mutants, {number} places in {', '.join(rooms)}", flush=True)
        lived = 0
        for item in mutants:
            result = mutate_and_test(item.mutations, COMMAND, limit)
            if not result.is_killed:
                lived += 1
                made = item.mutations[0]
                diff = [line for line in result.diff.splitlines() if re.match(r"[-+] ", line)]
                print(f"\n{made.module_path}:{made.start_pos[0]}", *diff, sep="\n", flush=True)
    score = 100 * (len(mutants) - lived) / len(mutants)
    print(f"\n{lived} of {len(mutants)} mutants live; {score:.0f} % are killed, {WANTED} % are wanted")
    return 0 if score >= WANTED else 1


def main():
    """Try a sample of mutants in a copy of the tree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", default="random")
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("rooms", nargs="*", default=["planning", "layout"])
    options = parser.parse_args()
    seed = secrets.randbelow(10**9) if options.seed == "random" else int(options.seed)
    with tempfile.TemporaryDirectory(prefix="zsync-mutants-") as copy:
        for name in ("zsync", "tests"):
            shutil.copytree(ROOT / name, Path(copy, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "pyproject.toml", copy)
        os.chdir(copy)
        os.environ["PYTHONPATH"] = copy
        return tried(seed, options.count, options.rooms)


if __name__ == "__main__":
    sys.exit(main())
