# make demo    the whole story on real data, against an S3 server on this machine
# make test    everything that CI asks: ruff, mypy, import contracts, tests
# make quick   for work in between, in under a minute: lint, and the tests that need no server
# make lint    the same without the tests
# make torture look for new faults: the tests that take their choices from a seed, with another one. SEED=random, or the
#              number of a run that failed; EXAMPLES= and STEPS= of the state machines, for instance EXAMPLES=25 STEPS=20
# make mutants see whether unit tests notice small changes of the core: SEED=random or a number, COUNT=80 mutants, and
#              ROOMS="planning layout"
# make wild    make the corpus of foreign stores anew with the newest writers, and say what became different
# make bench   measure beside s5cmd, rclone and aws: ratios, JSON and a picture in benchmarks/results; make bench-million with a
#              million objects. BENCH_ARGS="--shapes few --rtt 20 50 150 --rounds 3"
# make clean   remove the environment and all caches
#
# The environment is made once in .venv, and again when pyproject.toml changes. PYTHON=... chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
SEED ?= random
EXAMPLES ?=
STEPS ?=
COUNT ?= 80
ROOMS ?= planning layout

# Hundreds of commands are run by the tests: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick torture mutants lint wild bench bench-million clean

demo: $(STAMP)
	$(BIN)/python -m zsync demo

test: lint
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

quick: lint
	$(BIN)/python -m pytest -q -n auto --dist worksteal tests/unit zsync --ignore tests/unit/test_proxy.py $(PYTEST_ARGS)

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

bench: $(STAMP) $(VENV)/aws/bin/aws
	$(BIN)/python benchmarks/bench_transfers.py --tools zsync s5cmd rclone aws $(BENCH_ARGS)

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
$(STAMP): pyproject.toml
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
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
