# Two commands for a new user, `make demo` and `make test`; each installs what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# How many tests run side by side, and what else to tell pytest: make test ARGS="-k retry -x"
PROCESSES ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check format docs bench chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything the project needs (make clean install PYTHON=python3.13 for another Python)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Installing into $(VENV) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: install ## See it work, on a PostgreSQL and a Redis of its own
	@$(BIN)/python -m worker demo

test: install ## Run the tests, on servers of their own or on DATABASE_URL and REDIS_URL
	@$(BIN)/python -m pytest -n $(PROCESSES) $(ARGS)

check: install ## Everything that has to hold: format, lint, types, imports, tests, coverage, a little chaos
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m worker schema check --file docs/schemas.json
	@$(BIN)/python -m pytest -n $(PROCESSES) --cov --cov-report=term $(ARGS)
	@$(BIN)/python -m tests.chaos --quick --side-by-side $(PROCESSES)

format: install ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format --quiet

docs: install ## Write anew what the documents tell of the code: tables, and the lines where things are
	@$(BIN)/python -m tests.documents

bench: install ## Measure it beside its peers, on servers of its own (ARGS="--quick" for a look): ten minutes
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[bench]' -c constraints.txt
	@test -x $(VENV)/bench/bin/python || $(PYTHON) -m venv $(VENV)/bench
	@$(VENV)/bench/bin/python -m pip install -qq --disable-pip-version-check -r tests/bench/apart.txt
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: install ## Do harm to workers, servers and networks under a load, and check what became of it: an hour
	@$(BIN)/python -m tests.chaos $(ARGS)

clean: ## Remove .venv and everything the tools have written
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find producers worker examples tests -name __pycache__ -type d -prune -exec rm -rf {} +
