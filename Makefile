# Everything a developer types. A machine with Python 3.11 or newer and `make` is enough for
# `make demo` and `make test`; what else a test wants, it says.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
DEMO_ARGS ?=

# Sizes at which a benchmark only shows that it works; FULL=1 takes its own defaults.
SMALL_pipeline := --people 500 --papers 300
SMALL_quality := --readers 100 --likes 3
SMALL_train := --readers 500
SMALL_match := --profiles 500 --papers 300
SMALL_ingest := --days 10 --papers 50000
SMALL_deliver := --letters 500 --slices 2
SMALL_answers := --letters 20000
SMALL_kill := --letters 150 --kills 5

BIN := $(VENV)/bin
SITE := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench docs clean

help:  ## what can be made
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(SITE)  ## see it: papers, readers, and letters over a real SMTP conversation
	$(BIN)/digest demo $(DEMO_ARGS)

test: $(DEV)  ## all tests, on every core (PYTEST_ARGS="tests/test_cadence.py -x")
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

check: $(DEV)  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)  ## mend the style
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(DEV)  ## every benchmark, one JSON document each; small unless FULL=1
	@set -e; $(foreach file,$(shell grep -l __main__ bench/*.py),echo "$(file)" >&2; \
		$(BIN)/python $(file) $(if $(FULL),,$(SMALL_$(notdir $(basename $(file)))));)

docs: $(DEV)  ## run what the documentation tells people to type
	$(BIN)/python -m pytest tests/test_docs.py tests/test_deploy.py $(PYTEST_ARGS)

clean:  ## back to a fresh checkout
	rm -rf $(VENV) dist build demo bench/out .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- the environment

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Paper Digest needs Python 3.11 or newer; '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>&1 || true). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian or Ubuntu:" \
			"apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(SITE): pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV), once"
	@$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV), with what tests need, once"
	@$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $(SITE) $@
