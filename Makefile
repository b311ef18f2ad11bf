# Two commands are enough:  make demo   and   make test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo app test style check bench conformance biomodels format clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(READY)  ## a real study, from patients to report
	$(BIN)/immunostat run studies/ra-biologics.yaml
	@echo "The report: results/ra-biologics/report.html"

app: $(READY)  ## the laboratory in a browser
	$(BIN)/immunostat app

# Neighbours stay together on a core, so that what a module prepares is prepared once.
test: $(READY)  ## every test
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

style: $(READY)  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: style  ## style, types, layers, and the quick tests
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not slow"

bench: $(READY)  ## time at equal error, beside other simulators
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m benchmarks.population

conformance: $(READY)  ## the SBML Test Suite: make conformance SUITE=path/to/cases/semantic
	$(BIN)/python benchmarks/conformance.py --suite "$(SUITE)" --page docs/reference/sbml-conformance.md

biomodels: $(READY)  ## published immune models: make biomodels MODELS=path/to/them
	$(BIN)/python benchmarks/biomodels.py --models "$(MODELS)" --page docs/reference/published-models.md

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) results build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
