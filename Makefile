# `make` alone lists what there is. A second `make` of anything that is done does nothing.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help venv quick coverage test soak lint format bench growth cluster cluster-down demo snapshots clean system

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

venv: $(VENV)/.stamp ## make .venv with .venv/bin/mcp-tui and the development tools

$(VENV)/.stamp: pyproject.toml .constraints.txt
	@test -x $(BIN)/python || { \
	  for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      found=$$python; break; fi; done; \
	  test -n "$$found" || { echo "mcp-tui needs Python 3.11 or newer; none was found on PATH" >&2; exit 1; }; \
	  echo "making $(VENV) with $$($$found --version)"; \
	  $$found -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "$$found cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 1; }; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .constraints.txt -e '.[dev]'
	@touch $@

quick: venv ## the tests that need no server (five minutes)
	$(PYTEST) -q -n $(WORKERS) -m 'not real' tests/unit tests/tui

coverage: venv ## which lines and branches the tests without servers run
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m 'not real' tests/unit tests/tui
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --sort=cover

test: venv system ## every test, on the real control plane (its first build takes 15 minutes)
	$(BIN)/python -m tests.cluster build --with kubeflow --with metrics
	@# On a machine that is too busy a test of real servers may run out of its time. What failed is
	@# tried once more, by itself and in plain sight: what fails twice is a defect.
	$(PYTEST) -n $(WORKERS) --dist worksteal tests || { \
	  echo "tried once more, by themselves: the tests that failed"; \
	  $(PYTEST) --last-failed --last-failed-no-failures none tests; }

soak: venv system ## the long forms of storms, schedules and fuzz tests (an hour and more)
	$(BIN)/python -m tests.cluster build --with kubeflow --with metrics
	MCP_TUI_SOAK=1 $(PYTEST) -n $(WORKERS) --dist worksteal -m soak tests
	MCP_TUI_SOAK=1 $(BIN)/python -m tests.bench.scale 10000 idle churn

lint: venv ## ruff, formatting, types, and the one-way rule of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p mcp_tui -p tests.cluster
	$(BIN)/lint-imports

format: venv ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv ## the measured promises, printed as ratios (half an hour)
	$(BIN)/python -m tests.bench

growth: venv ## how the figures grow at 1,000, 10,000 and 100,000 jobs, as a table
	$(BIN)/python -m tests.bench.growth

cluster: venv ## start the real control plane (three clusters) and print how to use it
	$(BIN)/python -m tests.cluster up --dir .cluster

cluster-down: venv ## end exactly what `make cluster` started
	$(BIN)/python -m tests.cluster down --dir .cluster

demo: venv ## the console on an embedded control plane; needs nothing else
	$(BIN)/mcp-tui demo

snapshots: venv ## draw the pictures of snapshots/ again
	$(PYTEST) -q tests/tui --snapshot-update

clean: ## take away what was made here (not the cache of built servers)
	@if [ -e .cluster/state.json ]; then $(BIN)/python -m tests.cluster down --dir .cluster; fi
	rm -rf $(VENV) .cluster build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis .coverage* snapshot_report.html

# Programs that the tests run beside Python's own; they are installed where that needs no question.
system:
	@missing=; for each in git:git tmux:tmux zsh:zsh fish:fish ssh:openssh-client; do \
	  command -v $${each%%:*} >/dev/null || missing="$$missing $${each#*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing; \
	else echo "the tests need:$$missing; please install them" >&2; exit 1; fi
