# Everything that a contributor runs. `make` alone prints this help.
# On a fresh Debian or Ubuntu machine with Python 3.11+ and make, `make run` is all it takes.

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --upgrade
LOCK := tests/requirements.txt
SERVERS := redis-server redis-sentinel pg_ctlcluster=postgresql
MANIFESTS := $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*/*.yaml))

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check fmt bench fuzz faults reference lock wheel clean

help: ## print this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: .venv/.ready ## make .venv and install everything, pinned by hash
	@$(BIN)/python -m compileall -q authserver

.venv/.ready: $(LOCK) pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv"; exit 1; }
	@echo "Installing into .venv, about half a minute"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv 2>/dev/null || \
		{ tests/system_packages python3-venv && $(PYTHON) -m venv --clear .venv; }
	@$(INSTALL) --require-hashes --no-deps --no-compile --requirement $(LOCK)
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true # on all cores; some packages bring what does not compile
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

run: setup ## serve on 127.0.0.1:8000, no setting needed
	@exec $(BIN)/authserver serve --dev

demo: setup ## do the whole job once, against a server of its own, and print each step
	@$(BIN)/python docs/demo.py

test: setup ## all tests
	@tests/system_packages curl openssl nginx=nginx-light caddy $(SERVERS)
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: setup ## ruff, mypy --strict, import-linter, docs in step with the code
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	@$(BIN)/kubernetes-validate --strict --quiet $(MANIFESTS)
	@$(BIN)/python -m pytest -q tests/test_docs.py tests/test_architecture.py -k "not commands_of_a_page"

fmt: setup ## format and fix what can be fixed
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

bench: setup ## our figures beside the peers', in one run
	@tests/system_packages wrk nginx=nginx-light $(SERVERS)
	@$(BIN)/python -m tests.benchmarks

fuzz: setup ## the long form of the fuzz tests
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n auto -k "fuzz or property"

faults: setup ## the long form of the fault tests, and their report
	@tests/system_packages $(SERVERS)
	@FAULTS=long $(BIN)/python -m pytest -q tests/faults
	@$(BIN)/python -m tests.faults

reference: setup ## write docs/reference.md from the code
	@$(BIN)/python -m tests.reference
	@$(BIN)/python -m tests.deploy.example_env

lock: setup ## write the lock files again from pyproject.toml
	@$(COMPILE) --extra server --extra postgresql --extra redis --output-file deploy/requirements.txt
	@$(COMPILE) --group build --output-file deploy/build-requirements.txt
	@$(COMPILE) --extra server --extra postgresql --extra redis --group dev --output-file $(LOCK)

wheel: setup ## build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

clean: ## remove what was built, the data directory excepted
	@rm -rf .venv dist build .*_cache .coverage* .hypothesis
