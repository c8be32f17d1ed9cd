# One command each; the first one that is run makes .venv and installs everything into it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := source $(VENV)/bin/activate &&

.DEFAULT_GOAL := help
.PHONY: help install repro test quick unit check format figures pages docs tables search params la2018 brains gpu published

help: ## list the commands
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/'

# a .venv that was moved or copied names its old folder; it is made again
MOVED := $(shell [ ! -f $(VENV)/bin/activate ] || grep -qF '$(CURDIR)/$(VENV)' $(VENV)/bin/activate || echo moved)
.PHONY: moved

$(VENV)/installed: pyproject.toml constraints.txt $(MOVED)
	$(PYTHON) -m venv $(if $(MOVED),--clear) $(VENV)
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(VENV)/installed ## make .venv with the exact versions of constraints.txt

repro: install ## from raw scans to the table, whatever params.yaml says, several runs at a time; shows it at the end
	@$(RUN) lassl repro

test: install ## the tests, the whole pipeline at a tiny scale among them
	$(RUN) pytest --numprocesses logical --maxprocesses 8

quick: install ## style, and the tests that are not marked slow
	$(RUN) ruff check . && ruff format --check . && pytest --numprocesses logical --maxprocesses 8 -m "not slow"

unit: install ## the tests of single rooms; with VENV=.venv-3.13 PYTHON=python3.13 under another Python
	$(RUN) pytest --numprocesses logical --maxprocesses 8 --ignore tests/whole

check: install ## style, types, and the order and sizes of rooms, files and functions
	$(RUN) ruff check . && ruff format --check . && mypy && pytest tests/whole/test_floors.py

format: install ## fix the style
	$(RUN) ruff check --fix . ; ruff format .

params: install ## write params.yaml again from the defaults in conf/
	$(RUN) lassl compose

tables: install ## write every committed table again from metrics/, then README.md and docs/; trains nothing
	$(RUN) lassl tables $$(git ls-files 'metrics/*/table.json' | cut -d/ -f2) && lassl pages

search: install ## collect the trials of hyperparameter searches into metrics/<profile>-tuning
	$(RUN) lassl search

gpu: install ## on a machine with CUDA: the tests marked cuda, and benchmarks, with what the paper profile will take
	$(RUN) pytest tests/gpu -r s
	$(RUN) python -m benchmarks.gpu
	$(RUN) python -m benchmarks.together
	$(RUN) python -m benchmarks.kernels --output build/kernels.json

figures: install ## save pictures of existing reports to docs/figures; needs Chromium
	$(RUN) lassl pictures $$(ls report)

pages: install ## fill the marked places of README.md and docs/ from metrics/, the code and conf/
	$(RUN) lassl pages

docs: install ## build docs/ as a site into site/, with the report of profile quick as site/report.html if there is one
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[docs]' && NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@if [ -f report/quick/index.html ]; then cp report/quick/index.html site/report.html; fi

la2018: install ## download the real scans of atria to data/raw/la2018
	$(RUN) lassl download la2018

brains: install ## download the second cohort, 35 scans of brains, to data/raw/brains
	$(RUN) lassl download brains

published: install ## download UA-MT's published weights and score them on the real test cases
	$(RUN) lassl published fetch && dvc repro prepare && lassl published score
