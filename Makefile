# Every target does its own set-up on a fresh clone: python3 (>= 3.11), git and make are enough.
.DEFAULT_GOAL := help
.PHONY: help demo test check sbom audit format docs site bench load mutation chaos matrix browser manifests image unlocked clean
PYTHON ?= python3
BIN := .venv/bin
ROOMS := $(filter-out support __pycache__,$(patsubst tests/%/,%,$(wildcard tests/*/)))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE  # the tests start many processes: compile each module once

help:  ## Say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/.ready  ## Review an example pull request through the real path; no key, no account, no service
	@$(BIN)/assistant demo

test: .venv/.ready  ## Run the whole test suite, or one room of it: make test ROOM=findings
	@test -z "$(ROOM)" || test -n "$(filter $(ROOM),$(ROOMS))" || { echo "No room $(ROOM). There are: $(ROOMS)"; exit 2; }
	@$(BIN)/pytest -n 3 --dist worksteal $(if $(ROOM),tests/$(ROOM))

check: .venv/.ready  ## Lint, types, architecture, workflows, lock file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/test_architecture.py
	@$(BIN)/zizmor --offline --quiet --no-progress .github
	@$(BIN)/uv lock --check

sbom: .venv/.ready  ## Write dist/sbom.cdx.json: every dependency of the product, as CycloneDX
	@mkdir -p dist && $(BIN)/uv export -q --locked --no-dev --all-extras --format cyclonedx1.5 -o dist/sbom.cdx.json
	@$(BIN)/python -c "import json; print(len(json.load(open('dist/sbom.cdx.json'))['components']), 'components in dist/sbom.cdx.json')"

audit: .venv/.ready  ## Compare the locked dependencies with the known vulnerabilities; needs the network
	@$(BIN)/uv audit --locked --no-dev; status=$$?; \
	test $$status -ne 2 || echo "Not audited: the database of vulnerabilities did not answer, so nothing is known." >&2; exit $$status

format: .venv/.ready  ## Let ruff format and fix what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: .venv/.ready  ## Write the generated reference: settings and command line
	@$(BIN)/python -m tests.support.generated_docs

site: .venv/.ready  ## Write the documents as a web site to build/site
	@NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 $(BIN)/uv run --quiet --locked --isolated --no-dev --group site mkdocs build --quiet && echo "build/site/index.html"

mutation: .venv/.ready  ## Change security code on purpose: tests must notice 90 % (MOST: changes of each module, 0 for all)
	@$(BIN)/python benchmarks/mutation.py --most $(or $(MOST),25)

bench: .venv/.ready  ## Measure: acknowledgement, one review, standards search, model overhead
	@for script in $(filter-out benchmarks/citations.py benchmarks/chaos.py benchmarks/load.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

chaos: .venv/.ready  ## Five minutes of kills, outages and restarts on both databases; prints what came of it
	@$(BIN)/python benchmarks/chaos.py

load: .venv/.ready  ## Ten minutes of load on the real server: deliveries, commands, pings, memory, workers
	@$(BIN)/python benchmarks/load.py

long: .venv/.ready  ## The long runs of the tests: many kills, many generated histories
	@$(BIN)/pytest -m long

matrix: .venv/.ready  ## Run the demo and a server on every Python of this machine, with two versions of SQLite
	@$(BIN)/pytest -m long -q -s tests/test_matrix.py

browser: .venv/.ready  ## Walk the pages with chromium as a person does, and take the pictures of the documents
	@$(BIN)/uv run --quiet --locked --isolated --group browser pytest -m "long or not long" -q tests/web/test_browser.py tests/web/test_setup_in_browser.py

manifests: .venv/.ready  ## Compare the Kubernetes manifests with the schemas of three versions of Kubernetes
	@$(BIN)/uv run --quiet --locked --isolated --group manifests pytest -m long -q tests/test_manifests.py

image: .venv/.ready  ## Do what the Dockerfile says, without Docker, and serve from it as a user who owns nothing
	@$(BIN)/pytest -m long tests/test_docker.py

unlocked:  ## Install with unlocked dependencies into an empty environment, and import
	@rm -rf build/unlocked && $(PYTHON) -m venv build/unlocked
	@build/unlocked/bin/python -m pip install -q .
	@build/unlocked/bin/python -P -c "import bot.app, bot.cli.commands, bot.server, githubkit, openai; print('imports with unlocked dependencies')"

clean:  ## Remove what the other targets made
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache

.venv/.ready: pyproject.toml uv.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q uv
	@$(BIN)/uv sync --quiet --locked --compile-bytecode
	@touch $@
