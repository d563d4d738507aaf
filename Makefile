# Every target sets up what it needs: .venv is made and filled on first use.
PYTHON ?= python3
BIN := .venv/bin
# Two test processes share two cores, so each keeps to one thread; matrices this small gain nothing
# from more.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONHASHSEED=0

SPHINX := $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d build/doctrees

.DEFAULT_GOAL := help
.PHONY: help audit test campaign verify proofs lint types bench figures notebooks docs package extras clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

audit: .venv/train  ## audit the gradient bias of six methods on the digits, report in audit/
	$(BIN)/orderdp-train audit

test: .venv/dev  ## run the test suite
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal

verify: .venv/dev  ## decide what the paper says by computation
	$(BIN)/orderdp-theory verify

proofs: .venv/dev  ## check the symbolic certificates and compile the formal proofs
	$(BIN)/orderdp-theory prove
	@for folder in coq flocq; do \
	  sh proofs/$$folder/check.sh; status=$$?; [ $$status -eq 0 ] || [ $$status -eq 3 ] || exit $$status; \
	done

lint: .venv/dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev  ## type check the packages
	$(BIN)/basedpyright

SHARE ?= 1
SEED ?= 0
campaign: .venv/dev  ## attack it for hours (SHARE=0.05: minutes; SEED=1: other attacks), one table
	$(TEST_ENV) $(BIN)/python -m campaigns --share $(SHARE) --seed $(SEED) $(CAMPAIGNS)

bench: .venv/dev  ## measure the speed ratios of benchmarks/README.md
	$(BIN)/python -m benchmarks

figures: .venv/dev  ## draw the figures of the theory into figures/
	$(BIN)/orderdp-theory figures --out figures

notebooks: .venv/dev  ## execute all notebooks from clean
	$(TEST_ENV) $(BIN)/python notebooks/execute.py

docs: .venv/dev  ## build the documentation into build/site and run its examples
	$(TEST_ENV) $(SPHINX) -b html . build/site
	$(TEST_ENV) $(SPHINX) -b doctest . build/doctest

package: .venv/dev  ## build wheel and source distribution into dist/ and check them
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

extras: .venv/python  ## install every extra alone in a clean environment and use it
	$(BIN)/python tests/extras.py

clean:  ## remove what the targets made, .venv included
	rm -rf .venv build dist *.egg-info audit figures .pytest_cache .ruff_cache .hypothesis

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one with 'make PYTHON=python3.12 ...'" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/train: .venv/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train]'
	@touch $@

.venv/dev: .venv/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@
