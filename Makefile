# `make run` and `make test` work on a fresh machine with Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS = 1
SOURCES := moatbench attacks defenses victims tests benchmarks

.PHONY: run test check pytest wheel slow clean

run: $(VENV)/installed
	@$(BIN)/moatbench $(ARGS)

# check: style and types; pytest: everything not marked slow; wheel: what a user gets from pip
test: check pytest wheel

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pytest: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations=25 -m "not slow"

# slow: every pair of parts, the papers' figures, and a reduced form of each of benchmarks/
slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=25 -m slow

wheel: $(VENV)/installed-test
	$(BIN)/python tests/check_wheel.py

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "moatbench needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; make PYTHON=python3.12 run")'
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
