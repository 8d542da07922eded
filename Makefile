# Every target makes .venv and installs what it needs when that is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STORE ?= reports/results.sqlite
.DEFAULT_GOAL := help

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# what the experiments need
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[data,export,jax,peers,torch]'
	touch $@

# what development needs besides
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.run

.PHONY: help run accuracy course optimizers fuzz test test-all check bench memory gpu clean

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run  ## compare solvers on spirals, digits and MNIST-5k; report under reports/quickstart
	$(BIN)/nmdl-bench run reports/quickstart.toml --store $(STORE)

accuracy: $(VENV)/.run  ## what the networks reach, over five splits; report under reports/accuracy
	$(BIN)/nmdl-bench run reports/accuracy.toml --store $(STORE)

course: $(VENV)/.run  ## the textbook figures; each in a folder of its own under reports/course
	for file in reports/course/*.toml; do $(BIN)/nmdl-bench study $$file || exit 1; done

optimizers: $(VENV)/.run  ## all optimizers and their peers over the whole problem set; report under reports/optimizers
	$(BIN)/nmdl-bench run reports/optimizers.toml --store $(STORE)

fuzz: $(VENV)/.dev  ## thousands of small and broken problems on NumPy, PyTorch and JAX
	$(BIN)/python tests/optimizers/fuzz.py --backend numpy --cases 10000
	$(BIN)/python tests/optimizers/fuzz.py --backend torch --cases 10000
	$(BIN)/python tests/optimizers/fuzz.py --backend jax --cases 1000

test: $(VENV)/.dev  ## the tests
	$(BIN)/python -m pytest -n 2 -m 'not gpu and not slow'

test-all: $(VENV)/.dev  ## the tests and their heavier versions
	$(BIN)/python -m pytest -n 2 -m 'not gpu'

check: $(VENV)/.dev  ## formatter, linter, types, layering
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## networks, convolutions and optimizers against each library's own; start-up time
	$(BIN)/python -m benchmarks.idioms
	$(BIN)/python -m benchmarks.convolutions
	$(BIN)/python -m benchmarks.optimizers
	$(BIN)/python tests/startup.py

memory: $(VENV)/.dev  ## peak memory against depth for each way to keep states; figure under reports/reference/memory
	$(BIN)/python -m benchmarks.memory

gpu: $(VENV)/.dev  ## tests that need a CUDA device, and reference results under reports/reference
	XLA_PYTHON_CLIENT_PREALLOCATE=false $(BIN)/python -m pytest -n 4 -m gpu
	$(BIN)/nmdl-bench run reports/gpu.toml --store $(STORE) --output reports/reference/gpu
	$(BIN)/python -m benchmarks.idioms --backends torch:cuda:0 jax:cuda:0 cupy:cuda:0 --widths 64 512

clean:  ## remove the environment and what tools cache
	rm -rf $(VENV) .asv .pytest_cache .mypy_cache .ruff_cache *.egg-info build dist
