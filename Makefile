# Two commands are enough:  make demo   and   make test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench format clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(READY)  ## a real study, from patients to report
	$(BIN)/immunostat run studies/ra-biologics.yaml
	@echo "The report: results/ra-biologics/report.html"

test: $(READY)  ## every test
	$(BIN)/python -m pytest

check: $(READY)  ## style, types, layers, and the quick tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow"

bench: $(READY)  ## speed and error beside the reference
	$(BIN)/python benchmarks/engine_population.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) results build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
