# The commands of this repository; `make help` lists them.
# Everything is installed into .venv, from the exact versions in requirements/. Nothing else on the machine is changed, but for the
# servers that `make cluster` starts, which `make destroy` takes away.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python; done) python3.11-or-newer-is-missing)
INVENTORY ?= inventories/local.yml
COLLECTION := .collections/ansible_collections/pgmahout/cluster
VENV := .venv
RUN := $(VENV)/bin

# The hundreds of servers that the tests make lie in memory where there is plenty of it, since half of their time is the disk's.
MEMORY := $(shell test -w /dev/shm && awk '/^MemAvailable/ {exit $$2 < 12000000}' /proc/meminfo && \
	test "$$(df --output=avail /dev/shm | tail -n 1)" -gt 8000000 && ! findmnt -no OPTIONS /dev/shm | grep -qw noexec && echo /dev/shm)

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# The terminal's language does not matter: Ansible only works in UTF-8.
export LC_ALL := C.UTF-8

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: cluster
cluster: $(VENV)/runtime ## A primary, two standbys and a subscriber on this machine, as inventories/local.yml describes them
	@$(RUN)/ansible-playbook pgmahout.cluster.deploy -i $(INVENTORY) $(ARGS)

.PHONY: status
status: $(VENV)/runtime ## What runs, who follows whom, and how far behind; fails when something is not healthy
	@$(RUN)/ansible-playbook pgmahout.cluster.status -i $(INVENTORY) $(ARGS)

.PHONY: destroy
destroy: $(VENV)/runtime ## Remove clusters with their data: make destroy CLUSTER=orders,reporting
	@$(RUN)/ansible-playbook pgmahout.cluster.destroy -i $(INVENTORY) $(if $(CLUSTER),-e pg_destroy=$(CLUSTER)) $(ARGS)

.PHONY: demo-pitr
demo-pitr: $(VENV)/runtime ## The accident: rows are deleted, and come back by a restore to just before it; on a cluster of its own
	@$(RUN)/python demo/point_in_time.py

.PHONY: drill
drill: $(VENV)/runtime ## Prove the newest backup by a restore, with a report in ./drill: make drill [CLUSTER=orders]
	@$(RUN)/ansible-playbook pgmahout.cluster.drill -i $(INVENTORY) -e pg_drill_cluster=$(or $(CLUSTER),orders) $(ARGS)

.PHONY: test
test: lint unit integration molecule e2e ## Everything that needs no container

.PHONY: unit
unit: $(VENV)/development ## The pure functions, without a server
	@$(RUN)/pytest tests/unit -q -n auto

.PHONY: integration
integration: $(VENV)/development ## Every module against real servers of each version at hand
	@$(if $(MEMORY),TMPDIR=$(MEMORY)) $(RUN)/pytest tests/integration -q -n 3 --dist loadfile

.PHONY: molecule
molecule: $(VENV)/development ## The molecule scenario on instances of this machine
	@PATH="$(CURDIR)/$(RUN):$$PATH" $(RUN)/molecule test --scenario-name embedded

.PHONY: lab
lab: engine $(VENV)/development ## The molecule scenarios on Debian hosts, which Docker runs: make lab [SCENARIO=streaming] [LAB_SUITE=forky]
	@PATH="$(CURDIR)/$(RUN):$$PATH" $(RUN)/molecule destroy
	@PATH="$(CURDIR)/$(RUN):$$PATH" $(RUN)/molecule test $(if $(SCENARIO),--scenario-name $(SCENARIO),--all --exclude embedded)

.PHONY: e2e
e2e: $(VENV)/development ## The playbooks on instances of this machine: kills, failovers, secrets
	@$(if $(MEMORY),TMPDIR=$(MEMORY)) $(RUN)/pytest tests/e2e -q -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: $(VENV)/development ## ansible-lint, ruff, mypy and ansible-test sanity
	@$(RUN)/ruff check .
	@cd .collections && MYPYPATH=. ../$(RUN)/mypy --config-file ../pyproject.toml -p ansible_collections.pgmahout.cluster.plugins
	@$(RUN)/mypy --config-file pyproject.toml tests benchmarks demo molecule
	@PATH="$(CURDIR)/$(RUN):$$PATH" $(RUN)/ansible-lint --offline
	@tests/sanity.sh

.PHONY: bench
bench: $(VENV)/development ## Measure the main job beside bare commands and community.postgresql
	@$(RUN)/python benchmarks/main_job.py $(ARGS)

.PHONY: bench-modules
bench-modules: $(VENV)/development ## Measure each SQL module beside community.postgresql's
	@$(RUN)/python benchmarks/modules.py $(ARGS)

.PHONY: bench-lab
bench-lab: engine $(VENV)/development ## Measure deploy and a minor upgrade on Debian hosts, which Docker runs
	@$(RUN)/python benchmarks/lab.py $(ARGS)

.PHONY: bench-backups
bench-backups: $(VENV)/development ## Measure backup and restore beside the bare commands; GIGABYTES=4 says on how much
	@$(RUN)/python benchmarks/backups.py $(ARGS)

.PHONY: bench-switchover
bench-switchover: $(VENV)/development ## Measure the write outage of a switchover beside the bare commands
	@$(RUN)/python benchmarks/switchover.py $(ARGS)

.PHONY: bench-switchover-lab
bench-switchover-lab: engine $(VENV)/development ## Measure it beside repmgr and Patroni, on Debian hosts, which Docker runs
	@$(RUN)/python benchmarks/switchover_lab.py $(ARGS)

.PHONY: engine
engine:
	@docker info > /dev/null 2>&1 || { echo "The lab's hosts need a Docker engine, and none answers 'docker info'; start one," \
		"or run 'make molecule' and 'make bench', which need none." >&2; exit 1; }

.PHONY: build
build: $(VENV)/runtime ## The collection as an artifact, in build/
	@$(RUN)/ansible-galaxy collection build --force --output-path build

.PHONY: clean
clean: ## Remove what these commands made in this directory; servers go on
	rm -rf $(VENV) .collections build .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python %d.%d was found and 3.11 or newer is needed" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The module venv is needed; on Debian and Ubuntu install python3-venv." >&2; exit 1; }

$(COLLECTION):
	@mkdir -p $(dir $@)
	@ln -sfn ../../.. $@

$(VENV)/runtime: requirements/runtime.txt $(VENV)/bin/python | $(COLLECTION)
	@$(RUN)/pip install --quiet --disable-pip-version-check --requirement requirements/runtime.txt
	@touch $@

$(VENV)/development: requirements/development.txt $(VENV)/runtime
	@$(RUN)/pip install --quiet --disable-pip-version-check --requirement requirements/development.txt
	@touch $@
