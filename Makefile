# make demo    the whole story on real data, against an S3 server on this machine
# make test    everything that CI asks: tests, and, as tests, ruff, mypy and import contracts
# make quick   for work in between, in under a minute: lint, and the tests that need no server and are not slow
# make lint    ruff, mypy and import contracts alone
# make torture look for new faults: the tests that take their choices from a seed, with another one. SEED=random, or the
#              number of a run that failed; EXAMPLES= and STEPS= of the state machines, for instance EXAMPLES=25 STEPS=20
# make mutants see whether unit tests notice small changes of the core: SEED=random or a number, COUNT=80 mutants, and
#              ROOMS="planning layout"
# make wild    make the corpus of foreign stores anew with the newest writers, and say what became different
# make lowest  run tests with the lowest versions that pyproject.toml allows: LOWEST=3.12 is another Python, LOWEST_TESTS= others
# make screenshots
#              run the notebooks, and take pictures of them in Chromium, light and dark, in build/screenshots; NOTEBOOKS="publish"
# make bench   measure beside s5cmd, rclone and aws: ratios, JSON and a picture in benchmarks/results; make bench-million with a
#              million objects. BENCH_ARGS="--shapes few --rtt 20 50 150 --rounds 3"
# make docs    build the site into build/site, strictly
# make reference
#              make what pages of docs/ say of commands, options and messages anew from the code
# make clean   remove the environment and all caches
#
# The environment is made once in .venv, and again when pyproject.toml changes. PYTHON=... chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := $(VENV)/.installed-demo
PYTHON ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
SEED ?= random
EXAMPLES ?=
STEPS ?=
COUNT ?= 80
ROOMS ?= planning layout
LOWEST ?= 3.11
NOTEBOOKS ?=
# What tells of a bound that is too low, in some minutes.
LOWEST_TESTS ?= tests/unit tests/contract tests/e2e/test_publish.py tests/e2e/test_pull.py tests/e2e/test_snapshots.py

# Hundreds of commands are run by the tests: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick torture mutants lint wild lowest screenshots docs reference bench bench-million clean

demo: $(DEMO)
	$(BIN)/python -m zsync demo

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

quick: $(STAMP)
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow" tests/unit zsync --ignore tests/unit/test_proxy.py $(PYTEST_ARGS)

torture: $(STAMP)
	@case "$(SEED)" in \
	    random) seed=$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(10**9))') ;; \
	    ''|*[!0-9]*) echo "SEED is a number, or random: SEED=$(SEED)" >&2; exit 2 ;; \
	    *) seed=$(SEED) ;; \
	esac; \
	echo "seed: $$seed"; \
	TORTURE_SEED=$$seed TORTURE_EXAMPLES=$(EXAMPLES) TORTURE_STEPS=$(STEPS) \
	    $(BIN)/python -m pytest -m torture --hypothesis-seed=$$seed $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

mutants: $(STAMP)
	@$(BIN)/python -c 'import cosmic_ray' 2>/dev/null \
	    || $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[test,mutants]'
	@$(BIN)/python tests/mutants/run.py --seed $(SEED) --count $(COUNT) $(ROOMS)

wild: $(STAMP)
	@$(BIN)/python tests/wild/make.py

# The tests' own tools are the newest that go with them: what is promised is what users install. Types and the contracts of
# imports are judged by tools, which say nothing of these versions.
NOT_LOWEST := --ignore tests/unit/test_typing.py --ignore tests/unit/test_lint.py --deselect tests/unit/test_house.py::test_arrows_point_down_and_the_core_is_pure
lowest: $(STAMP)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 \
	    || $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check uv
	@$(BIN)/python -m uv pip compile --quiet --resolution lowest-direct --python-version $(LOWEST) \
	    --extra demo --extra hpc --extra watch --extra notebook pyproject.toml --output-file $(VENV)/lowest.txt
	@$(BIN)/python -m uv venv --quiet --seed --allow-existing --python $(LOWEST) $(VENV)/lowest
	@$(BIN)/python -m uv pip install --quiet --python $(VENV)/lowest --constraint $(VENV)/lowest.txt --editable '.[test]'
	$(VENV)/lowest/bin/python -m pytest -n auto --dist worksteal $(LOWEST_TESTS) $(NOT_LOWEST) $(PYTEST_ARGS)

screenshots: $(STAMP)
	@$(BIN)/python -c 'import nbconvert' 2>/dev/null \
	    || $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check nbconvert
	@$(BIN)/python notebooks/screenshots.py build/screenshots $(NOTEBOOKS)

docs: $(STAMP)
	$(BIN)/python docs/building.py build

reference: $(STAMP)
	$(BIN)/python docs/reference.py

bench: $(STAMP) $(VENV)/aws/bin/aws
	$(BIN)/python benchmarks/bench_transfers.py --tools zsync s5cmd rclone aws $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_flip.py

bench-million: $(STAMP)
	$(BIN)/python benchmarks/bench_transfers.py --shapes million --tools zsync s5cmd --rounds 1 --rtt 0 $(BENCH_ARGS)

# Apart from the rest: it wants a botocore of its own.
$(VENV)/aws/bin/aws: $(STAMP)
	$(BIN)/python -m venv $(VENV)/aws
	$(VENV)/aws/bin/python -m pip install --quiet --quiet --disable-pip-version-check awscli

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find zsync tests benchmarks notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

# Every candidate is asked for its version: a shim that is there need not run.
define environment
@if ! $(BIN)/python -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null; then \
	    rm -rf $(VENV); \
	    for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	        "$$python" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null || continue; \
	        echo "environment: $$("$$python" --version) in $(VENV)"; \
	        "$$python" -m venv $(VENV) || exit 1; \
	        break; \
	    done; \
	    [ -x $(BIN)/python ] || { \
	        echo "No Python 3.11 or newer (with venv) at: $(or $(PYTHON),python3 ... python3.11); name one: make PYTHON=PATH" >&2; exit 1; }; \
	fi
endef

# The demo needs no tools of the tests; where they are installed already it needs nothing.
$(DEMO): pyproject.toml
	$(environment)
	@[ $(STAMP) -nt pyproject.toml ] \
	    || $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(STAMP): pyproject.toml
	$(environment)
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
