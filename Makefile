# Everything a user or a contributor runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELL_SCRIPTS := $(wildcard tools/*.sh) .ci/run
# most of the tests' time is waiting for control planes, each of which takes a gigabyte
WORKERS ?= 2
PYTHON_FILES := installer tests tools benchmarks playbooks

.PHONY: help setup etcd demo test test-kill test-catalog test-ansible molecule lint format format-check check docs bench bench-fleet clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## .venv with the command and the development tools

$(READY): requirements-dev.txt pyproject.toml tools/setup.sh
	@tools/setup.sh $(VENV)
	@touch $@

etcd:
	@tools/etcd.sh

demo: setup etcd ## a sandbox, preflight, plan, an install on it, and proof that it serves and scales
	@tools/demo.sh

test: setup etcd ## all tests but the long ones; ARGS="-k word" chooses, WORKERS=1 one at a time
	@$(BIN)/pytest -m "not kill and not catalog and not ansible" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-kill: setup etcd ## SIGKILL at every event of an install: hours; KILL_SHARD=3/8 for a part
	@$(BIN)/pytest -m kill $(ARGS)

test-catalog: setup etcd ## every release whose manifests are at hand, and upgrades between them
	@$(BIN)/pytest -m catalog $(ARGS)

test-ansible: setup etcd ## the playbooks with each release of ansible-core, from the package index
	@$(BIN)/pytest -m ansible $(ARGS)

molecule: setup etcd ## molecule's scenarios against sandboxes; ARGS="default" chooses
	@tools/molecule.sh $(ARGS)

lint: setup ## style, types, import layers, generated documentation, shell syntax
	@$(BIN)/ruff check $(PYTHON_FILES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/generate_docs.py --check
	@$(BIN)/yamllint --strict playbooks molecule .config inventory.example
	@cd playbooks && ANSIBLE_COLLECTIONS_PATH=collections PATH="$(CURDIR)/$(BIN):$$PATH" ansible-lint --offline --profile production -q
	@for script in $(SHELL_SCRIPTS); do bash -n "$$script"; done

format: setup ## rewrite files in the project's format
	@$(BIN)/ruff format $(PYTHON_FILES)

format-check: setup
	@$(BIN)/ruff format --check $(PYTHON_FILES)

check: format-check lint test ## what a change must pass

docs: setup ## write what documentation shows of the code
	@$(BIN)/python tools/generate_docs.py

bench: setup etcd ## measure against kubectl on the same sandbox
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-fleet: setup etcd ## measure many clusters against one; ARGS="--clusters 4" for less memory
	@$(BIN)/python benchmarks/fleet.py $(ARGS)

clean: ## remove .venv, caches and what builds leave
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf ./*.egg-info
