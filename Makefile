# The two commands of the README are `make demo` and `make test`; both do all the set-up they need.
SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=
# make chaos: how many kills, and the seed of an earlier run to repeat it. make soak: how long, how many events/s.
KILLS ?= 110
SEED ?=
MINUTES ?= 30
RATE ?= 500

.PHONY: help testing setup demo up down test check format lock chaos soak clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Virtual environment, locked packages, Java, jars
	@deploy/setup/setup.sh demo

demo: setup ## Everything at once, on real input, until Ctrl-C (ARGS="--once -o json")
	@$(BIN)/caudal demo $(ARGS)

up: setup ## Start the platform without input
	@$(BIN)/caudal up $(ARGS)

down: ## Stop it
	@$(BIN)/caudal down

testing:
	@deploy/setup/setup.sh test

test: testing ## The whole suite (some 80 minutes on 2 cores)
	@$(BIN)/pytest -m "not slow" tests/unit tests/contract tests/integration tests/e2e $(ARGS)

check: testing ## Lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@bash -n deploy/setup/setup.sh

format: ## Rewrite the code in its one format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: ## Resolve the packages again: hashes, no addresses
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header --quiet --extra dev -o deploy/setup/requirements.txt pyproject.toml

chaos: testing ## KILLS=110 kills by a SEED, at named points and any moment, and the other slow tests
	@CAUDAL_TEST_CHAOS_KILLS=$(KILLS) CAUDAL_TEST_CHAOS_SEED=$(SEED) $(BIN)/pytest -m slow tests $(ARGS)

soak: setup ## MINUTES=30 at RATE=500 events/s with faults; nothing may grow
	@$(BIN)/caudal bench soak --minutes $(MINUTES) --rate $(RATE) $(ARGS)

clean: ## Remove the environment and caches (data stays)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
