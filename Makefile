# The two commands of the README, `make demo` and `make test`, and the steps that they are made of.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 4
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt --editable
export CHECKPOINT_DISABLE := 1

.PHONY: help demo test lint types unit bench bench-trainer docs clean

help:
	@echo "make demo    the whole round trip in the sandbox, with no cloud account"
	@echo "make test    everything that must hold: lint, types, tests on the real parts"
	@echo "make bench   the benchmarks behind docs/benchmarks.md"
	@echo "make bench-trainer  those of the trainer alone, beside its peers"
	@echo "make docs    write the generated pages again"

demo: $(VENV)/demo.installed
	$(BIN)/python -m scripts.demo

# The types are checked beside the tests, which wait a lot: on two cores it takes no time of its own.
test: lint
	$(MAKE) --jobs=2 types unit

lint: $(VENV)/dev.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev.installed
	$(BIN)/mypy

# Each process computes with one thread, for several with one for each core would wait for each other's. Many tests
# wait for a cloud or a cluster, so that four workers keep two cores busy; a machine with less than 8 GiB of memory
# wants WORKERS=2. What failed is run once more, one test at a time: what fails twice has failed, and what does not is
# named in the output, for it is either too late on a busy machine or a race that somebody should look at.
unit: export OMP_NUM_THREADS := 1
unit: $(VENV)/dev.installed node_modules/.installed
	$(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder || \
	  { [ $$? = 1 ] && echo "What failed, once more:" && \
	    $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none --maxfail 3 -rpfE; }

bench: $(VENV)/dev.installed node_modules/.installed
	$(INSTALL) '.[benchmarks]'
	$(BIN)/python -m benchmarks

bench-trainer: $(VENV)/dev.installed
	$(INSTALL) '.[benchmarks]'
	$(BIN)/python -m benchmarks trainer

docs: $(VENV)/dev.installed
	$(BIN)/python -m stacks.reference

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[infra,node,trainer,sandbox]'
	touch $@

$(VENV)/dev.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[dev]'
	touch $@ $(VENV)/demo.installed

node_modules/.installed: package-lock.json
	npm ci --no-fund --no-audit --loglevel=error
	touch $@

clean:
	rm -rf $(VENV) node_modules .fleetform cdktf.out
