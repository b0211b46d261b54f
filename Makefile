# Two commands do all the set-up: make demo, make test. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin
REQUIREMENTS = deployments/requirements

.DEFAULT_GOAL := help
.PHONY: help demo test check servers serve-sandbox bench lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.run: $(REQUIREMENTS)/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/run.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run $(REQUIREMENTS)/dev.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/dev.txt
	@touch $@

demo: $(VENV)/.run ## run the main job on a bundled sandbox: no account, SQLite, real HTTP
	$(RUN)/huikuan demo

test: $(VENV)/.dev ## format, style, types, import rules, and all tests that need no server
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	PYTHONPATH=. $(RUN)/lint-imports
	$(RUN)/python -m pytest -q -n auto -m "not server"

servers: $(VENV)/.dev ## the tests against real servers: Redmine, PostgreSQL, MailDev, Prefect
	$(RUN)/python -m pytest -q -n 2 --dist loadfile -m server

check: test servers ## everything that CI runs

serve-sandbox: $(VENV)/.run ## a sandbox of PingCode and Worktile to write connectors against
	$(RUN)/python -m connectors.kit.sandbox

bench: $(VENV)/.dev ## measure, as ratios in one run
	$(RUN)/python -m bench

lock: ## pin the dependencies again (needs uv)
	uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o $(REQUIREMENTS)/run.txt
	uv pip compile pyproject.toml --extra build --extra dev -c $(REQUIREMENTS)/run.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o $(REQUIREMENTS)/dev.txt

clean: ## remove what was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache out
