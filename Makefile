# `make demo` and `make test` are all one needs. Both make .venv from requirements.lock first.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first interpreter that is new enough; PYTHON=... names another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	command -v $$p >/dev/null 2>&1 || continue; \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Whole outputs one after the other, where make can (4.0 and later).
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help demo test lint pytest format bench lock clean

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile

demo: $(STAMP) ## a floor on this machine: broker, vendor, dialer, reps and the daemon
	$(BIN)/distributor demo $(ARGS)

test: $(STAMP) ## all checks and, beside them, all tests
	@$(MAKE) --no-print-directory -j2 $(SYNC) lint pytest

lint: $(STAMP) ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

pytest: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

format: $(STAMP) ## put the code into the house's shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## the speed of the core, and of the daemon beside a bare bridge
	$(BIN)/python -m bench core
	$(BIN)/python -m bench load

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: install one, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Versions in force stay where they satisfy pyproject.toml; remove the file first to take the newest.
lock: ## pin every dependency again, with hashes
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet pip-tools
	build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
		--extra demo --extra dev -o requirements.lock pyproject.toml
	@sed -i -e '/^#/d' -e '1i # Every package of the demo, the tests and the benches, with the hashes of all its files, so that the\n# same set installs on Linux with Python 3.11, 3.12 and 3.13. Made by `make lock` from pyproject.toml.' requirements.lock

clean: ## remove what was made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .import_linter_cache
