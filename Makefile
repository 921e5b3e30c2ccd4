# Every target sets up what it needs: a virtual environment with pinned dependencies in .venv.
# `make help` lists them.

PYTHON ?= $(shell command -v python3 || command -v python)
SCALE ?= smoke
LAUNCHER ?= pool
TRACKER ?= offline
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/ready
EXPERIMENTS := $(filter-out demo,$(notdir $(patsubst %/experiment.yaml,%,$(wildcard experiments/*/experiment.yaml))))
SCOPE = --scale $(SCALE) --launcher $(LAUNCHER) --tracker $(TRACKER) \
	$(if $(CELL),--cell '$(CELL)') $(if $(SEEDS),--seeds $(SEEDS))

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage lint docs bench figures claims report dashboard leet verify-figures clean $(EXPERIMENTS)

help: ## list the targets
	@echo 'usage: make TARGET [SCALE=smoke|small|medium|paper] [DRY=1] [CELL=TEXT] [SEEDS=0,1] [LAUNCHER=serial|pool] [TRACKER=offline|online|none]'
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST)
	@echo
	@echo 'experiments (each a target):'
	@for name in $(EXPERIMENTS); do echo "  $$name"; done

setup: $(READY) ## make .venv and install the pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "normlab needs Python 3.11 or newer; this is %s. Give another with PYTHON=/path/to/python3." % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## a sweep, figures, verdicts and a report on embedded data: a first look, in minutes
	@$(RUN) scripts/experiment.py run demo --launcher $(LAUNCHER) --tracker $(TRACKER)
	@$(RUN) scripts/experiment.py report
	@echo
	@echo 'Where to look next:'
	@echo '  results/demo/smoke/figure.png   the figure; verdicts.json and table.parquet stand beside it'
	@echo '  results/report/index.html       figures, verdicts and runs on one page (open it in a browser)'
	@echo '  $(RUN) scripts/runs.py ls       the runs; show RUN and why RUN explain one'
	@echo '  $(RUN) scripts/train.py -m model=mlp norm=none,batch,layer,group seed=0,1,2   a sweep of your own'
	@echo '  make help                       published figures to reproduce'

test: $(READY) ## the test suite
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -q $(if $(COVERAGE),--cov --cov-report=term --cov-report=html)

coverage: COVERAGE = 1
coverage: test ## the test suite, and which lines it reached; pages in .coverage_html

lint: $(READY) ## ruff (format and rules) and mypy --strict
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

docs: $(VENV)/ready-docs ## the documentation site, its links checked; pages in site/
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet
	@echo 'site/index.html is the first page; with search: $(RUN) -m http.server -d site'

$(VENV)/ready-docs: $(READY)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

bench: $(READY) ## measure what normlab costs, as ratios; writes results/bench.json
	$(RUN) scripts/bench.py

$(EXPERIMENTS): $(READY)
	@$(RUN) scripts/experiment.py $(if $(DRY),plan,run) $@ $(SCOPE)

figures: $(READY) ## every experiment at SCALE: run what is missing, draw, judge
	@$(RUN) scripts/experiment.py $(if $(DRY),plan,run) all $(SCOPE)

claims: $(READY) ## rebuild results/ledger.md and ledger.json from the verdicts
	@$(RUN) scripts/experiment.py claims

dashboard: $(READY) ## lay experiments and sweeps out in W&B as their figures are (EXPERIMENT=NAME, DRY=1, FULL=1)
	@$(RUN) scripts/dashboard.py $(EXPERIMENT) $(if $(filter file,$(origin SCALE)),,--scale $(SCALE)) \
		$(if $(PROJECT),--project $(PROJECT)) $(if $(ENTITY),--entity $(ENTITY)) $(if $(DRY),--dry) $(if $(FULL),--full)

leet: $(READY) ## W&B's terminal UI on the local runs; no account, no network
	@$(RUN) scripts/runs.py leet

report: $(READY) ## rebuild results/report/index.html
	@$(RUN) scripts/experiment.py report

verify-figures: $(READY) ## redraw committed figures from their tables and compare
	@$(RUN) scripts/experiment.py verify

clean: ## remove what lint and test runs left behind (never results)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* .coverage_html site
